"""An experiment of MLflow as a projection: what is there stays, what is new is logged once and whole."""

import fcntl
import hashlib
import json
import os
import sys
import time
from contextlib import contextmanager
from pathlib import Path

NOTE = """One run for each cell of the table, under the run that holds means over seeds, table and figures.
Tags to filter by: network, method, k, seed, commit; `tags.state = 'current'` leaves out the superseded.
Metrics without a prefix are of the split `report`; select/ is where choices are made; curve/ is by epoch."""


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


class Store:
    """The experiment of this pipeline's folder, and the finished runs of cells that it holds."""

    def __init__(self):
        from mlflow import MlflowClient

        folder = Path.cwd().relative_to(code()).as_posix()
        self.client, self.title = MlflowClient(), "table" if folder == "." else folder
        found = self.client.get_experiment_by_name(self.title)
        self.id = found.experiment_id if found else self._create()
        self.known = {}
        for each in self._runs("tags.kind = 'cell' and attributes.status = 'FINISHED'"):
            self.known.setdefault(each.info.run_name, []).append((each.info.run_id, each.data.tags))

    def _create(self):
        local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        place = (checkout() / "mlartifacts" / self.title).as_uri() if local else None
        kind = "custom_model_development"  # which opens MLflow's pages for training, not for chats
        tags = {"mlflow.experimentKind": kind, "mlflow.note.content": NOTE}
        return self.client.create_experiment(self.title, place, tags)

    def _runs(self, query):
        page = self.client.search_runs([self.id], query, max_results=1000, order_by=["start_time ASC"])
        while page:
            yield from page
            page = page.token and self.client.search_runs(
                [self.id], query, max_results=1000, order_by=["start_time ASC"], page_token=page.token
            )

    def parent(self):
        for each in self._runs("tags.kind = 'table'"):
            return each.info.run_id
        return self.start(self.title, {"kind": "table", "dataset": self.title})

    def start(self, title, tags):
        return self.client.create_run(self.id, run_name=title, tags=tags).info.run_id

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
        tags = contents["tags"] | tags | {"fingerprint": fingerprint, "numbers": numbers}
        tags = {"kind": "cell", "dataset": self.title, "state": "current"} | tags
        tags = {key: value for key, value in tags.items() if value}
        made = self._log(title, contents, tags)
        for earlier, old in before:
            if old["state"] == "current":
                self.client.set_tag(earlier, "state", "superseded")
                old["state"] = "superseded"
        before.append((made, tags))

    def _log(self, title, contents, tags):
        """One run, complete: only then is it finished; one that is cut short is not taken for it."""
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        made, now = self.start(title, tags), millis()
        metrics = [Metric(key, value, now, 0) for key, value in contents["metrics"].items()]
        metrics += points(contents["curve"], now)
        params = [Param(key, str(value)) for key, value in contents["params"].items()]
        for start in range(0, max(len(metrics), 1), 1000):
            self.client.log_batch(made, metrics[start : start + 1000], params if not start else [])
        data = Dataset(
            "data/features", contents["data"].removesuffix(".dir"), "dvc", json.dumps(contents["data"])
        )
        self.client.log_inputs(made, [DatasetInput(data)])
        self.client.set_terminated(made)
        return made

    def summarize(self, parent, metrics, note, pictures):
        """The table's means and deviations, its text and its pictures, on the parent."""
        from mlflow.entities import Metric, RunTag

        numbers = digest([metrics, note])
        if self.client.get_run(parent).data.tags.get("numbers") == numbers:
            return
        metrics = [Metric(key, value, millis(), 0) for key, value in metrics.items()]
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(parent, metrics[start : start + 1000])
        self.client.log_text(parent, note, "table.md")
        for picture in pictures:
            self.client.log_artifact(parent, str(picture), picture.parent.name)
        tags = {"mlflow.note.content": note, "numbers": numbers}
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
