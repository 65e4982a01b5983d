"""python -m tools.attempt STAGE [INPUT...]

Compute one stage in a clone without data: fetch INPUTs, run the stage, give what it made to DVC's remote.
tools.nodes starts it on a node of a cluster, as one process: DVC takes as long to start as to fetch.

reads   dvc.lock, with the entries of what the stage reads; DVC's cache and remote; scratch/ungiven/STAGE
writes  dvc.lock, outputs; attempt.json: what failed, if anything did, and the seconds of each part;
        scratch/ungiven/STAGE: what the remote did not take, for the next attempt
"""

import fcntl
import os
import shutil
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

from dvc.cli import main as dvc
from dvc.utils.serialize import dump_yaml

from specialists.base.command import run
from specialists.base.files import write_json
from specialists.tracking import pipeline
from tools.nodes import read

PUSHES = 3  # attempts: a remote may be away for a moment


def main(stage: str, *inputs: str):
    before, metrics, marks = lock(), read(Path(), ["metrics"]), [time.monotonic()]
    kept = Path("scratch/ungiven", stage)
    for part in (lambda: fetch(inputs), lambda: compute(stage, kept), lambda: push(stage, before)):
        failed = part()
        marks.append(time.monotonic())
        if failed:
            break
    if failed == "pushing":
        keep(stage, kept, metrics)
    elif not failed:
        shutil.rmtree(kept, ignore_errors=True)
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


def compute(stage, kept):
    """Its outputs of before may be away; the run-cache holds no stage with outputs that git keeps."""
    taken = take(stage, kept)
    if dvc(["repro", "--single-item", "--no-run-cache", "--allow-missing", stage]):
        return "the stage"
    missing = [
        out["path"] for out in lock()[stage].get("outs", []) if "md5" not in out
    ]  # which DVC then allows
    if missing:
        print(f"{stage}: did not write {', '.join(missing)}")
        return "the stage"
    if taken and dvc(["commit", "--force", stage]):  # another node's cache may hold it
        return "the stage"


def take(stage, kept):
    """What was kept, with its entry: where nothing has changed since, DVC passes over the stage.

    Whether it was all there; if not, the stage is computed again.
    """
    try:
        entry = pipeline.stages(kept / "dvc.lock")[stage]
        shutil.copytree(kept / "files", ".", dirs_exist_ok=True)
    except (OSError, ValueError, KeyError):
        return False
    dump_yaml("dvc.lock", {"schema": "2.0", "stages": lock() | {stage: entry}})
    return True


def keep(stage, kept, metrics):
    """What a stage wrote, where checkpoints are, whole or not at all: they may have filled the disk."""
    draft = kept.with_name(f".{stage}.{os.getpid()}")
    outs = [out["path"] for out in lock()[stage]["outs"]]
    written = [path for path, text in read(Path(), ["metrics"]).items() if metrics.get(path) != text]
    try:
        for path in {*outs, *written}:
            (target := draft / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            copy = shutil.copytree if Path(path).is_dir() else shutil.copy
            copy(path, target)
        shutil.copy("dvc.lock", draft)
        shutil.rmtree(kept, ignore_errors=True)
        draft.rename(kept)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)


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
