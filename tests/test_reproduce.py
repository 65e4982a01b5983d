"""./reproduce and its small preset: order, what is said, what a kill leaves; a script plays DVC."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import chdir

import pytest
import yaml

from specialists.base import command
from tests.conftest import ROOT, environment, installed, run
from tools import reproduce, small

# dvc: says what the real one would, notes when it began and ended, fails or waits where it is told to.
DVC = f"""#!{sys.executable}
import os, sys, time
name = sys.argv[-1]
log = open(os.environ["LOG"], "a", buffering=1)
if name == "--json":
    print('{{"a": []}}')
    sys.exit()
if name == os.getenv("SAME"):
    print(f"Stage '{{name}}' didn't change, skipping")
    sys.exit()
log.write(f"begin {{name}}\\n")
try:
    print(f"Running stage '{{name}}':\\n> python -m stages.{{name}}\\n{{name}} epoch 1/1", flush=True)
    time.sleep(60 if name == os.getenv("SLOW") else 0.1)
except KeyboardInterrupt:
    log.write(f"interrupted {{name}}\\n")
    sys.exit(1)
log.write(f"end {{name}}\\n")
print("Updating lock file 'dvc.lock'\\n\\nTo track the changes with git, run:\\n\\n\\tgit add dvc.lock")
sys.exit(name == os.getenv("BROKEN"))
"""

# The way from code to d is longest; b and c may run side by side.
STAGES = {
    "code": ["code.txt"],
    "a": ["a.txt", "code.txt"],
    "b": ["metrics/curves/b.json", "a.txt"],
    "c": ["metrics/curves/c.json", "a.txt"],
    "d": ["d.txt", "metrics/curves/c.json"],
    "track": ["t.txt", "metrics/curves", "d.txt"],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A pipeline of six stages, two of which were trained before, and a dvc."""
    stages = {name: {"cmd": name, "outs": [out], "deps": deps} for name, (out, *deps) in STAGES.items()}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}))
    (tmp_path / "params.yaml").write_text("code: .\n")
    for name, seconds in (("b", 10), ("c", 20)):
        path = tmp_path / f"metrics/environment/{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'{{"wall_seconds": {seconds}}}')
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/dvc").write_text(DVC)
    (tmp_path / "bin/dvc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("LOG", f"{tmp_path}/log")
    return tmp_path


def work(folder, jobs, **settings):
    """Its stages but `code`, as ./reproduce runs them."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text())["stages"]
    before = reproduce.pipeline.sources({n: reproduce.pipeline.paths(each) for n, each in stages.items()})
    stages.pop("code")
    return reproduce.Work(stages, before, jobs, **settings)


def log(folder):
    return (folder / "log").read_text().splitlines()


def test_the_longest_way_is_first_and_no_stage_begins_before_what_it_needs(folder, monkeypatch):
    monkeypatch.chdir(folder)
    work(folder, 1).do()
    assert log(folder) == [
        f"{what} {name}" for name in ("a", "c", "b", "d", "track") for what in ("begin", "end")
    ]


def test_what_does_not_wait_for_each_other_runs_side_by_side(folder, monkeypatch):
    monkeypatch.chdir(folder)
    work(folder, 2).do()
    lines = log(folder)
    assert {*lines[2:4]} == {"begin b", "begin c"} and lines[:2] == ["begin a", "end a"]
    assert lines[-2:] == ["begin track", "end track"]


def test_what_measures_time_has_the_machine_to_itself(folder, monkeypatch):
    monkeypatch.chdir(folder)
    work(folder, 2, timed={"b"}).do()
    assert log(folder) == [
        f"{what} {name}" for name in ("a", "c", "d", "b", "track") for what in ("begin", "end")
    ]


def test_each_stage_has_a_line_and_advice_of_dvc_has_none(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    work(folder, 1).do()
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("  (")[0] for line in said[::2]] == [
        *("[ 1/5] a", "[ 2/5] c", "[ 3/5] b", "[ 4/5] d", "[ 5/5] track")
    ]
    assert said[1::2] == [f"{name} epoch 1/1" for name in ("a", "c", "b", "d", "track")]
    assert re.fullmatch(r"\[ 1/5\] a  \(4[0-5] s left\)", said[0])


def test_what_is_left_is_training_at_the_pace_until_now_and_what_the_rest_of_a_kind_took(folder, monkeypatch):
    """b trained for 10 s when it was committed, c for 20."""
    monkeypatch.chdir(folder)
    one, two = work(folder, 1), work(folder, 2)
    assert one.left() == "  (45 s left)" and two.left() == "  (22 s left)"
    one.took |= {"a": 8.0, "c": 40.0}
    assert one.left() == "  (30 s left)"  # 20 for b, and 5 for d and for track, of whose kind none has run
    one.took |= {"b": 20.0, "d": 2.0}
    assert one.left() == "  (5 s left)"
    one.took["track"] = 1.0
    assert one.left() == ""
    names = ["features", "evaluate@1", "evaluate@2", "evaluate@3"]
    three = reproduce.Work({name: {"cmd": "x"} for name in names}, dict.fromkeys(names, set()), 1)
    three.took |= {"features": 300.0, "evaluate@1": 8.0}
    assert three.left() == "  (16 s left)"


def test_a_stage_that_dvc_passes_over_is_said_and_did_not_run(folder, monkeypatch, capsys):
    """As `track` in a fresh clone, where all numbers come out as in git and MLflow is empty."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SAME", "track")
    (every := work(folder, 1)).do()
    assert capsys.readouterr().out.splitlines()[-1] == "[ 5/5] track: nothing to do"
    assert every.ran == {"a", "b", "c", "d"} and set(every.took) == {"a", "b", "c", "d", "track"}


