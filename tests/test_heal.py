"""DVC killed at each place where it writes: what it leaves is mended, and it ends in the same bytes.

`KILLS=all pytest tests/test_heal.py` kills at every one of them, before it is done and as soon as it is.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from voluptuous import Invalid

from tests.conftest import ROOT, environment
from tools import heal

PIPELINE = """\
stages:
  one:
    cmd: echo one >> ran && echo 1 > one
    params: [seed]
    outs: [one]
  two:
    cmd: echo two >> ran && echo 2 > two.json
    deps: [one]
    metrics:
    - two.json:
        cache: false
"""
FEW = ("dvc.lock", ".dvc/tmp/rwlock", ".dvc/cache/runs")  # what a kill has left unreadable


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A repository of two stages, of which nothing was computed yet."""
    folder = tmp_path_factory.mktemp("kills") / "small"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(PIPELINE)
    (folder / "params.yaml").write_text("seed: 0\n")
    for words in (["git", "init", "-q"], ["dvc", "init", "-q"], ["dvc", "config", "core.analytics", "false"]):
        subprocess.run(words, cwd=folder, env=environment(), check=True)
    return folder


def repro(folder, **kill):
    notes = folder.parent / f"{folder.name}.changes"
    where = {"COMMANDS": "dvc", "REPOSITORY": str(folder), "CHANGES": str(notes), **kill}
    env = environment(PYTHONPATH=str(ROOT / "tests/killing"), PYTHONDONTWRITEBYTECODE="1", **where)
    return subprocess.run(["dvc", "repro"], cwd=folder, env=env, capture_output=True, text=True)


def outputs(folder):
    return {name: (folder / name).read_bytes() for name in ("dvc.lock", "one", "two.json")}


@pytest.fixture(scope="module")
def whole(small):
    """(all changes of a run that nobody kills, what it leaves)"""
    folder = small.with_name("whole")
    shutil.copytree(small, folder)
    done = repro(folder)
    assert done.returncode == 0, done.stderr
    return (small.parent / "whole.changes").read_text().splitlines(), outputs(folder)


def killed(small, place, when):
    """A copy of the repository in which DVC was killed at a change, or was over before."""
    folder = small.with_name(f"{when}-{place}")
    shutil.copytree(small, folder)
    done = repro(folder, KILL_AT=str(place), KILL_WHEN=when)
    assert done.returncode in (-signal.SIGKILL, 0)
    return folder, done.returncode == -signal.SIGKILL


def chosen(changes):
    if os.getenv("KILLS") == "all":
        return range(len(changes))
    last = {(event, name): i for i, (event, name) in enumerate(map(few, changes)) if name}
    return sorted(last.values())


def few(change):
    """(event, which of the few) of a change."""
    _, event, path = change.split(" ", 2)
    return event, next((name for name in FEW if path.startswith(name)), None)


def test_killed_where_it_writes_it_goes_on_and_ends_in_the_same_bytes(small, whole, monkeypatch, capsys):
    changes, wanted = whole
    assert len(changes) > 25, changes
    kills, again = 0, []
    for place in chosen(changes):
        for when in ("before", "after"):
            folder, ended = killed(small, place, when)
            kills += ended
            monkeypatch.chdir(folder)
            heal.heal()
            done = repro(folder)
            assert done.returncode == 0, (changes[place], when, done.stderr)
            assert outputs(folder) == wanted, (changes[place], when)
            again += [f"{changes[place]}, {when}"] if (folder / "ran").read_text().count("two") > 1 else []
            shutil.rmtree(folder)
    with capsys.disabled():
        print(f"\n{kills} kills at {len(chosen(changes))} of {len(changes)} places, a stage again: {again}")
    assert kills


