"""MLflow shows what the pipeline wrote: once, whole, and with what it came from."""

import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
import yaml
from mlflow import MlflowClient

from specialists.tables.rows import name
from specialists.tracking import cells, pipeline
from tests.conftest import ROOT, edit, run, stage
from tests.test_pipeline import changed_in_one_line, executed
from tools import watch
from tools.spoil import spoilt


def track(folder, *words, **environment):
    os.environ |= environment
    try:
        return stage(folder, "track", *words)
    finally:
        for name in environment:
            del os.environ[name]


def shown(folder, title="table"):
    """Run name, without that of an experiment before it -> its runs, oldest first."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    found = {}
    for each in client.search_runs(
        [client.get_experiment_by_name(title).experiment_id], order_by=["start_time ASC"]
    ):
        found.setdefault(each.info.run_name.rpartition(": ")[2], []).append(each)
    return client, found


def listed(folder, key):
    """The names of the runs in a saved view, and the columns beside them."""
    client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
    table = client.get_experiment_by_name("table")
    view = json.loads(json.loads(table.tags[f"mlflow.sharedViewState.{key}"])["state"])
    order = [f"{view['orderByKey']} {'ASC' if view['orderByAsc'] else 'DESC'}"]
    found = client.search_runs([table.experiment_id], view["searchFilter"], order_by=order)
    return [each.info.run_name for each in found], [
        _column(found[0].data, c) for c in view["selectedColumns"]
    ]


def _column(data, name):
    kind, key = name.replace("`", "").split(".", 1)
    return getattr(data, kind)[key]


@pytest.fixture
def bare(clone):
    """A clone without a database."""
    (clone / "mlflow.db").unlink(missing_ok=True)
    return clone


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """A database in which nothing was logged: to make its tables takes MLflow a second."""
    path = tmp_path_factory.mktemp("database") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def empty(bare, tables):
    shutil.copy(tables, bare)
    return bare


def read(path):
    return json.loads(path.read_text())


def test_a_specialist_of_everything_is_shown_as_such(empty):
    lock = (empty / "dvc.lock").read_text()
    assert "mcl_kd 1 0 cell\n" in lock
    (empty / "dvc.lock").write_text(lock.replace("mcl_kd 1 0 cell\n", "mcl_kd all 0 cell\n"))
    track(empty)
    _, runs = shown(empty)
    (made,) = runs["san-mcl_kd-kall-s0 (cell)"]
    assert made.data.tags["k"] == "all"


def test_each_cell_once_under_its_table(bare):
    for _ in range(2):
        track(bare)
    client, runs = shown(bare)
    rows = read(bare / "metrics/table.json")
    assert sorted(runs) == sorted(["table", *(f"{name}-s0" for name in rows), "san-mcl_kd-k1-s0 (cell)"])
    assert all(len(found) == 1 and found[0].info.status == "FINISHED" for found in runs.values())
    parent = runs["table"][0]
    for each, row in rows.items():
        child = runs[f"{each}-s0"][0]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.metrics["top1"] == row["report"]["top1"]["mean"]
        assert parent.data.metrics[f"rows/{each} top1 mean"] == row["report"]["top1"]["mean"]
    best = max(row["report"]["top1"]["mean"] for row in rows.values())
    method, k = (parent.data.params[f"cell.{axis}"] for axis in ("method", "k"))
    stands_for = rows[name("san", method, int(k) if k.isdecimal() else None)]
    assert parent.data.metrics["top1"] == best == stands_for["report"]["top1"]["mean"]
    assert parent.data.params["cell.seed"] == "all"
    assert parent.data.tags.items() >= {"dataset": "stand_in", "state": "current"}.items()


def test_a_run_says_what_it_is_and_where_it_comes_from(empty):
    track(empty)
    client, runs = shown(empty)
    one = runs["san-mcl_kd-k1-s0"][0]
    tags = {
        "network": "san",
        "method": "mcl_kd",
        "k": "1",
        "seed": "0",
        "dataset": "stand_in",
        "pipeline": "table",
        "state": "current",
    }
    assert tags.items() <= one.data.tags.items()
    machine = read(empty / "metrics/environment/cells/san-mcl_kd-k1-s0.json")
    assert one.data.tags["processor"] == machine["processor"]
    assert one.data.tags["capabilities"].split() == machine["capabilities"]
    assert one.data.tags["commit"] == run(empty, "git", "rev-parse", "--short", "HEAD").stdout.strip()
    assert one.data.tags["mlflow.source.git.commit"] == one.data.tags["commit"]
    assert one.data.tags["mlflow.source.name"].startswith("python -m stages.specialize san mcl_kd 1 0 ")
    lasted = (one.info.end_time - one.info.start_time) / 1000
    assert lasted == pytest.approx(machine["wall_seconds"], abs=0.002)
    params = yaml.safe_load((empty / "params.yaml").read_text())
    assert one.data.params["methods.mcl_kd.beta"] == str(params["methods"]["mcl_kd"]["beta"])
    assert one.data.params["specialize.epochs"] == "2"
    assert len(client.get_metric_history(one.info.run_id, "curve/select_top1")) == 2
    lock = yaml.safe_load((empty / "dvc.lock").read_text())["stages"]
    made = {out["path"]: out["md5"] for out in lock["features"]["outs"]}["data/features"]
    assert [f"{i.dataset.digest}.dir" for i in one.inputs.dataset_inputs] == [made]
    parent = runs["table"][0]
    names = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert names == {"table.md", "figures", "questions", "plots"}
    assert parent.data.tags["mlflow.note.content"] == (empty / "metrics/table.md").read_text()


@pytest.mark.parametrize("folder", ["vqa2", "sparse"])
def test_networks_that_train_alone_have_runs_of_their_own(folder, monkeypatch):
    monkeypatch.chdir(place := ROOT / "pipelines" / folder)
    singles = cells.shown(pipeline.here).singles
    assert {*singles} == {path.stem for path in (place / "metrics/singles").iterdir()}
    for title, found in singles.items():
        report, axes = read(place / f"metrics/singles/{title}.json")["report"], title.rpartition("-s")
        numbers = {kind: value for kind, value in report.items() if kind != "overall"}
        assert found["metrics"].items() >= {**numbers, "top1": report["overall"]}.items()
        assert (found["params"]["cell.row"], found["params"]["cell.seed"]) == (axes[0], int(axes[2]))
        assert found["curve"] and found["tags"]["command"].startswith("python -m stages.single ")


def change_a_number(folder, by=1, weights=False):
    """What an evaluation that is not deterministic would leave, or a training."""
    path = folder / "metrics/cells/san-ie-s0.json"
    metrics = read(path)
    metrics["report"]["top1"] += by
    path.write_text(json.dumps(metrics))
    if weights:
        lock = (folder / "dvc.lock").read_text()
        out = next(
            out
            for out in yaml.safe_load(lock)["stages"]["generalize@san-ie-0"]["outs"]
            if out["path"] == "models/cells/san-ie-s0.safetensors"
        )
        (folder / "dvc.lock").write_text(lock.replace(out["md5"], out["md5"][::-1]))


def states(folder, title="san-ie-s0"):
    return [each.data.tags["state"] for each in shown(folder)[1][title]]


@pytest.mark.parametrize("weights", [False, True])
def test_other_numbers_from_the_same_inputs_are_called_nondeterministic(empty, weights):
    track(empty)
    change_a_number(empty, weights=weights)
    done = track(empty)
    assert "san-ie-s0: other numbers than" in done.stderr
    first, second = shown(empty)[1]["san-ie-s0"]
    assert "nondeterministic" in second.data.tags and "nondeterministic" not in first.data.tags
    assert second.data.tags["commit"] == "uncommitted"
    assert states(empty) == ["superseded", "current"]
    run(empty, "git", "commit", "--quiet", "--all", "--message", "another number")
    track(empty)
    head = run(empty, "git", "log", "-1", "--format=%h", "--", "dvc.lock").stdout.strip()
    assert [each.data.tags["commit"] for each in shown(empty)[1]["san-ie-s0"]][1] == head
    change_a_number(empty, by=-1, weights=weights)
    track(empty)
    assert states(empty) == ["current", "superseded"]


@pytest.mark.parametrize(("mode", "may"), [("fast", True), ("portable", False)])
def test_another_machine_may_find_other_numbers_in_fast_mode(empty, mode, may):
    lock = (empty / "dvc.lock").read_text()
    (empty / "dvc.lock").write_text(lock.replace("mode: portable", f"mode: {mode}"))
    track(empty)
    change_a_number(empty)
    path = empty / "metrics/environment/cells/san-ie-s0.json"
    path.write_text(json.dumps(read(path) | {"processor": "another"}))
    assert ("other numbers" not in track(empty).stderr) == may
    second = shown(empty)[1]["san-ie-s0"][1].data.tags
    assert second["processor"] == "another" and ("nondeterministic" not in second) == may


def state(folder, **others):
    """What is to be shown, with other texts of some files."""
    return cells.shown(lambda path: others[path] if path in others else (folder / path).read_text())


@pytest.mark.parametrize(
    ("mode", "key", "value", "is_input"),
    [
        ("fast", "capabilities", ["of a like name"], True),
        ("fast", "torch", "0.1", True),
        ("portable", "capabilities", ["of a like name"], False),
        ("portable", "torch", "0.1", True),
    ],
)
def test_what_of_a_machine_is_an_input(finished, mode, key, value, is_input):
    place = "metrics/environment/cells/san-ie-s0.json"
    lock = {"dvc.lock": (finished / "dvc.lock").read_text().replace("mode: portable", f"mode: {mode}")}
    other = {place: json.dumps(read(finished / place) | {key: value})}
    one, two = (state(finished, **lock, **each).rows["san-ie-s0"] for each in ({}, other))
    assert (one["inputs"] != two["inputs"]) == is_input and two["tags"][key] == "".join(value)


def test_an_experiment_leaves_the_table_alone_until_it_is_applied(empty):
    track(empty)
    before = read(empty / "metrics/table.json")["san-ie"]["report"]["top1"]["mean"]
    change_a_number(empty, weights=True)
    stage(empty, "report")
    track(empty, DVC_EXP_NAME="try")
    client, runs = shown(empty)
    assert states(empty) == ["current", "experiment"]
    assert runs["san-ie-s0"][1].data.tags["experiment"] == "try"
    assert "mlflow.parentRunId" not in runs["san-ie-s0"][1].data.tags
    assert runs["san-ie-s0"][1].data.tags["commit"] == "uncommitted"
    assert len(runs["table"]) == 1
    names, columns = listed(empty, "experiments")
    assert (
        names == ["try: san-ie-s0"]
        and columns[-2:] == ["all", "try"]
        and columns[0] == pytest.approx(before + 1)
    )
    kept = run(empty, "git", "stash", "create").stdout.strip()
    run(empty, "git", "update-ref", "refs/exps/ab/cdef/try", kept)  # as DVC does after the last stage
    track(empty, "--history", DVC_EXP_NAME="another")
    old, new = (each.data.tags for each in shown(empty)[1]["san-ie-s0"])
    assert kept.startswith(new["commit"]) and new["experiment"] == "try"
    assert not kept.startswith(old["commit"]) and states(empty) == ["current", "experiment"]
    track(empty)
    client, runs = shown(empty)
    assert states(empty) == states(empty, "table") == ["superseded", "current"]
    assert runs["san-ie-s0"][1].data.tags["commit"] == "uncommitted"
    assert runs["san-ie-s0"][1].data.tags["mlflow.parentRunId"] == runs["table"][1].info.run_id
    means = [each.data.metrics["rows/san-ie top1 mean"] for each in runs["table"]]
    assert means == pytest.approx([before, before + 1])


def test_a_view_shows_the_best_first_and_what_a_person_wrote_stays(empty):
    track(empty)
    top1 = {
        f"{row}-s0": each["report"]["top1"]["mean"]
        for row, each in read(empty / "metrics/table.json").items()
    }
    names, columns = listed(empty, "cells")
    assert sorted(names) == sorted(top1) and columns[0] == max(top1.values())
    assert [top1[name] for name in names] == sorted(top1.values(), reverse=True)
    assert listed(empty, "tables")[0] == ["table"]
    client, _ = shown(empty)
    table = client.get_experiment_by_name("table").experiment_id
    client.set_experiment_tag(table, "mlflow.note.content", "mine")
    client.delete_experiment_tag(table, "mlflow.sharedViewState.cells")
    track(empty)
    assert client.get_experiment(table).tags["mlflow.note.content"] == "mine"
    assert listed(empty, "cells")[0] == names


def test_of_who_knows_no_k_every_k_is_the_same_run(empty):
    lock, curve = (empty / "dvc.lock").read_text(), empty / "metrics/curves/cell.json"
    curve.write_text(json.dumps({"curve": read(curve)["curve"]}))  # a generalist leaves nobody out
    made = yaml.safe_load(lock)["stages"]["specialize_cell"]["outs"]
    for out in made:
        lock = lock.replace(out["md5"], out["md5"][::-1])
    for k in (1, 2):
        other = lock.replace("specialize san mcl_kd 1 0 cell\n", f"specialize san ie {k} 0 cell\n")
        (empty / "dvc.lock").write_text(other)
        track(empty, DVC_EXP_NAME=f"ie-{k}")
    assert len(shown(empty)[1]["san-ie-s0 (cell)"]) == 1


def test_a_row_that_left_the_table_is_superseded_and_the_table_is_a_new_one(empty):
    track(empty)
    path = empty / "metrics/table.json"
    table = read(path)
    del table["san-cmcl-k1"]
    path.write_text(json.dumps(table))
    lock = (empty / "dvc.lock").read_text()
    (empty / "dvc.lock").write_text(
        lock.replace("specialize san mcl_kd 1 0 cell\n", "specialize san mcl 1 0 cell\n")
    )
    track(empty)
    client, runs = shown(empty)
    assert states(empty, "san-cmcl-k1-s0") == states(empty, "san-mcl_kd-k1-s0 (cell)") == ["superseded"]
    assert states(empty, "san-mcl-k1-s0 (cell)") == states(empty) == ["current"]
    old, new = runs["table"]
    assert [each.data.tags["state"] for each in (old, new)] == ["superseded", "current"]
    assert (
        "rows/san-cmcl-k1 top1 mean" in old.data.metrics
        and "rows/san-cmcl-k1 top1 mean" not in new.data.metrics
    )
    assert runs["san-ie-s0"][0].data.tags["mlflow.parentRunId"] == new.info.run_id
    assert runs["san-cmcl-k1-s0"][0].data.tags["mlflow.parentRunId"] == old.info.run_id


def test_a_run_says_what_made_it_and_not_what_params_say_now(empty):
    def change(params):
        params.update(method="cmcl")
        params["data"].update(root="data/other")

    edit(empty, change)
    track(empty)
    one = shown(empty)[1]["san-mcl_kd-k1-s0 (cell)"][0].data
    assert one.params["cell.method"] == "mcl_kd" and one.tags["dataset"] == "stand_in"


def test_params_of_every_stage_on_the_way_to_a_cell_are_its_own(empty):
    track(empty)
    params = yaml.safe_load((empty / "params.yaml").read_text())
    for section, key in (
        ("world", "train_images"),
        ("data", "select"),
        ("features", "longest"),
        ("base", "lr"),
    ):
        for found in shown(empty)[1].values():
            if found[0].data.tags["kind"] == "cell":
                assert found[0].data.params[f"{section}.{key}"] == str(params[section][key])


def of_old(text):
    """A dvc.lock as it was before lists of code and `compute`."""
    text = re.sub(r"path: code/(.*)\.txt", r"path: ./specialists/\1.py", text)
    text = text.replace("cmd: python -m", "cmd: PYTHONPATH=. python -m")
    compute = r"        compute:\n          mode: portable\n          threads: 1\n          compile: false\n"
    text, count = re.subn(compute, "        threads: 1\n        compile: false\n", text)
    assert count and "PYTHONPATH" in text
    return text


def test_of_an_old_lock_the_same_is_shown(finished):
    """All but what its cells came from: there is no list of code, and the machine is always an input."""
    new, old = state(finished), state(finished, **{"dvc.lock": of_old((finished / "dvc.lock").read_text())})
    assert old.rows.keys() == new.rows.keys() and old.chosen.keys() == new.chosen.keys()
    assert old.metrics == new.metrics and old.dataset == new.dataset
    one, other = old.rows["san-ie_plus-s0"], new.rows["san-ie_plus-s0"]
    assert one["params"] == {
        key.removeprefix("compute."): value for key, value in other["params"].items() if key != "compute.mode"
    }
    assert "processor" in one["inputs"][2] and "processor" not in other["inputs"][2]
    assert one["tags"]["k"] == "all" and one["tags"].keys() == other["tags"].keys()


def test_the_params_of_other_rows_are_not_those_of_a_cell(finished):
    """The lists of code are made from all of them."""
    found = state(finished).rows["san-mcl-k1-s0"]["params"]
    assert "specialize.epochs" in found
    assert not [key for key in found if key.startswith(("methods.cmcl", "networks.mlp", "table.methods"))]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("dvc.lock", "<<<<<<< HEAD\n", "dvc.lock: holds no stages"),
        ("dvc.lock", "stages:\n", "dvc.lock: holds no stages"),
        ("metrics/table.json", "{}", "metrics/table.json: no cell of it is in dvc.lock"),
        ("metrics/cells/san-ie-s0.json", "{}", "metrics/cells/san-ie-s0.json: report.top1: found None"),
        ("metrics/cells/san-ie-s0.json", "{", "metrics/cells/san-ie-s0.json: not JSON"),
        ("metrics/curves/cells/san-ie-s0.json", "{}", "dvc.lock and metrics/ do not fit each other"),
        ("metrics/table.md", None, "metrics/table.md: not found"),
    ],
)
def test_what_cannot_be_shown_is_one_line_and_opens_no_database(bare, path, text, message):
    if text is None:
        (bare / path).unlink()
    else:
        (bare / path).write_text(text)
    done = stage(bare, "track", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"stages.track: {message}") and not (bare / "mlflow.db").exists()


def test_a_cell_of_an_unknown_machine_is_shown(empty):
    (empty / "metrics/environment/cells/san-ie-s0.json").unlink()
    track(empty)
    assert shown(empty)[1]["san-ie-s0"][0].data.tags["processor"] == "unknown"


def test_a_cell_whose_logging_was_cut_short_is_logged_again(empty):
    track(empty)
    client, runs = shown(empty)
    one = runs["san-ie-s0"][0].info.run_id
    client.update_run(one, status="RUNNING")
    client.delete_tag(one, "state")
    track(empty)
    found = shown(empty)[1]["san-ie-s0"]
    assert [(each.info.status, each.data.tags.get("state")) for each in found] == [
        ("RUNNING", None),
        ("FINISHED", "current"),
    ]


def test_history_rebuilds_an_empty_database_from_git_alone(empty, tmp_path):
    lock = (empty / "dvc.lock").read_text()
    change_a_number(empty)
    dep = next(
        d
        for d in yaml.safe_load(lock)["stages"]["generalize@san-ie-0"]["deps"]
        if d["path"] == "code/networks/san.txt"
    )
    (empty / "dvc.lock").write_text(lock.replace(dep["md5"], dep["md5"][::-1]))
    run(empty, "git", "commit", "--quiet", "--all", "--message", "other code, another number")
    rows, page = empty / "metrics/table.json", empty / "metrics/table.md"
    rows.write_text(json.dumps({name: row for name, row in read(rows).items() if row["method"] != "mcl"}))
    page.write_text(re.sub(r"(?m)^.*\| MCL \|.*\n", "", page.read_text()))
    (empty / "dvc.lock").write_text((empty / "dvc.lock").read_text() + "# that day\n")
    run(empty, "git", "commit", "--quiet", "--all", "--message", "a table with a row less")
    run(empty, "git", "revert", "--no-edit", "HEAD")
    (empty / "dvc.lock").write_text("stages: {}\n")
    run(empty, "git", "commit", "--quiet", "--all", "--message", "a lock that was lost")
    broken = run(empty, "git", "rev-parse", "--short", "HEAD").stdout.strip()
    run(empty, "git", "revert", "--no-edit", "HEAD")
    bare = tmp_path / "bare"
    run(empty, "git", "clone", "--quiet", str(empty), str(bare))
    for _ in range(2):
        assert f"{broken}: left out, it holds no whole table" in track(bare, "--history").stderr
    assert run(bare, "git", "status", "--porcelain").stdout == ""
    runs = shown(bare)[1]
    first, second = runs["san-ie-s0"]
    assert "nondeterministic" not in second.data.tags
    assert [r.data.tags["state"] for r in (first, second)] == ["superseded", "current"]
    commits = run(bare, "git", "log", "--format=%h").stdout.split()
    assert [r.data.tags["commit"] for r in (second, first)] == commits[4:]
    assert second.data.metrics["top1"] == pytest.approx(first.data.metrics["top1"] + 1)
    _, whole, fewer = runs["table"]  # the first is of the other code
    assert [r.data.tags["state"] for r in runs["table"]] == ["superseded", "current", "superseded"]
    assert all(
        r.info.status == "FINISHED" and r.data.metrics["rows/san-ie top1 mean"] for r in (whole, fewer)
    )
    assert "| MCL |" in whole.data.tags["mlflow.note.content"]
    assert "| MCL |" not in fewer.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("address", "named", "reason"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9", "Connection refused"),
        ("http://me:secret@127.0.0.1:9", "http://127.0.0.1:9", "Connection refused"),
        ("sqlite:///table.db", "sqlite:///table.db", "file is not a database"),
        ("sqlite:///short.db", "sqlite:///short.db", "short.db: database disk image is malformed"),
        ("sqlite:///scratch", "sqlite:///scratch", "scratch: not a file, expected a database; move it away"),
        ("sqlite:///locked.db", "sqlite:///locked.db", "locked.db: database is locked"),
        ("postgresql://127.0.0.1/table", "postgresql://127.0.0.1/table", "No module named "),
    ],
)
def test_what_does_not_answer_is_one_line_and_fails_nothing(bare, address, named, reason):
    (bare / "table.db").write_text("no database" * 100)
    (bare / "scratch").mkdir(exist_ok=True)
    with closing(sqlite3.connect(bare / "short.db")) as database:
        database.execute("create table some (words)")
        database.executemany("insert into some values (?)", [("word" * 200,)] * 50)
        database.commit()
    os.truncate(bare / "short.db", 5000)
    with closing(sqlite3.connect(bare / "locked.db")) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        done = track(bare, MLFLOW_TRACKING_URI=address)
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"MLflow at {named}: not all is logged: ") and reason in last
    assert "Traceback" not in done.stderr and "secret" not in done.stderr


def watching(folder):
    """A process that has begun to watch."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tools.watch"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    with process.stdout as printed:
        assert printed.readline().startswith("following scratch/")
    return process