def test_what_did_not_run_is_shown_in_mlflow(folder, monkeypatch, capfd):
    monkeypatch.chdir(folder)
    (folder / "stages").mkdir()
    (folder / "stages/__init__.py").touch()
    (folder / "stages/track.py").write_text("print('in MLflow')")
    made, track = {"cmd": "python -m stages.a", "outs": ["a.txt"]}, {"cmd": "python -m stages.track"}
    reproduce.show({"a": made, "track": track})
    said = "track: runs here too, for MLflow has a database of its own\nin MLflow\n"
    assert capfd.readouterr().out == said
    reproduce.show({"a": made})
    assert capfd.readouterr().out == ""
    (folder / "stages/track.py").write_text("raise SystemExit(1)")
    with pytest.raises(ValueError, match="^track: failed"):
        reproduce.show({"track": track})


def test_on_a_terminal_what_is_running_stands_below(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (every := work(folder, 1)).screen = True
    every.do()
    said = capsys.readouterr().out
    assert "\nc 0 s\r\x1b[Kc epoch 1/1\n" in said and said.endswith("\r\x1b[K")


def test_after_a_failure_nothing_new_begins(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("BROKEN", "c")
    with pytest.raises(ValueError, match="^c: failed, see above"):
        work(folder, 1).do()
    assert log(folder)[-1] == "end c"


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_from_outside_it_ends_what_it_runs(folder, kill):
    heard = ["env", "--default-signal"]  # what runs in the background may have been told to ignore some
    words = [*heard, sys.executable, "-m", "tools.reproduce", str(folder)]
    env = environment(SLOW="c", JOBS="1")
    held = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, cwd=ROOT, env=env, **held) as process:
        assert any("c epoch" in line for line in process.stdout)
        process.send_signal(kill)
        rest, said = process.communicate(timeout=30)
    assert process.returncode == 130 and said == "tools.reproduce: interrupted\n"
    assert log(folder)[-1] == "interrupted c"


def test_in_the_end_it_says_whether_the_numbers_are_those_in_git(clone, monkeypatch):
    monkeypatch.chdir(clone)
    (clone / "params.yaml").write_text((clone / "params.yaml").read_text() + "# mine\n")
    assert reproduce.verdict(".") == "the numbers are those in git"
    for name in ("json", "csv", "md"):
        (clone / f"metrics/table.{name}").write_text("other")
    for name in ("new", "newer"):
        (clone / f"metrics/cells/{name}.json").write_text("{}")
    assert reproduce.verdict(".").startswith(
        "not as in git: metrics/table.csv, metrics/table.json, metrics/table.md, "
    )
    assert " and 1 more; in . `git add dvc.lock metrics :/README.md :/docs`" in reproduce.verdict(".")


def test_a_folder_that_is_no_pipeline_is_one_line():
    done = run(ROOT, sys.executable, "-m", "tools.reproduce", "docs", check=False)
    assert done.returncode == 1 and "FOLDER: 'docs' holds no dvc.yaml; known: ., pipelines/" in done.stderr


def test_data_that_are_not_there_are_named(folder):
    (folder / "params.yaml").write_text("data: {root: mine}\n")
    done = run(ROOT, sys.executable, "-m", "tools.reproduce", str(folder), check=False)
    assert done.returncode == 1 and "data.root: 'mine': not found, as seen from" in done.stderr


@pytest.mark.parametrize("tool", ["reproduce", "heal"])
@pytest.mark.parametrize(
    "path",
    ["dvc.lock", "params.yaml", "metrics/table.md", "models/base/m0.npy", "scratch/a.pt", "code", "data"],
)
def test_what_has_no_end_is_one_line_before_anybody_waits_for_it(folder, path, tool):
    (folder / path).unlink(missing_ok=True)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(folder / path)
    done = run(ROOT, sys.executable, "-m", f"tools.{tool}", str(folder), check=False)
    assert done.returncode == 1 and not (folder / "log").exists()
    assert done.stderr == f"tools.{tool}: {path}: a FIFO, a socket or a device; expected a file or a folder\n"


def test_sockets_and_devices_are_like_fifos_and_the_rest_is_left_alone(folder):
    (folder / "metrics/gone").symlink_to("nowhere")
    (folder / "models").mkdir()
    command.readable(folder)
    with socket.socket(socket.AF_UNIX) as one, chdir(folder):
        one.bind("models/socket")
        with pytest.raises(ValueError, match="^models/socket: a FIFO, a socket or a device"):
            command.readable()
    (folder / "models/socket").unlink()
    (folder / "models/zero").symlink_to("/dev/zero")
    with pytest.raises(ValueError, match="models/zero: a FIFO, a socket or a device"):
        command.readable(folder)


def test_a_number_of_jobs_that_is_none_is_one_line(folder):
    done = run(ROOT, sys.executable, "-m", "tools.reproduce", str(folder), check=False, JOBS="two")
    assert done.stderr == "tools.reproduce: JOBS: 'two' is not a number of stages\n"


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ("bases: {epochs: 1}", "small.yaml: bases: is not in params.yaml; known: code, base"),
        ("base: {epoch: 1}", "small.yaml: base: epoch: is not in params.yaml; known: epochs, drops"),
        ("base: 3", "small.yaml: base: found 3, where params.yaml has {'epochs': 9"),
        ("base: {epochs: {a: 1}}", "small.yaml: base: epochs: found {'a': 1}, where params.yaml has 9"),
        ("a: [", "small.yaml: not YAML: "),
    ],
)
def test_a_mistake_in_what_makes_it_small_is_one_line(tmp_path, over, message):
    (tmp_path / "params.yaml").write_text("code: .\nbase: {epochs: 9, drops: [1, 2]}\n")
    (tmp_path / "small.yaml").write_text(over)
    with pytest.raises(ValueError, match=re.escape(message)):
        small.overlaid(tmp_path)


