"""python -m stages.track [--history]

Show the table in MLflow: a run for each cell with its params, metrics, curve, data, machine and commit, under
one parent run with the means over seeds, the table and the figures, which stands for the best row where it is
compared; a run for each network that trains alone, under the same parent; and a run for the cell that
`network`, `method` and `k` choose. A run is made from what the pipeline
wrote, never by what computes it, so a cell that DVC restored from its cache appears like any other. What is
there already is not logged again. Other numbers from the same inputs are logged beside the old ones, and
called nondeterministic; in fast mode the machine is an input, in portable mode its torch alone. The tag
`state` tells current runs from superseded ones, and from those of `dvc exp run`, which leave the table alone:
the cells that differ from the commit it began with, each called by the experiment's name and its own.
With --history every commit that changed dvc.lock and every experiment that DVC keeps is shown first, from git
alone.

reads   dvc.lock, metrics/
writes  mlflow.db and mlartifacts/ in the main checkout, or to where MLFLOW_TRACKING_URI points
"""

import gc
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from specialists.base.command import output, run
from specialists.tracking.cells import shown
from specialists.tracking.pipeline import at, here, makers, stages
from specialists.tracking.store import PARENT, Store, alone, millis, reachable


def main(*, history: bool = False):
    tags = {"commit": committed(), "experiment": os.getenv("DVC_EXP_NAME", "")}
    now = new(shown(here)) if tags["experiment"] else shown(here)
    gc.disable()  # a tenth of the time: what MLflow loads stays
    with reachable() as address, alone():
        store, tables = Store(), {}
        for number, (seconds, commit, experiment, read) in enumerate(past() if history else []):
            try:
                then = shown(read)
            except ValueError as error:
                print(f"stages.track: {commit}: left out, it holds no whole table ({error})", file=sys.stderr)
            else:
                store.now = 1000 * int(seconds) + number  # in their order even within a second
                if parent := show(store, then, {"commit": commit, "experiment": experiment}):
                    tables[parent] = then, []
        store.now = millis()
        if parent := show(store, now, tags):
            tables[parent] = now, sorted(Path("metrics").glob("*/*.png"))
        for parent, (each, pictures) in tables.items():
            store.summarize(parent, each.params, each.metrics, each.page, pictures)
        print("in MLflow:", store.page(address).replace(", served by", "\nserved by"))


def new(state):
    """What of an experiment is not in the commit that it began with: the cells that were evaluated anew."""
    try:
        old = stages("dvc.lock", at("HEAD")("dvc.lock"))
    except ValueError:  # nothing was ever committed
        return state
    lock = stages("dvc.lock")
    changed = {path for path, name in makers(lock).items() if lock[name] != old.get(name)}

    def fresh(runs, room):
        return {title: run for title, run in runs.items() if f"metrics/{room}/{title}.json" in changed}

    chosen = state.chosen if "metrics/cell.json" in changed else {}
    rows, singles = fresh(state.rows, "cells"), fresh(state.singles, "singles")
    return replace(state, rows=rows, chosen=chosen, singles=singles)


def show(store, state, tags):
    """Log what is new in one state; returns the run of its table, or None for an experiment."""
    tags = tags | {"dataset": state.dataset}
    parent = None if tags["experiment"] else store.parent([state.table, state.inputs], tags)
    for lane, runs in (("table", state.rows), ("single", state.singles)):
        for title, content in runs.items():
            store.upsert(title, content, tags | {"lane": lane} | ({PARENT: parent} if parent else {}))
    for title, content in state.chosen.items():
        store.upsert(title, content, tags | {"lane": "cell"})
    if parent:
        store.keep(state.rows | state.singles | state.chosen)
    return parent


def past():
    """(time, commit, name, reader of its files) of commits that changed this folder's dvc.lock, the oldest
    first, then of experiments that DVC keeps. Only experiments have a name."""
    changes = output("git", "log", "--reverse", "--format=%ct %h ", "--", "dvc.lock").splitlines()
    names = "--format=%(committerdate:unix) %(objectname:short) %(refname:lstrip=-1)"
    kept = output("git", "for-each-ref", names, "refs/exps/??/*/*").splitlines()
    for seconds, commit, name in (line.split(" ") for line in changes + kept):
        yield seconds, commit, name, at(commit)


def committed():
    """The last commit that changed dvc.lock, if it holds these numbers; else `uncommitted`."""
    if subprocess.run(["git", "rev-parse", "--quiet", "--verify", "HEAD"], capture_output=True).returncode:
        return "uncommitted"
    if output("git", "status", "--porcelain", "--", "dvc.lock", "metrics").strip():
        return "uncommitted"
    return output("git", "log", "-1", "--format=%h", "--", "dvc.lock").strip()


if __name__ == "__main__":
    run(main)
