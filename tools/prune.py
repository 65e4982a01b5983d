"""python -m tools.prune

Delete what a smaller table leaves behind: entries of dvc.lock that are no longer stages of dvc.yaml, and what
they wrote in metrics/ and models/. `dvc repro` then makes the table anew, without computing a cell.

reads   dvc.yaml, params.yaml, dvc.lock
writes  dvc.lock, metrics/, models/
"""

import re
from pathlib import Path

from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import load
from specialists.tracking import pipeline


def main():
    stages, lock = pipeline.resolved(pipeline.stages("dvc.yaml"), load()), pipeline.stages("dvc.lock")
    gone = {name: entry for name, entry in lock.items() if name not in stages}
    text = without(Path("dvc.lock").read_text(), gone)
    kept = {path for stage in stages.values() for path in files(pipeline.paths(stage)["outs"])}
    for path in {path for entry in gone.values() for path in files(pipeline.locked(entry)["outs"])}:
        for left in [Path(path), *sorted(Path(path).rglob("*"), reverse=True)]:
            if not kept & {left.as_posix(), *map(str, left.parents)} and not left.is_dir():
                left.unlink(missing_ok=True)
    if gone:
        with replacing("dvc.lock") as draft:
            draft.write_text(text)
    print(*gone, f"{len(gone)} stages deleted from dvc.lock", sep="\n")


def files(outs):
    """The outputs in metrics/ and models/, and the records of the machines that made them."""
    ours = [path for path in outs if re.match(r"(metrics|models)/(?!.*\.\.)", path)]
    return ours + [re.sub("^metrics/(curves/)?", "metrics/environment/", path) for path in ours]


def without(text, names):
    """The text of dvc.lock without some stages, the rest to the letter."""
    entry = re.compile(r"^  (\S+):\n(?:    .*\n)+", re.MULTILINE)
    left = entry.sub(lambda found: "" if found[1] in names else found[0], text)
    lock = pipeline.stages("dvc.lock", text)
    if pipeline.stages("dvc.lock", left) != {name: lock[name] for name in lock if name not in names}:
        raise ValueError(f"dvc.lock: not as DVC writes it; delete by hand: {', '.join(names)}")
    return left


if __name__ == "__main__":
    run(main)