def write_curve(path, epochs):
    import torch

    curve = [{"loss": 1.0, "select_top1": 10.0 * i} for i in range(epochs)]
    torch.save({"state": {"curve": curve}}, path)


def wait_for(happened):
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def logged(folder, title):
    """The epochs of a curve in MLflow, as they came."""
    client, runs = shown(folder)
    found = runs.get(title, [])
    return [p.step for p in client.get_metric_history(found[0].info.run_id, "curve/loss")] if found else []


def test_watch_follows_a_curve_while_it_grows_and_goes_on_after_a_kill(empty):
    path = empty / "scratch/san-mcl_kd-k1-s0-0123456789abcdef.pt"
    path.parent.mkdir(exist_ok=True)
    first = watching(empty)
    write_curve(path, 1)
    wait_for(lambda: logged(empty, path.stem) == [1])
    write_curve(path, 2)
    wait_for(lambda: logged(empty, path.stem) == [1, 2])
    first.kill()
    first.wait()
    second = watching(empty)
    write_curve(path, 3)
    wait_for(lambda: logged(empty, path.stem) == [1, 2, 3])
    path.unlink()  # the stage is over
    wait_for(lambda: shown(empty)[1][path.stem][0].info.status == "FINISHED")
    second.send_signal(signal.SIGINT)
    assert second.wait(60) == 0
    (only,) = shown(empty)[1][path.stem]
    place = {"network": "san", "method": "mcl_kd", "k": "1", "seed": "0", "kind": "running"}
    assert only.data.tags.items() >= place.items()