def test_what_is_whole_stays(small, whole, monkeypatch, capsys):
    folder = small.with_name("whole")
    monkeypatch.chdir(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    heal.heal()
    assert not capsys.readouterr().out
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def git(*words):
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a", *words], check=True)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty repository, where nobody waits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(heal, "PATIENCE", 0.0)
    git("init", "-q")
    return tmp_path


@pytest.mark.parametrize("text", ["", "sche", "schema: '2.0'\nstages:\n  one:\n    deps: [{pa"])
def test_a_lock_cut_short_is_as_in_git_again_or_gone(here, capsys, text):
    Path("dvc.lock").write_text(text)
    heal.heal()
    assert not Path("dvc.lock").exists() and "git holds none" in capsys.readouterr().out
    Path("dvc.lock").write_text(kept := "schema: '2.0'\nstages:\n  one:\n    cmd: a\n")
    git("add", "dvc.lock")
    git("commit", "-qm", "a")
    Path("dvc.lock").write_text(text)
    heal.heal()
    assert Path("dvc.lock").read_text() == kept and "as in git again" in capsys.readouterr().out
    assert Path("scratch/dvc.lock.broken").read_text() == text


def test_a_lock_that_dvc_refuses_is_never_taken_for_whole():
    """Cut at every character of a real one."""
    text, told = (ROOT / "dvc.lock").read_text(), {True: 0, False: 0}
    for end in range(0, 1500, 3):
        told[whole := heal.valid(text[:end])] += 1
        try:
            COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(text[:end]))
        except (yaml.YAMLError, Invalid):
            assert not whole, text[:end]
    assert told[True] > 50 and told[False] > 50


def test_where_git_says_nothing_nothing_is_touched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(heal, "PATIENCE", 0.0)
    Path("dvc.lock").write_text("")
    with pytest.raises(ValueError, match="dvc.lock: cannot be read by DVC, and git does not say what it was"):
        heal.heal()
    assert Path("dvc.lock").exists()


