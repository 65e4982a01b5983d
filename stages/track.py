"""python -m stages.track

Show the table in MLflow: one run per cell with its params, metrics and curve, under one parent run per table,
and the cell that -S network=, method=, k= chose. A run is made from what the pipeline wrote, never by what
computes it, so a cell that DVC restored from its cache appears like any other; a cell that is already there
is not logged again.

reads   dvc.lock; params: table, network, method, k, seed; metrics/
writes  mlflow.db in the main checkout, or to where MLFLOW_TRACKING_URI points
"""

import hashlib
import json
import os
import time
from pathlib import Path

import yaml

from specialists.files import read_json
from specialists.params import read
from specialists.report import NUMBERS, Table, cell
from stages import run


def main():
    axes = read("table", Table)
    chosen = read("network", str), read("method", str), read("k", int)
    seed = read("seed", int)
    lock = yaml.safe_load(Path("dvc.lock").read_text())["stages"]
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{checkout() / 'mlflow.db'}")
    from mlflow import MlflowClient  # 1.5 seconds, which --help and a bad parameter need not wait for

    client = MlflowClient()
    folder = Path.cwd().relative_to(code()).as_posix()
    experiment = client.get_experiment_by_name(folder := "table" if folder == "." else folder)
    experiment = experiment.experiment_id if experiment else client.create_experiment(folder)
    known = {
        (r.info.run_name, r.data.tags["fingerprint"]): r.info.run_id for r in every_run(client, experiment)
    }

    def upsert(name, contents, parent=None):
        fingerprint = hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()[:16]
        if (name, fingerprint) not in known:
            known[name, fingerprint] = log(client, experiment, name, fingerprint, contents, parent)
        return known[name, fingerprint]

    table = upsert("table", {"params": {"rows": len(list(axes.rows())), "seeds": len(axes.seeds)}})
    for row in axes.rows():
        for each in axes.seeds:
            upsert(cell(*row, each), contents(lock, f"cells/{cell(*row, each)}", *row, each), table)
    upsert(f"{cell(*chosen, seed)} (cell)", contents(lock, "cell", *chosen, seed))
    print(f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}")


def contents(lock, name, network, method, k, seed):
    """Everything that a cell's run shows, and so everything that decides whether it is a new run."""
    files = {f"models/{name}.safetensors", f"metrics/{name}.json"}
    makers = [stage for stage in lock.values() if files & {out["path"] for out in stage.get("outs", [])}]
    params = {"network": network, "method": method, "k": k, "seed": seed}
    for stage in makers:
        for section in stage.get("params", {}).get("params.yaml", {}).items():
            params |= flat(*section)
    metrics = read_json(f"metrics/{name}.json")
    numbers = {
        f"{split}_{number}": metrics[split][number] for split in ("select", "report") for number in NUMBERS
    }
    return {
        "params": {key: value for key, value in params.items() if value is not None},
        "metrics": numbers | {"parameters": metrics["parameters"]},
        "curve": read_json(f"metrics/curves/{name}.json")["curve"],
        "tags": {"command": " && ".join(stage["cmd"] for stage in makers)},
    }


def flat(name, value):
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in flat(f"{name}.{part}", inner).items()}


def log(client, experiment, name, fingerprint, contents, parent):
    """One run, complete: it gets its fingerprint last, so that a run cut short is not taken for it."""
    from mlflow.entities import Metric, Param, RunTag

    tags = {"mlflow.parentRunId": parent} if parent else {}
    made = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    now = int(time.time() * 1000)
    metrics = [Metric(key, value, now, 0) for key, value in contents.get("metrics", {}).items()]
    for epoch, record in enumerate(contents.get("curve", []), 1):
        metrics += [
            Metric(f"curve_{key}", value, now, epoch) for key, value in record.items() if key != "chosen"
        ]
    params = [Param(key, str(value)) for key, value in contents["params"].items()]
    client.log_batch(made, params=params, tags=[RunTag(*tag) for tag in contents.get("tags", {}).items()])
    for start in range(0, len(metrics), 1000):
        client.log_batch(made, metrics=metrics[start : start + 1000])
    client.set_tag(made, "fingerprint", fingerprint)
    client.set_terminated(made)
    return made


def every_run(client, experiment):
    """The finished runs of an experiment, all pages."""
    page, token = client.search_runs([experiment], "tags.fingerprint != ''", max_results=1000), True
    while token:
        yield from page
        token = page.token
        page = client.search_runs([experiment], "tags.fingerprint != ''", max_results=1000, page_token=token)


def code():
    return Path(__file__).resolve().parents[1]


def checkout():
    """The main checkout, also from the copies that `dvc exp run --temp` and `--queue` work in."""
    parts = code().parts
    return Path(*parts[: parts.index(".dvc")]) if ".dvc" in parts else code()


if __name__ == "__main__":
    run(main)
