"""python -m tools.recompute CELL

Train and evaluate one cell again, or a network that trains alone, in a scratch clone of HEAD, and compare
with what is committed. Every file must be the same to the bit: in portable mode on any machine with the same
torch, in fast mode on the machine that computed it. On another machine no accuracy may differ by more than
five points; one of 72 cells moved as far from an EPYC to a Xeon. It starts from the features and base models
in DVC's cache. If one is missing, all that the cell is made of is computed first. What that took when it was
committed is said before anything runs; Ctrl-C ends what was started and removes the clone.

reads   dvc.lock and metrics/ of HEAD, DVC's cache
writes  nothing that stays
"""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
from hashlib import md5
from pathlib import Path

from specialists.base import environment
from specialists.base.command import output, run
from specialists.base.files import read_json
from specialists.tracking import pipeline
from specialists.tracking.cells import PORTABLE
from tools.pages import machine

TOLERANCE = 5.0
ACCURACIES = {"top1", "oracle", "single", "overall"}
ROOMS = ("metrics/cells/", "metrics/singles/")
HEAD = pipeline.at("HEAD")


def main(cell: str):
    lock = pipeline.stages("dvc.lock", HEAD("dvc.lock"))
    names = makers(lock, here := place(lock, cell))
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, end)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="recompute-") as scratch:
        folder = clone(scratch)
        missing = checkout(lock, names, folder)
        if missing:
            print(f"not all in DVC's cache, so computed first: {', '.join(missing)}")
        commands = [shlex.join(["dvc", "repro", "--quiet", "--no-commit", *missing])] if missing else []
        stages = [lock[name] for name in names]
        print(f"{cell}: {expected([*(lock[name] for name in missing), *stages])}", flush=True)
        for command in [*commands, *(stage["cmd"] for stage in stages)]:
            attempt(command, folder)
        compare(stages, folder, here)


def end(number, _):
    """End as by an error: first what was started, then the clone, which no second signal interrupts."""
    for each in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def makers(lock, cell):
    """The stages that make a cell: what trains it, and what measures it."""
    made = pipeline.makers(lock)
    files = (f"models/{cell}.safetensors", f"metrics/{cell}.json", f"metrics/alone/{cell}.json")
    return [*dict.fromkeys(made[file] for file in files if file in made)]


def place(lock, cell):
    """What the files of a cell are called."""
    paths = sorted(path for path in pipeline.makers(lock) if path.startswith(ROOMS))
    known = {Path(path).stem: path.removeprefix("metrics/").removesuffix(".json") for path in paths}
    if cell not in known:
        raise ValueError(f"CELL: {cell!r} is not in dvc.lock; known: {', '.join(known)}")
    return known[cell]


def clone(scratch):
    """This folder in a clone of HEAD, which shares the cache of DVC, if there is one.

    It shares it by a link: DVC cannot write a path with letters like ü into its settings.
    """
    top = Path(output("git", "rev-parse", "--show-toplevel").removesuffix("\n"))
    output("git", "clone", "--quiet", str(top), scratch)
    folder = Path(scratch) / Path.cwd().relative_to(top)
    ours, there = (
        Path(output("dvc", "cache", "dir", folder=each).removesuffix("\n")) for each in (".", folder)
    )
    if ours.exists() and not there.exists():
        there.parent.mkdir(parents=True, exist_ok=True)
        there.symlink_to(ours)
    return folder


def checkout(lock, names, folder):
    """Fetch what the stages read from the cache; returns the stages to compute if something is missing."""
    made = pipeline.makers(lock)
    own = {path for path, name in made.items() if name in names}
    wanted = {path for name in names for path in pipeline.locked(lock[name])["deps"]} - own
    inputs = [p for p in made if any(p == dep or p.startswith(f"{dep}/") for dep in wanted)]
    done = subprocess.run(["dvc", "checkout", "--quiet", *inputs], cwd=folder, capture_output=True)
    return list(dict.fromkeys(made[path] for path in inputs)) if done.returncode else []


def expected(stages):
    """How long it will train, by what it took when it was committed, as far as that is known."""
    outs = [out for stage in stages for out in pipeline.locked(stage)["outs"]]
    curves = [out for out in outs if out.startswith("metrics/curves/")]
    paths = [Path(curve.replace("/curves/", "/environment/", 1)) for curve in curves]
    records = [read_json(path) for path in paths if path.exists()]
    minutes = sum(record["wall_seconds"] for record in records) / 60
    machines = " and ".join(sorted(set(map(machine, records)))) if records else "a machine that nobody knows"
    missing = f" ({len(paths) - len(records)} stages not counted)" if len(paths) > len(records) else ""
    return f"{len(stages)} stages, of which training took {minutes:.1f} minutes{missing} on {machines}"


def attempt(command, folder):
    """Run a command; it and all that it started end with us."""
    with subprocess.Popen(command, shell=True, cwd=folder, process_group=0) as process:
        try:
            failed = process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if failed:
        raise ValueError(f"{command}: failed, see above")


def compare(stages, folder, at):
    """Print how the outputs in `folder` differ from those of dvc.lock, and exit with 1 if they must not."""
    cell, outs = Path(at).name, [out for stage in stages for out in stage["outs"]]
    changed = [out["path"] for out in outs if _md5(folder / out["path"]) != out["md5"]]
    if not changed:
        print(f"{cell}: the same to the bit, {len(outs)} files")
        return
    then = pipeline.content(HEAD, f"metrics/{at}.json")["report"]
    now = read_json(folder / f"metrics/{at}.json")["report"]
    gap = max(abs(then[name] - now[name]) for name in ACCURACIES & then.keys())
    old, here = pipeline.content(HEAD, f"metrics/environment/{at}.json"), environment.machine()
    portable = pipeline.portable(stages[0])
    same = all(old.get(key) == here[key] for key in (PORTABLE if portable else here))
    where = f"another machine ({old['processor']}, torch {old['torch']})"
    if same:
        where = "some machine in portable mode, which is the same on all" if portable else "this machine"
    print(f"{cell}: computed on {where}; differs: {', '.join(changed)}; accuracies by up to {gap:.2f} points")
    sys.exit(same or gap > TOLERANCE)


def _md5(path):
    return md5(path.read_bytes(), usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    run(main)
