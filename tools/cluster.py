"""python -m tools.cluster [TARGET...]

Compute what is not up to date in the pipeline of this folder, or what TARGETs follow from, on a Ray cluster:
the one that RAY_ADDRESS names or that runs on this machine, or one of this machine alone, started for it. DVC
decides what changed; Ray says where a stage runs, and runs it again if its node dies; DVC's remote carries
the data; what git tracks comes back here. dvc.lock is in the end as after `dvc repro`. Killed, it goes on
where it was. See docs/cluster.md.

reads   dvc.yaml, params.yaml, dvc.lock, cluster.yaml, and the code as it is committed
writes  dvc.lock, metrics/, MLflow, and what tools.pages writes; outputs to DVC's remote, for `dvc pull`;
        scratch/cluster/STAGE.log: what a stage that failed had printed
"""

import fcntl
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from specialists.base.command import output, run
from specialists.base.params import load
from specialists.tracking import pipeline
from tools import heal, nodes, plan, reproduce
from tools.placing import LOGS, Lock, Placed

CODE = (
    ":/stages",
    ":/specialists",
    ":/tools/attempt.py",
    ":/tools/nodes.py",
    ":/accepted.csv",
    ":/requirements.txt",
    "dvc.yaml",
    "params.yaml",
)
UNSEEN = ("**/metrics/**", "**/dvc.lock", "docs/**", "tests/**")  # in the commit; what the head has is sent
NAMED = 5  # files, in an error


def main(*targets: str):
    if not find_spec("ray"):
        raise ValueError("Ray is not installed; pip install .[cluster]")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    top = Path(output("git", "rev-parse", "--show-toplevel").removesuffix("\n"))
    os.environ |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(top)}
    folder, kinds = str(Path.cwd().relative_to(top)), pipeline.stages("dvc.yaml")
    stages = pipeline.resolved(kinds, load())
    with alone():
        heal.wait()
        heal.heal()
        committed(plan.sources(stages))
        settings = plan.settings(".")
        for name in [name for name, stage in stages.items() if stage.get("always_changed")]:
            on_head(name)
        tree = archive(top)
        steps = planned(tree, folder, settings, targets)
        for name in [name for name, step in steps.items() if step.stale and name not in stages]:
            raise ValueError(
                f"{name}: neither DVC's remote nor its cache here has what it names; `dvc add` it again"
            )
        todo = {name: stages[name] for name, step in steps.items() if step.stale and not step.last}
        if todo:
            lend(steps, todo)
            before = pipeline.sources({name: pipeline.paths(stage) for name, stage in stages.items()})
            with Placed(steps, todo, before, (tree, folder, settings), (kinds, stages)) as placed:
                placed.do()
        finish([step for step in steps.values() if step.last], [*steps])
    output(sys.executable, "-m", "tools.pages", folder=top)
    print(f"{reproduce.verdict(folder)}; `dvc pull` fetches what the nodes computed")


@contextmanager
def alone():
    LOGS.mkdir(parents=True, exist_ok=True)
    with open(LOGS / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"another tools.cluster computes in {Path.cwd()}") from None
        yield


def committed(sources):
    """Refuse what the nodes would not see, or see otherwise: they get the tree of the commit."""
    here = [path for path in sources if not os.path.isabs(path)]
    status = output(
        "git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *CODE, *here
    )
    changed = [line[3:] for line in status.split("\0") if line]
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        raise ValueError(f"nodes see what is committed, and this is not: {', '.join(changed[:NAMED])}{more}")
    known = output("git", "ls-files", "-z", "--", *here).split("\0") if here else []
    for path in here:
        added = Path(f"{path}.dvc")
        if added.exists():
            if '"modified"' in output("dvc", "status", "--json", str(added)):
                raise ValueError(f"{path}: not what {added} says, and nodes get that; `dvc add {path}`")
        elif not any(plan.within(each, path) for each in known):
            raise ValueError(
                f"{path}: read by a stage, made by none and not in git, so nodes have none; name it by an "
                "absolute path that all nodes have, or, outside of data/, `dvc add` it"
            )


def archive(top):
    words = ["git", "archive", "HEAD", "--", ".", *(f":(exclude,glob){each}" for each in UNSEEN)]
    return subprocess.run(words, cwd=top, check=True, capture_output=True).stdout


def planned(tree, folder, settings, targets):
    """The steps, by a clone without data, in which the lists of code are those of now."""
    cache = Path(output("dvc", "cache", "dir").removesuffix("\n")).resolve()
    job = nodes.Job("", folder, settings, [], nodes.read(Path.cwd(), ["code"]), Lock([]).entries, [])
    with TemporaryDirectory(dir=LOGS, ignore_cleanup_errors=True) as clone:
        place = nodes.lay(Path(clone).resolve(), tree, job, cache)
        return plan.plan(place, Path.cwd(), list(targets))


def lend(steps, todo):
    """Give to the remote what was computed here and the nodes will read."""
    read = {name for each in todo for name in steps[each].needs} - todo.keys()
    remote("push", *sorted(read | {name for name, step in steps.items() if step.first}))


def remote(action, *names):
    done = subprocess.run(["dvc", action, *names], capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        raise ValueError(f"dvc {action} {' '.join(names)[:100]}: DVC's remote: {said[-1]}")


def on_head(name, *words):
    if subprocess.run(["dvc", "repro", "--quiet", "--single-item", *words, name]).returncode:
        raise ValueError(f"{name}: failed, see above")


def finish(last, names):
    """What has no outputs, like `track`, writes to MLflow here: also where DVC sees nothing to do."""
    for step in last:
        if step.pulls:
            remote("pull", *step.pulls)
        on_head(step.name, "--force")
    if last:
        Lock(names).save()


if __name__ == "__main__":
    run(main)
