"""python -m tools.lay FILE

Lay a file of params over the params.yaml beside it: what FILE names takes the place of what was there, and
the rest stays. `git checkout params.yaml` takes it off again. pipelines/vqa2/real.yaml is such a file.

reads   FILE, params.yaml beside it
writes  params.yaml
"""

from copy import deepcopy
from pathlib import Path

import yaml

from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import load


def main(file: str):
    path = Path(file).with_name("params.yaml")
    tree = laid(load(path), load(file))
    with replacing(path) as draft:
        draft.write_text(yaml.safe_dump(tree, sort_keys=False))


def laid(tree, over):
    """A tree with `over` on top: mapping into mapping, anything else in place of what was there."""
    if not isinstance(tree, dict) or not isinstance(over, dict):
        return deepcopy(over)  # which YAML then writes out where it is named again
    return tree | {key: laid(tree.get(key), value) for key, value in over.items()}


if __name__ == "__main__":
    run(main)
