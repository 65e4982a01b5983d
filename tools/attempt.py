"""python -m tools.attempt STAGE [INPUT...]

Compute one stage in a clone without data: fetch INPUTs, run the stage, give what it made to DVC's remote.
tools.nodes starts it on a node of a cluster, as one process: DVC takes as long to start as to fetch.

reads   dvc.lock, with the entries of what the stage reads; DVC's cache and remote
writes  dvc.lock, outputs; attempt.json: what failed, if anything did, and the seconds of each part
"""

import fcntl
import os
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dvc.cli import main as dvc

from specialists.base.command import run
from specialists.base.files import write_json
from specialists.tracking import pipeline

PUSHES = 3  # attempts: a remote may be away for a moment


def main(stage: str, *inputs: str):
    before, marks = lock(), [time.monotonic()]
    for part in (lambda: fetch(inputs), lambda: compute(stage), lambda: push(stage, before)):
        failed = part()
        marks.append(time.monotonic())
        if failed:
            break
    seconds = [end - begin for begin, end in zip(marks, marks[1:], strict=False)]
    write_json("attempt.json", {"failed": failed, "seconds": seconds})


def lock():
    return pipeline.stages("dvc.lock", Path("dvc.lock").read_text())


def fetch(inputs):
    """Who comes while another fetches waits for it, and then finds all in the node's cache."""
    cache = Path(os.environ["NODE_CACHE"])
    with nullcontext() if cached(inputs, cache) else alone(cache.with_name("pull.lock")):
        # DVC 3.67.1 passes over `models/a`, without a word, if `data` is asked for too: the rest one by one.
        for some in [inputs, *([path] for path in inputs)]:
            missing = [path for path in some if not Path(path).exists()]
            if missing and dvc(["pull", *missing]):
                return "fetching"


def cached(inputs, cache):
    md5s = {out["path"]: out.get("md5", "") for entry in lock().values() for out in entry.get("outs", [])}
    return all(
        (cache / "files/md5" / md5s.get(path, "")[:2] / md5s.get(path, "")[2:]).is_file() for path in inputs
    )


@contextmanager
def alone(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def compute(stage):
    """Its outputs of before may be away; the run-cache holds no stage with outputs that git keeps."""
    if dvc(["repro", "--single-item", "--no-run-cache", "--allow-missing", stage]):
        return "the stage"
    missing = [
        out["path"] for out in lock()[stage].get("outs", []) if "md5" not in out
    ]  # which DVC then allows
    if missing:
        print(f"{stage}: did not write {', '.join(missing)}")
        return "the stage"


def push(stage, before):
    if lock()[stage] == before.get(stage):
        return None
    for attempt in range(PUSHES):
        time.sleep(2**attempt - 1)
        if not dvc(["push", stage]):
            return None
    return "pushing"


if __name__ == "__main__":
    run(main)
