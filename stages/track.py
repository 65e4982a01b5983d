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

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import yaml

from specialists.losses import GENERALISTS
from specialists.report import NUMBERS, Table, cell, table
from stages import run

FINISHED = "tags.fingerprint != ''"


def main(*, history: bool = False):
    with reachable(), alone():
        store = Store(experiment())
        for revision, read in past() if history else [("", lambda path: Path(path).read_text())]:
            show(store, read, revision)
        print(f"mlflow ui --backend-store-uri {os.environ['MLFLOW_TRACKING_URI']}")


@contextmanager
def reachable():
    """A server that does not answer is one line, and no reason to fail a pipeline."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{checkout() / 'mlflow.db'}")
    from mlflow.exceptions import MlflowException  # 1.5 seconds, which --help need not wait for

    try:
        yield
    except MlflowException as error:
        reason = f"not all is logged: {' '.join(str(error).split())[:160]}"
        print(f"stages.track: {os.environ['MLFLOW_TRACKING_URI']}: {reason}", file=sys.stderr)


@contextmanager
def alone():
    """Two processes that meet in a new sqlite database would spoil it, and two may log the same cell."""
    with open(checkout() / ".mlflow.lock.tmp", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def experiment():
    folder = Path.cwd().relative_to(code()).as_posix()
    return "table" if folder == "." else folder


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
    store.summarize(parent, table(axes, numbers), read)


def contents(lock, read, place, metrics, network, method, k, seed):
    """Everything that a cell's run shows; `inputs` decides whether it is a new one."""
    files = {f"models/{place}.safetensors", f"metrics/{place}.json"}
    makers = [stage for stage in lock.values() if files & {out["path"] for out in stage.get("outs", [])}]
    axes = {"network": network, "method": method, "k": k, "seed": seed}
    params = dict(axes)
    for stage in makers:
        for section in stage.get("params", {}).get("params.yaml", {}).items():
            params |= flat(*section)
    deps = {dep["path"]: dep["md5"] for stage in makers for dep in stage["deps"]}
    return {
        "inputs": [[stage["cmd"] for stage in makers], deps, params],
        "data": deps["data/features"],
        "params": {key: value for key, value in params.items() if value is not None},
        "metrics": {f"{split}/{n}": metrics[split][n] for split in ("select", "report") for n in NUMBERS}
        | {"parameters": metrics["parameters"]},
        "curve": json.loads(read(f"metrics/curves/{place}.json"))["curve"],
        "tags": {key: str(value) for key, value in axes.items() if value is not None}
        | {"command": " && ".join(stage["cmd"] for stage in makers)},
    }


class Store:
    """One experiment of MLflow, and what it holds already."""

    def __init__(self, title):
        from mlflow import MlflowClient

        self.client, self.title = MlflowClient(), title
        found = self.client.get_experiment_by_name(title)
        local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        place = (checkout() / "mlartifacts" / title).as_uri() if local else None
        self.id = found.experiment_id if found else self.client.create_experiment(title, place)
        self.known = {}
        for each in self.runs(FINISHED):
            self.known.setdefault(each.info.run_name, []).append((each.info.run_id, each.data.tags))

    def runs(self, query):
        page = self.client.search_runs([self.id], query, max_results=1000, order_by=["start_time ASC"])
        while page:
            yield from page
            token = page.token
            page = token and self.client.search_runs(
                [self.id], query, max_results=1000, order_by=["start_time ASC"], page_token=token
            )

    def parent(self):
        for each in self.runs("tags.kind = 'table'"):
            return each.info.run_id
        tags = {"kind": "table", "dataset": self.title}
        return self.client.create_run(self.id, run_name=self.title, tags=tags).info.run_id

    def upsert(self, title, contents, tags):
        """Log a cell unless it is there; one that comes later supersedes those before it."""
        fingerprint, numbers = digest(contents["inputs"]), digest([contents["metrics"], contents["curve"]])
        before = self.known.setdefault(title, [])
        same = [(made, old) for made, old in before if old["fingerprint"] == fingerprint]
        for made, old in same:
            if old["numbers"] == numbers:
                if old["commit"] == "uncommitted" != tags["commit"]:
                    self.client.set_tag(made, "commit", tags["commit"])
                    old["commit"] = tags["commit"]
                return
        if same:
            tags = tags | {"nondeterministic": f"other numbers than {same[-1][0]} from the same inputs"}
            print(f"stages.track: {title}: {tags['nondeterministic']}", file=sys.stderr)
        tags = {"kind": "cell", "dataset": self.title, "state": "current"} | contents["tags"] | tags
        tags = {key: value for key, value in tags.items() if value}
        made = self.log(title, contents, tags, {"fingerprint": fingerprint, "numbers": numbers})
        for earlier, old in before:
            if old["state"] == "current":
                self.client.set_tag(earlier, "state", "superseded")
                old["state"] = "superseded"
        before.append((made, tags | {"fingerprint": fingerprint, "numbers": numbers}))

    def log(self, title, contents, tags, last):
        """One run, complete: it gets the tags `last` at the end; a run cut short is not taken for it."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag

        made, now = self.client.create_run(self.id, run_name=title, tags=tags).info.run_id, millis()
        metrics = [Metric(key, value, now, 0) for key, value in contents["metrics"].items()]
        metrics += points(contents["curve"], now)
        params = [Param(key, str(value)) for key, value in contents["params"].items()]
        for start in range(0, max(len(metrics), 1), 1000):
            self.client.log_batch(made, metrics[start : start + 1000], params if not start else [])
        data = Dataset(
            "data/features", contents["data"].removesuffix(".dir"), "dvc", json.dumps(contents["data"])
        )
        self.client.log_inputs(made, [DatasetInput(data)])
        self.client.log_batch(made, tags=[RunTag(*tag) for tag in last.items()])
        self.client.set_terminated(made)
        return made

    def summarize(self, parent, rows, read):
        """Means and deviations over seeds on the parent; the table and the figures beside them."""
        from mlflow.entities import Metric, RunTag

        numbers = digest(rows)
        if self.client.get_run(parent).data.tags.get("numbers") == numbers:
            return
        metrics = [
            Metric(f"{number}_{part}/{title}", row["report"][number][part], millis(), 0)
            for title, row in rows.items()
            for number in ("top1", "oracle")
            for part in ("mean", "std")
            if row["report"][number][part] is not None
        ]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(parent, metrics[start : start + 1000])
        text = read("metrics/table.md")
        self.client.log_text(parent, text, "table.md")
        for picture in sorted(Path("metrics").glob("*/*.png")):
            self.client.log_artifact(parent, str(picture), picture.parent.name)
        tags = {"mlflow.note.content": text, "numbers": numbers}
        self.client.log_batch(parent, tags=[RunTag(*tag) for tag in tags.items()])
        self.client.set_terminated(parent)


def points(curve, now):
    from mlflow.entities import Metric

    return [
        Metric(f"curve/{key}", value, now, epoch)
        for epoch, record in enumerate(curve, 1)
        for key, value in record.items()
        if key != "chosen"
    ]


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


def digest(tree):
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def millis():
    return int(time.time() * 1000)


def code():
    return Path(__file__).resolve().parents[1]


def checkout():
    """The main checkout, also from the copies that `dvc exp run --temp` and `--queue` work in."""
    parts = code().parts
    return Path(*parts[: parts.index(".dvc")]) if ".dvc" in parts else code()


LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

if __name__ == "__main__":
    run(main)