@pytest.fixture
def other():
    """A process that lives."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "repro"]) as process:
        yield process
        process.kill()


def register(pid, words="repro"):
    Path(".dvc/tmp").mkdir(parents=True, exist_ok=True)
    named = {"write": {"out": {"pid": pid, "cmd": f"dvc {words}"}}, "read": {}}
    Path(".dvc/tmp/rwlock").write_text(json.dumps(named))
    Path("dvc.lock").write_text("")
    heal.heal()
    return Path("dvc.lock").exists(), Path(".dvc/tmp/rwlock").exists()


def test_while_a_dvc_lives_nothing_is_touched(here, other):
    assert register(other.pid) == (True, True)
    assert register(2**22 + 1) == (False, False)  # above all that there are


def test_a_stranger_with_the_number_of_the_dead_is_not_taken_for_a_dvc(here, other):
    assert register(other.pid, "repro --single-item base") == (False, False)


@pytest.mark.parametrize("pid", ["x", -1, 1.5, True, None])
def test_a_register_with_no_number_of_a_process_is_removed(here, pid):
    assert register(pid) == (False, False)


def test_a_command_without_arguments_is_compared_as_a_whole(here, other):
    named = {"write": {"out": {"pid": other.pid, "cmd": "dvc"}}, "read": {}}
    Path(".dvc/tmp").mkdir(parents=True)
    Path(".dvc/tmp/rwlock").write_text(json.dumps(named))
    assert heal.living() == []


def test_the_dead_that_nobody_has_waited_for_do_not_live(here, other):
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert register(other.pid) == (False, False)


def test_what_is_written_meanwhile_stays(here, monkeypatch):
    Path("dvc.lock").write_text("")
    monkeypatch.setattr(heal.time, "sleep", lambda seconds: Path("dvc.lock").write_text("schema: '2.0'\n"))
    heal.heal()
    assert Path("dvc.lock").read_text() == "schema: '2.0'\n"


def test_a_merge_is_left_to_people(here):
    Path("dvc.lock").write_text(text := "stages:\n<<<<<<< HEAD\n  one: {cmd: a}\n=======\n>>>>>>> other\n")
    heal.heal()
    assert Path("dvc.lock").read_text() == text


def test_the_cache_of_another_folder_is_found_and_what_is_being_written_stays(tmp_path, monkeypatch):
    """A folder without entries may be one of a process that lives, which fills it a moment later."""
    own, runs = tmp_path / "here/.dvc", tmp_path / "shared/runs"
    own.mkdir(parents=True)
    (own / "config").write_text("[core]\n    analytics = false\n[cache]\n    dir = ../../shared\n")
    for name in ("ab/" + "a" * 64, "cd/" + "c" * 64):
        (runs / name).mkdir(parents=True)
    monkeypatch.chdir(own.parent)
    monkeypatch.setattr(heal.time, "sleep", lambda seconds: (runs / f"ab/{'a' * 64}/{'b' * 64}").touch())
    heal.heal()
    assert [path.name for path in runs.glob("*/*")] == ["a" * 64]


def test_reproduce_begins_with_it(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    (tmp_path / "params.yaml").write_text("seed: 0\n")
    (tmp_path / "dvc.lock").write_text("")
    words = [sys.executable, "-m", "tools.reproduce", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert (
        "dvc.lock: cut short, as by a kill; moved to scratch/dvc.lock.broken, and git holds none"
        in done.stdout
    )


def test_an_experiment_that_was_killed_in_the_queue_is_a_failed_one_and_the_others_go_on(
    small, tmp_path, capsys, monkeypatch
):
    folder, hold, began = tmp_path / "queue", tmp_path / "hold", tmp_path / "began"
    shutil.copytree(small, folder)
    held = f"cmd: echo $$ >> {began} && while [ -e {hold} ]; do sleep 0.1; done && echo 1 > one"
    (folder / "dvc.yaml").write_text(PIPELINE.replace("cmd: echo one >> ran && echo 1 > one", held))

    def follow(words):
        env = environment(GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@localhost", GIT_COMMITTER_NAME="a")
        env |= {"GIT_COMMITTER_EMAIL": "a@localhost"}
        with open(tmp_path / "said", "w") as said:  # a pipe stays open as long as the workers live
            subprocess.run(
                words.split(), cwd=folder, env=env, stdout=said, stderr=subprocess.DEVNULL, check=True
            )
        return Path(said.name).read_text()

    def status():
        words = [line.split()[-1] for line in follow("dvc queue status").splitlines() if line]
        return sorted(word for word in words if word in ("Queued", "Running", "Failed", "Success"))

    def kill(*commands):
        for process in psutil.process_iter(["cwd", "cmdline"]):
            inside = (process.info["cwd"] or "").startswith(str(folder)) and process.pid != os.getpid()
            if inside and (not commands or {*commands} & {*process.info["cmdline"]}):
                process.kill()

    for words in ("git add .", "git commit -qm all", *(f"dvc exp run --queue -S seed={i}" for i in (1, 2))):
        follow(words)
    hold.touch()
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        follow("dvc queue start")
        until(began.exists)
        kill("queue-worker", "start")  # first, or it would note that the others are dead
        kill()
        assert status() == ["Queued", "Running"]
        (record,) = (folder / ".dvc/tmp/exps/run").glob("*/*.json")
        record.write_text(json.dumps(json.loads(record.read_text()) | {"pid": stranger.pid}))
        monkeypatch.chdir(folder)
        heal.heal()
        assert stranger.poll() is None
        said = f"{record.stem[:7]}: an experiment of the queue, killed while it ran; marked as failed; queue"
        assert said in capsys.readouterr().out
        assert status() == ["Failed", "Queued"]
        hold.unlink()
        follow("dvc queue start")
        until(lambda: status() == ["Failed", "Success"])
        heal.heal()
        assert capsys.readouterr().out == ""
    finally:
        stranger.kill()
        stranger.wait()
        hold.unlink(missing_ok=True)
        kill()


def until(true):
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
