"""python -m stages.track [--history]

Show the table in MLflow: a run for each cell with its params, metrics, curve, data and commit, under one
parent run with the means over seeds, the table and the figures; and a run for the cell that `network`,
`method` and `k` choose. A run is made from what the pipeline wrote, never by what computes it, so a cell that
DVC restored from its cache appears like any other. What is there already is not logged again. Other numbers
from the same inputs are logged beside the old ones, and called nondeterministic. The tag `state` tells the
current runs from the superseded. With --history every commit that changed dvc.lock is shown, from git alone.

reads   dvc.lock, params.yaml, metrics/
writes  mlflow.db and mlartifacts/ in the main checkout, or to where MLFLOW_TRACKING_URI points
"""

import json
import os
import subprocess
from pathlib import Path

import yaml

from specialists.losses import GENERALISTS
from specialists.report import NUMBERS, Table, cell, table
from specialists.tracking import Store, alone, reachable
from stages import run


def main(*, history: bool = False):
    with reachable(), alone():
        store = Store()
        for revision, read in past() if history else [("", lambda path: Path(path).read_text())]:
            show(store, read, revision)
        print(f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}")


def show(store, read, revision):
    """Log what is new in one state of the pipeline's folder, whose files `read` gives as text."""
    params, lock = yaml.load(read("params.yaml"), LOADER), yaml.load(read("dvc.lock"), LOADER)["stages"]
    axes = Table(**params["table"])
    numbers = {each: json.loads(read(f"metrics/cells/{each}.json")) for each in axes.cells()}
    commits = {} if revision else committed()
    parent = store.parent()
    for row in axes.rows():
        for seed in axes.seeds:
            each = cell(*row, seed)
            found = contents(lock, read, f"cells/{each}", numbers[each], *row, seed)
            commit = revision or commits.get(f"metrics/cells/{each}.json", "uncommitted")
            store.upsert(each, found, {"commit": commit, "mlflow.parentRunId": parent})
    k = None if params["method"] in GENERALISTS else params["k"]
    chosen = params["network"], params["method"], k, params["seed"]
    found = contents(lock, read, "cell", json.loads(read("metrics/cell.json")), *chosen)
    commit = revision or commits.get("metrics/cell.json", "uncommitted")
    store.upsert(
        f"{cell(*chosen)} (cell)", found, {"commit": commit, "experiment": os.getenv("DVC_EXP_NAME", "")}
    )
    means = {
        f"{number}_{part}/{title}": row["report"][number][part]
        for title, row in table(axes, numbers).items()
        for number in ("top1", "oracle")
        for part in ("mean", "std")
        if row["report"][number][part] is not None
    }
    store.summarize(parent, means, read("metrics/table.md"), sorted(Path("metrics").glob("*/*.png")))


def contents(lock, read, place, metrics, network, method, k, seed):
    """Everything that a cell's run shows; `inputs` decides whether it is a new one."""
    files = {f"models/{place}.safetensors", f"metrics/{place}.json"}
    makers = [stage for stage in lock.values() if files & {out["path"] for out in stage.get("outs", [])}]
    axes = {"network": network, "method": method, "k": k, "seed": seed}
    params = dict(axes)
    for stage in makers:
        for section, value in stage.get("params", {}).get("params.yaml", {}).items():
            params |= flat(SECTIONS.get(section, section), value)
    deps = {dep["path"]: dep["md5"] for stage in makers for dep in stage["deps"]}
    return {
        "inputs": [[stage["cmd"] for stage in makers], deps, params],
        "data": deps["data/features"],
        "params": {key: value for key, value in params.items() if value is not None},
        "metrics": {n: metrics["report"][n] for n in NUMBERS}
        | {f"select/{n}": metrics["select"][n] for n in NUMBERS}
        | {"parameters": metrics["parameters"]},
        "curve": json.loads(read(f"metrics/curves/{place}.json"))["curve"],
        "tags": {key: str(value) for key, value in axes.items() if value is not None}
        | {"command": " && ".join(stage["cmd"] for stage in makers)},
    }


def past():
    """(commit, reader of its files) for every commit that changed this folder's dvc.lock, oldest first."""
    for commit in git("log", "--reverse", "--format=%h", "--", "dvc.lock").split():
        yield commit, lambda path, commit=commit: git("show", f"{commit}:./{path}")


def committed():
    """Path -> the last commit that changed it, for the files of metrics/ that are as in git."""
    if subprocess.run(["git", "rev-parse", "--quiet", "--verify", "HEAD"], capture_output=True).returncode:
        return {}  # nothing is committed yet
    dirty = {line[3:] for line in git("status", "--porcelain", "-z", "--", "metrics").split("\0")}
    prefix, commits, commit = git("rev-parse", "--show-prefix").strip(), {}, ""
    for line in git("log", "--format=:%h", "--name-only", "--", "metrics/cells", "metrics/cell.json").split(
        "\n"
    ):
        if line.startswith(":"):
            commit = line[1:]
        elif line and line not in dirty:
            commits.setdefault(line.removeprefix(prefix), commit)
    return commits


def git(*words):
    done = subprocess.run(["git", *words], capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


def flat(title, value):
    if not isinstance(value, dict):
        return {title: value}
    return {
        key: leaf for part, inner in value.items() for key, leaf in flat(f"{title}.{part}", inner).items()
    }


# MLflow's page of comparisons opens on the first params that differ, by name: these must be k and method.
SECTIONS = {"distill": "methods.student"}
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

if __name__ == "__main__":
    run(main)
