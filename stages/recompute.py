"""python -m stages.recompute CELL

Train and evaluate one cell again in a scratch clone of HEAD, and compare with what is committed: on the
machine that computed it every file must be the same to the bit, on another no accuracy may differ by more
than five points, which is as far as one of 72 cells went from an EPYC to a Xeon. It starts from the features
and base models in DVC's cache; where one is not there, all that the cell is made of is computed first.

reads   dvc.lock and metrics/ of HEAD, DVC's cache
writes  nothing that stays
"""

import json
import shlex
import signal
import subprocess
import sys
import tempfile
from hashlib import md5
from pathlib import Path

from specialists import environment, pipeline
from specialists.files import read_json
from stages import output, run

TOLERANCE = 5.0


def main(cell: str):
    lock = pipeline.stages("dvc.lock", _head("dvc.lock"))
    files = [
        f"models/cells/{cell}.safetensors",
        f"metrics/cells/{cell}.json",
        f"metrics/alone/cells/{cell}.json",
    ]
    made = pipeline.makers(lock)
    names = [made[file] for file in files if file in made]
    if len(names) < 2:
        cells = sorted(Path(path).stem for path in made if path.startswith("metrics/cells/"))
        raise ValueError(f"CELL: {cell!r} is not in dvc.lock; known: {', '.join(cells)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as an error, after which the clone is removed
    top = Path(output("git", "rev-parse", "--show-toplevel").strip())
    here = Path.cwd().relative_to(top)
    with tempfile.TemporaryDirectory(prefix="recompute-") as scratch:
        output("git", "clone", "--quiet", "--shared", str(top), scratch)
        folder = Path(scratch) / here
        output("dvc", "cache", "dir", "--local", output("dvc", "cache", "dir").strip(), folder=folder)
        makers = [lock[name] for name in names]
        own = {path for path, name in made.items() if name in names}
        wanted = {path for stage in makers for path in pipeline.locked(stage)["deps"]} - own
        inputs = [p for p in made if any(p == dep or p.startswith(f"{dep}/") for dep in wanted)]
        commands, there = [stage["cmd"] for stage in makers], ["dvc", "checkout", "--quiet", *inputs]
        if subprocess.run(there, cwd=folder, capture_output=True).returncode:
            first = dict.fromkeys(made[path] for path in inputs)
            print(f"not all in DVC's cache, so computed first: {', '.join(first)}", flush=True)
            commands.insert(0, shlex.join(["dvc", "repro", "--quiet", "--no-commit", *first]))
        for command in commands:
            if subprocess.run(command, shell=True, cwd=folder).returncode:
                raise ValueError(f"{command}: failed, see above")
        compare(makers, folder, cell)


def compare(makers, folder, cell):
    """Print how the outputs in `folder` differ from those of dvc.lock, and exit with 1 if they must not."""
    outs = [out for stage in makers for out in stage["outs"]]
    changed = [out["path"] for out in outs if _md5(folder / out["path"]) != out["md5"]]
    if not changed:
        print(f"{cell}: the same to the bit, {len(outs)} files")
        return
    then = json.loads(_head(f"metrics/cells/{cell}.json"))["report"]
    now = read_json(folder / f"metrics/cells/{cell}.json")["report"]
    gap = max(abs(then[name] - now[name]) for name in ("top1", "oracle", "single"))
    old = json.loads(_head(f"metrics/environment/cells/{cell}.json"))
    same = all(old[key] == value for key, value in environment.machine().items())
    where = "this machine" if same else f"another machine ({old['processor']}, torch {old['torch']})"
    print(f"{cell}: computed on {where}; differs: {', '.join(changed)}; accuracies by up to {gap:.2f} points")
    sys.exit(same or gap > TOLERANCE)


def _head(path):
    return output("git", "show", f"HEAD:./{path}")


def _md5(path):
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run(main)
