"""An experiment of MLflow as a projection: runs that are there stay, new ones are logged once and whole."""

import fcntl
import hashlib
import json
import os
import re
import sqlite3
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path
from textwrap import shorten

from specialists.tracking import views


@contextmanager
def reachable():
    """Yield where MLflow is. If it does not answer, that is one line, and no reason to fail a pipeline."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    ours = not os.getenv("MLFLOW_TRACKING_URI")
    if ours:
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{checkout() / 'mlflow.db'}"
    address = re.sub(r"//[^@/]*@", "//", os.environ["MLFLOW_TRACKING_URI"])  # without a password
    from mlflow.exceptions import MlflowException  # 1.5 seconds, which --help saves
    from requests import RequestException
    from sqlalchemy import Engine, event
    from sqlalchemy.exc import SQLAlchemyError

    if ours:
        event.listen(Engine, "connect", _hasten)
    try:
        yield address
    except (MlflowException, RequestException, SQLAlchemyError, ImportError) as error:
        cause = error  # the first of all, which says why: "Connection refused"
        while inner := cause.__cause__ or cause.__context__:
            cause = inner
        reason = shorten(str(cause if isinstance(cause, OSError) else error), 200)
        print(f"MLflow at {address}: not all is logged: {reason}", file=sys.stderr)


@contextmanager
def alone():
    """One process at a time: two would spoil a new sqlite database, or log the same cell twice."""
    with open(checkout() / ".mlflow.lock.tmp", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _hasten(connection, _):
    """Give sqlite a write-ahead log: MLflow commits ten times a run, and each would wait for the disk."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")


def _check(address):
    """Refuse a file that is no database; MLflow would try for two minutes to read it."""
    from mlflow.exceptions import MlflowException

    path = Path(address.removeprefix("sqlite:///"))
    if not address.startswith("sqlite:///") or not os.path.lexists(path):
        return
    if not path.is_file():
        raise MlflowException(f"{path}: not a file, expected a database; move it away")
    try:
        with closing(sqlite3.connect(path)) as database:
            database.execute("BEGIN IMMEDIATE")  # whether somebody else writes, for longer than seconds
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        found = str(error)
    if found != "ok":
        raise MlflowException(f"{path}: {' '.join(found.split())}")


