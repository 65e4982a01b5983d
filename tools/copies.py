"""python -m tools.copies

Write the root's dvc.yaml into every pipeline that shares it. They are copies, because DVC reads a link in a
revision as text. A pipeline's own stages stand in its more.yaml. A test fails when copies differ.

reads   dvc.yaml, pipelines/*/more.yaml
writes  pipelines/*/dvc.yaml
"""

from pathlib import Path

from specialists.base.command import run
from specialists.base.files import replacing

OWN = ("students",)  # pipelines with a text of their own


def main():
    root = Path(__file__).parents[1]
    for folder in sharing(root):
        with replacing(folder / "dvc.yaml") as draft:
            draft.write_text(text(root, folder))


def sharing(root):
    """The folders of pipelines that share the root's text."""
    folders = (path.parent for path in root.glob("pipelines/*/params.yaml"))
    return sorted(folder for folder in folders if folder.name not in OWN)


def text(root, folder):
    more = folder / "more.yaml"
    return (root / "dvc.yaml").read_text() + (more.read_text() if more.exists() else "")


if __name__ == "__main__":
    run(main)
