"""python -m stages.track [--history]

Show the table in MLflow: a run for each cell with its params, metrics, curve, data, machine and commit, under
one parent run with the means over seeds, the table and the figures; and a run for the cell that `network`,
`method` and `k` choose. A run is made from what the pipeline wrote, never by what computes it, so a cell that
DVC restored from its cache appears like any other. What is there already is not logged again. Other numbers
from the same inputs on the same machine are logged beside the old ones, and called nondeterministic. The tag
`state` tells current runs from superseded ones, and from those of `dvc exp run`, which leave the table alone.
With --history every commit that changed dvc.lock is shown first, from git alone.

reads   dvc.lock, params.yaml, metrics/
writes  mlflow.db and mlartifacts/ in the main checkout, or to where MLFLOW_TRACKING_URI points
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from specialists.losses import GENERALISTS
from specialists.report import NUMBERS, cell
from specialists.tracking import PARENT, Store, alone, reachable
from stages import output, run


def main(*, history: bool = False):
    with reachable(), alone():
        store = Store()
        tables = {}
        for commit, read in past() if history else []:
            try:
                parent, means = show(store, read, {"commit": commit})
                tables[parent] = means, read("metrics/table.md"), []
            except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
                print(f"stages.track: {commit}: left out, it holds no whole table ({error})", file=sys.stderr)
        tags = {"commit": committed(), "experiment": os.getenv("DVC_EXP_NAME", "")}
        parent, means = show(store, lambda path: Path(path).read_text(), tags)
        if parent:
            pictures = sorted(Path("metrics").glob("*/*.png"))
            tables[parent] = means, Path("metrics/table.md").read_text(), pictures
        for parent, summary in tables.items():
            store.summarize(parent, *summary)
        print(f"in MLflow at {os.environ['MLFLOW_TRACKING_URI']}")


def show(store, read, tags):
    """Log what is new in one state of the pipeline's folder, whose files `read` gives as text."""
    params, lock = yaml.load(read("params.yaml"), LOADER), yaml.load(read("dvc.lock"), LOADER)["stages"]
    table = json.loads(read("metrics/table.json"))
    tags = tags | {"dataset": Path(params["data"]["root"]).name}
    rows = [(row["network"], row["method"], row["k"]) for row in table.values()]
    cells = [(*row, seed) for row in rows for seed in params["table"]["seeds"]]
    found = {cell(*each): contents(lock, read, f"cells/{cell(*each)}", *each) for each in cells}
    parent = None if tags.get("experiment") else store.parent(sorted(found))
    under = dict.fromkeys(found, {PARENT: parent} if parent else {})
    if "specialize_cell" in lock:
        k = None if params["method"] in GENERALISTS else params["k"]
        chosen = params["network"], params["method"], k, params["seed"]
        found[f"{cell(*chosen)} (cell)"] = contents(lock, read, "cell", *chosen)
    for title, content in found.items():
        store.upsert(title, content, tags | under.get(title, {}))
    if parent:
        store.keep(found)
    return parent, {
        f"{number}_{part}/{title}": row["report"][number][part]
        for title, row in table.items()
        for number in ("top1", "oracle")
        for part in ("mean", "std")
        if row["report"][number][part] is not None
    }


def contents(lock, read, place, network, method, k, seed):
    """Everything that a cell's run shows; `inputs` decides whether it is a new one."""
    blind = f"metrics/alone/{place}.json"
    files = {f"models/{place}.safetensors", f"metrics/{place}.json", blind}
    made = {out["path"]: stage for stage in lock.values() for out in stage.get("outs", [])}
    makers = [made[path] for path in sorted(files) if path in made]
    metrics = json.loads(read(f"metrics/{place}.json"))
    alone = json.loads(read(blind))["report"] if blind in made else {}
    everybody = "all" if method in GENERALISTS else "none"
    axes = {"network": network, "method": method, "k": k or everybody, "seed": seed}
    # The compare page opens on the first three params that differ, by name: these, of each ten letters.
    params = {"cell": f"k{k}-{method}" if k else method}
    params |= {f"cell.{key}": value for key, value in axes.items()}
    for stage in makers:
        for section in stage.get("params", {}).get("params.yaml", {}).items():
            params |= flat(*section)
    deps = {dep["path"]: dep["md5"] for stage in makers for dep in stage["deps"] if dep["path"] not in files}
    machine = environment(read, f"metrics/environment/{place}.json")
    commands = [stage["cmd"] for stage in makers]
    return {
        "inputs": [commands, deps, params, machine],
        "data": deps["data/features"],
        "params": params,
        "metrics": {n: metrics["report"][n] for n in NUMBERS}
        | {f"select/{n}": metrics["select"][n] for n in NUMBERS}
        | {f"{modality}_alone": value for modality, value in alone.items()}
        | {"parameters": metrics["parameters"]},
        "curve": json.loads(read(f"metrics/curves/{place}.json"))["curve"],
        "tags": {key: str(value) for key, value in (axes | machine).items()}
        | {"command": " && ".join(commands)},
    }


def environment(read, path):
    """What computed a number, as far as is known."""
    try:
        known = json.loads(read(path))
    except (OSError, ValueError):
        known = {}
    return {key: known.get(key, "unknown") for key in ("processor", "system", "python", "torch", "threads")}


def past():
    """(commit, reader of its files) for every commit that changed this folder's dvc.lock, oldest first."""
    for commit in output("git", "log", "--reverse", "--format=%h", "--", "dvc.lock").split():
        yield commit, lambda path, commit=commit: output("git", "show", f"{commit}:./{path}")


def committed():
    """The commit that holds these numbers, if one does: the last that changed dvc.lock."""
    if subprocess.run(["git", "rev-parse", "--quiet", "--verify", "HEAD"], capture_output=True).returncode:
        return "uncommitted"
    if output("git", "status", "--porcelain", "--", "dvc.lock", "metrics").strip():
        return "uncommitted"
    return output("git", "log", "-1", "--format=%h", "--", "dvc.lock").strip()


def flat(title, value):
    if not isinstance(value, dict):
        return {title: value}
    return {
        key: leaf for part, inner in value.items() for key, leaf in flat(f"{title}.{part}", inner).items()
    }


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

if __name__ == "__main__":
    run(main)