class Store:
    """The experiment of this pipeline's folder, and the finished runs of cells that it holds."""

    def __init__(self):
        from mlflow import MlflowClient

        _check(os.environ["MLFLOW_TRACKING_URI"])
        folder = Path.cwd().relative_to(code()).as_posix()
        self.client, self.title = MlflowClient(), "table" if folder == "." else folder
        found = self.client.get_experiment_by_name(self.title)
        self.id = found.experiment_id if found else self._create()
        for key, value in views.tags().items():
            if found and key not in found.tags:
                self.client.set_experiment_tag(self.id, key, value)
        self.known, self.now = {}, millis()  # `now` is when a run begins
        for each in self.runs("tags.kind = 'cell' and attributes.status = 'FINISHED'"):
            title = each.info.run_name.rpartition(BY)[2]
            self.known.setdefault(title, {})[each.info.run_id] = dict(each.data.tags)

    def page(self, address):
        """The address of the page with the cells, the best first, and the command that serves it."""
        cells = f"#/experiments/{self.id}/runs?viewStateShareKey=cells"
        if not address.startswith("sqlite:"):
            return f"{address}/{cells}"
        return f"http://127.0.0.1:5000/{cells}, served by `mlflow ui --backend-store-uri {address}`"

    def _create(self):
        local = os.environ["MLFLOW_TRACKING_URI"].startswith("sqlite:")
        place = (checkout() / "mlartifacts" / self.title).as_uri() if local else None
        return self.client.create_experiment(self.title, place, views.tags())

    def runs(self, query, token=None):
        """All that match, the oldest first."""
        page = self.client.search_runs([self.id], query, 1, 1000, ["start_time ASC"], token)
        yield from page
        if page.token:
            yield from self.runs(query, page.token)

    def start(self, title, tags):
        """The unfinished run of that title and kind, or a new one."""
        for each in self.runs(f"tags.kind = '{tags['kind']}' and attributes.status = 'RUNNING'"):
            if each.info.run_name == title:
                return each.info.run_id
        return self.client.create_run(self.id, run_name=title, tags=tags).info.run_id

    def parent(self, table, tags):
        """The run of the table with these numbers from these inputs; runs of other tables are superseded."""
        tags = {key: value for key, value in tags.items() if value}
        tags |= {"kind": "table", "pipeline": self.title, "table": digest(table)}
        tables = {each.info.run_id: dict(each.data.tags) for each in self.runs("tags.kind = 'table'")}
        found = next((made for made, old in tables.items() if old.get("table") == tags["table"]), None)
        if found is None:
            found = self.client.create_run(self.id, self.now, tags, self.title).info.run_id
            tables[found] = tags
        for made in tables:
            self._mark(tables, made, state="current" if made == found else "superseded")
        return found

    def keep(self, titles):
        """Mark cells of other titles as no longer in the table."""
        for title, known in self.known.items():
            for made, old in known.items():
                if title not in titles and old.get("state") == "current":
                    self._mark(known, made, state="superseded")

    def upsert(self, title, contents, tags):
        """Log a cell unless it is there, and mark it as the current one of its title.

        One that an experiment logs stays beside those of the table, until it is found there.
        """
        fingerprint, numbers = digest(contents["inputs"]), digest([contents["metrics"], contents["curve"]])
        known = self.known.setdefault(title, {})
        same = {made: old for made, old in known.items() if old["fingerprint"] == fingerprint}
        found = next((made for made, old in same.items() if old["numbers"] == numbers), None)
        if found is None:
            if same:
                other = f"other numbers than {list(same)[-1]} from the same inputs"
                tags = tags | {"nondeterministic": other}
                print(f"stages.track: {title}: {other}", file=sys.stderr)
            tags = contents["tags"] | tags | {"fingerprint": fingerprint, "numbers": numbers}
            tags = {"kind": "cell", "pipeline": self.title} | {k: v for k, v in tags.items() if v}
            named = f"{tags['experiment']}{BY}{title}" if tags.get("experiment") else title
            found = self._log(named, contents, tags)
            known[found] = tags
        earlier, state = known[found].get("commit", "uncommitted"), known[found].get("state", "experiment")
        if tags.get("experiment"):
            if state == "experiment":
                commit = tags["commit"] if earlier == "uncommitted" else earlier
                self._mark(known, found, state=state, commit=commit)
            return
        if state == "experiment" and known[found].get("experiment"):
            self.client.update_run(found, name=title)
        commit = tags["commit"] if earlier == "uncommitted" or state == "experiment" else earlier
        self._mark(known, found, state="current", commit=commit, **{PARENT: tags.get(PARENT)})
        for made, old in known.items():
            if made != found and old.get("state") in (None, "current"):
                self._mark(known, made, state="superseded")

    def _mark(self, known, made, **tags):
        for key, value in tags.items():
            if value and known[made].get(key) != value:
                self.client.set_tag(made, key, value)
                known[made][key] = value
                if key == "commit":
                    self.client.set_tag(made, COMMIT, value)

    def _log(self, title, contents, tags):
        """Log one run. It is finished only when complete, so one that is cut short does not count.

        It ends now, and lasts as long as its training did.
        """
        from mlflow.entities import Dataset, DatasetInput, Metric, Param

        began = self.now - int(1000 * contents["seconds"])
        tags = tags | {SOURCE: tags["command"], SOURCE_TYPE: "LOCAL", COMMIT: tags["commit"]}
        made = self.client.create_run(self.id, began, tags, title).info.run_id
        metrics = [Metric(key, value, self.now, 0) for key, value in contents["metrics"].items()]
        metrics += points(contents["curve"], self.now)
        params = [Param(key, str(value)) for key, value in contents["params"].items()]
        self.client.log_batch(made, metrics, params)
        data = Dataset(
            "data/features", contents["data"].removesuffix(".dir"), "dvc", json.dumps(contents["data"])
        )
        self.client.log_inputs(made, [DatasetInput(data)])
        self.client.set_terminated(made, end_time=self.now)
        return made

    def summarize(self, parent, params, metrics, note, pictures):
        """The table's numbers, its text and its pictures, on the parent."""
        from mlflow.entities import Metric, Param, RunTag

        seen = [hashlib.sha256(path.read_bytes()).hexdigest() for path in pictures]
        numbers, known = digest([params, metrics, note, *seen]), self.client.get_run(parent)
        if known.data.tags.get("numbers") == numbers:
            return
        self.client.log_batch(
            parent,
            [Metric(key, value, millis(), 0) for key, value in metrics.items()],
            [Param(key, str(value)) for key, value in params.items()],
        )
        self.client.log_text(parent, note, "table.md")
        for picture in pictures:
            self.client.log_artifact(parent, str(picture), picture.parent.name)
        tags = {"mlflow.note.content": note, "numbers": numbers}
        self.client.log_batch(parent, tags=[RunTag(*tag) for tag in tags.items()])
        self.client.set_terminated(parent, end_time=known.info.start_time)


PARENT = "mlflow.parentRunId"
# What MLflow's pages call the source of a run, and its version.
SOURCE, SOURCE_TYPE, COMMIT = "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit"
BY = ": "  # between the name of an experiment and that of a cell


def points(curve, now, first=1):
    from mlflow.entities import Metric

    return [
        Metric(f"curve/{key}", value, now, epoch)
        for epoch, record in enumerate(curve, first)
        for key, value in record.items()
        if key != "chosen"
    ]


def digest(tree):
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


def millis():
    return int(time.time() * 1000)


def code():
    return Path(__file__).resolve().parents[2]


def checkout():
    """The main checkout, also from the copies inside it that `dvc exp run --temp` and `--queue` work in."""
    outside = Path(str(code()).split("/.dvc/tmp/")[0])
    return next((up for up in (outside, *outside.parents) if (up / "specialists").is_dir()), code())