def test_watch_passes_over_what_is_no_checkpoint_or_damaged(tmp_path):
    import torch

    write_curve(path := tmp_path / "a.pt", 2)
    assert watch.curve_of(path) == [{"loss": 1.0, "select_top1": 0.0}, {"loss": 1.0, "select_top1": 10.0}]
    rng, whole = random.Random(0), path.read_bytes()
    for _ in range(100):
        path.write_bytes(spoilt(whole, rng))
        watch.curve_of(path)
    odd = (
        [{"loss": "x"}],
        [{"loss": 10**400}],
        [{"../x y": 1.0}],
        [1],
        3,
        {"a": {}},
        [{1: 1.0}],
        [{"loss": []}],
    )
    for tree in (*({"state": {"curve": curve}} for curve in odd), {"state": []}, [], torch.zeros(2)):
        torch.save(tree, path)
        assert watch.curve_of(path) is None
    for content in (b"", b"PK\x03\x04", b"\x80\x02cos\nsystem\n", bytes(1000)):
        path.write_bytes(content)
        assert watch.curve_of(path) is None
    assert watch.curve_of(tmp_path) is watch.curve_of(tmp_path / "gone.pt") is None


def test_two_at_once_in_a_new_database_lose_nothing_and_double_nothing(bare):
    both = [subprocess.Popen([sys.executable, "-m", "stages.track"], cwd=bare) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    found = shown(bare)[1]
    cells = {path.stem for path in (bare / "metrics/cells").glob("*.json")}
    assert set(found) == cells | {"san-mcl_kd-k1-s0 (cell)", "table"}
    assert all(len(runs) == 1 and runs[0].info.status == "FINISHED" for runs in found.values())


def test_an_experiment_shows_the_cells_that_it_evaluated_under_its_name(empty):
    title = "san-cmcl-k1-s0 (cell)"
    done = run(empty, "dvc", "exp", "run", "--name", "try", "--set-param", "method=cmcl")
    assert executed(done) == ["specialize_cell", "evaluate_cell", "track"]
    changed_in_one_line(empty)
    _, runs = shown(empty)
    assert [each.info.run_name for found in runs.values() for each in found] == [
        f"try: {title}"
    ]  # and no cell of the table, although the database was empty
    track(empty)
    _, runs = shown(empty)
    assert [each.info.run_name for each in runs[title]] == [title]
    assert runs[title][0].data.tags["state"] == "current" and runs[title][0].data.tags["experiment"] == "try"
