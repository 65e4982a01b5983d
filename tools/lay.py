"""python -m tools.lay FILE

Lay a file of params over the params.yaml beside it: what FILE names takes the place of what was there, and
the rest stays. A section may get new keys. `git checkout params.yaml` takes it off again.
pipelines/vqa2/real.yaml is such a file.

reads   FILE, params.yaml beside it
writes  params.yaml
"""

from pathlib import Path

import yaml

from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import load
from tools.small import merged


def main(file: str):
    path = Path(file).with_name("params.yaml")
    tree = merged(load(path), load(file), file, fixed=1)
    with replacing(path) as draft:
        draft.write_text(yaml.safe_dump(tree, sort_keys=False))


if __name__ == "__main__":
    run(main)