def test_a_list_takes_the_place_of_a_list(tmp_path):
    (tmp_path / "params.yaml").write_text("code: .\nbase: {epochs: 9, drops: [1, 2]}\n")
    (tmp_path / "small.yaml").write_text("base: {drops: [3]}")
    assert small.overlaid(tmp_path) == {"code": ".", "base": {"epochs": 9, "drops": [3]}}


def test_in_a_fresh_clone_with_a_strange_name_the_small_preset_leaves_the_numbers_alone(finished, tmp_path):
    folder = tmp_path / "ein Klon, für mich"
    run(tmp_path, "git", "clone", "--quiet", str(finished), str(folder))
    installed(folder)
    copy = folder / "scratch/small/root"
    shutil.copytree(finished / ".dvc/cache", copy / ".dvc/cache")  # so that nothing needs to be trained
    said = run(folder, "./reproduce", "--small").stdout
    assert said.endswith("the table: scratch/small/root/metrics/table.md\n") and "epoch" not in said
    assert small.digests(copy) == small.digests(finished)
    assert run(folder, "git", "status", "--short").stdout == ""


def test_a_small_copy_has_no_numbers_and_the_tables_of_others(tmp_path):
    place = small.prepare(ROOT, tmp_path, "pipelines/students")
    assert place == tmp_path / "pipelines/students" and not (place / "metrics").exists()
    assert not [*tmp_path.rglob("dvc.lock")] and (tmp_path / "pipelines/table1/metrics/table.md").exists()
    kept = tmp_path / ".dvc/cache", place / "metrics/environment/cost.json"  # which no stage names
    left = place / "left", place / "metrics/left"
    for path in (*kept, *left):
        path.mkdir(parents=True)
    small.prepare(ROOT, tmp_path, "pipelines/students")
    assert all(path.exists() for path in kept) and not any(path.exists() for path in left)
