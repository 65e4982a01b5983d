"""python -m stages.readme

Put each pipeline's table into README.md, between the markers that name its file. Run it in the repository's
root after `dvc repro`; a test fails when the two differ.

reads   README.md, metrics/table.md, pipelines/*/metrics/table.md
writes  README.md
"""

import re
from pathlib import Path

from specialists.files import replacing
from stages import run

MARKED = re.compile(r"(<!-- (\S+/table\.md) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    page = Path("README.md")
    text = filled(page.read_text(), Path("."))
    with replacing(page) as draft:
        draft.write_text(text)


def filled(text, root):
    """The page with the tables as they are in the files."""
    return MARKED.sub(lambda m: m[1] + (root / m[2]).read_text() + m[3], text)


if __name__ == "__main__":
    run(main)
