"""A cell computed again: the same to the bit, or caught."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from specialists.base.environment import machine as here
from specialists.tracking.pipeline import stages
from tests.conftest import ROOT, environment, run, tool
from tools.recompute import compare, makers, place


@pytest.fixture
def odd(clone):
    """The clone under a name that is no ASCII and no single line."""
    return clone.rename(clone.with_name("Spezialistentüm\nin zwei Zeilen"))


def test_a_random_cell_of_this_commit_is_the_same_to_the_bit_and_how_long_that_takes(odd):
    """Another one with each commit; `git rev-parse HEAD` says which again."""
    commit = run(ROOT, "git", "rev-parse", "HEAD").stdout.strip()
    cells = sorted(path.stem for path in (odd / "metrics/cells").iterdir())
    cell = random.Random(commit).choice(cells)
    print(f"commit {commit} draws {cell} of {', '.join(cells)}")
    path = odd / f"metrics/environment/cells/{cell}.json"
    record = json.loads(path.read_text()) | {"processor": "a Z80", "wall_seconds": 90}
    path.write_text(json.dumps(record | {"capabilities": ["avx2", "avx512_bf16"]}))
    machine = f"a Z80 (avx512_bf16), torch {record['torch']}"
    before = run(odd, "git", "status", "--porcelain").stdout
    done = tool(odd, "recompute", cell)
    assert done.stdout.splitlines() == [
        f"{cell}: 2 stages, of which training took 1.5 minutes on {machine}",
        f"{cell}: the same to the bit, 5 files",
    ]
    assert run(odd, "git", "status", "--porcelain").stdout == before


def test_without_a_cache_it_is_computed_from_the_ground(clone):
    shutil.rmtree(clone / ".dvc/cache")
    done = tool(clone, "recompute", "san-mcl_kd-k1-s0")
    assert "computed first: features, base@san-0-0, base@san-1-0\n" in done.stdout
    assert "san-mcl_kd-k1-s0: the same to the bit, 5 files" in done.stdout
    assert not (clone / ".dvc/cache").exists()


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_terminated_one_leaves_no_process_and_no_clone(clone, tmp_path, ending):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    shutil.rmtree(clone / ".dvc/cache")  # there is much to do
    command = [sys.executable, "-m", "tools.recompute", "san-mcl_kd-k1-s0"]
    with subprocess.Popen(command, cwd=clone, env=environment(TMPDIR=str(scratch)), text=True) as process:
        deadline = time.monotonic() + 60
        while not inside(scratch):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(ending)
    assert process.returncode == 128 + ending
    assert not inside(scratch) and not list(scratch.glob("recompute-*"))


def inside(scratch):
    """The processes of Python that work in a clone."""
    found = []
    for process in os.listdir("/proc"):
        try:
            if os.readlink(f"/proc/{process}/cwd").startswith(f"{scratch}/recompute-"):
                found += [process] if "python" in os.readlink(f"/proc/{process}/exe") else []
        except OSError:  # no process, or one that is over
            pass
    return found


@pytest.fixture
def differing(clone, monkeypatch, capsys):
    """What `compare` says, and its exit code: weights and top-1 are not those that a machine committed."""
    weights = clone / "models/cells/san-mcl-k1-s0.safetensors"
    numbers = clone / "metrics/cells/san-mcl-k1-s0.json"
    record = clone / "metrics/environment/cells/san-mcl-k1-s0.json"

    def said(mode, machine, better=0.0):
        (clone / "dvc.lock").write_text(
            (clone / "dvc.lock").read_text().replace("mode: portable", f"mode: {mode}")
        )
        record.write_text(json.dumps(json.loads(record.read_text()) | here() | machine))
        found = json.loads(numbers.read_text())
        report = found["report"] | {"top1": found["report"]["top1"] + better}
        numbers.write_text(json.dumps(found | {"report": report}))
        run(clone, "git", "commit", "--quiet", "--all", "--message", "computed there, in that mode")
        numbers.write_text(json.dumps(found))
        weights.write_bytes(b"others")
        monkeypatch.chdir(clone)
        lock, place = stages("dvc.lock"), "cells/san-mcl-k1-s0"
        with pytest.raises(SystemExit) as end:
            compare([lock[name] for name in makers(lock, place)], clone, place)
        return capsys.readouterr().out, int(end.value.code)

    return said


@pytest.mark.parametrize(
    ("mode", "machine", "where", "code"),
    [
        ("fast", {}, "this machine;", 1),
        ("fast", {"processor": "another"}, "another machine (another, torch ", 0),
        ("fast", {"capabilities": ["of a like name"]}, "another machine (", 0),
        ("portable", {"processor": "another", "capabilities": []}, "some machine in portable mode, ", 1),
        ("portable", {"torch": "0.1"}, "another machine (", 0),
    ],
)
def test_a_difference_is_an_error_where_there_must_be_none(differing, mode, machine, where, code):
    text, found = differing(mode, machine)
    assert f"computed on {where}" in text and found == code
    assert "differs: models/cells/san-mcl-k1-s0.safetensors" in text


def test_another_machine_is_no_excuse_for_another_accuracy(differing):
    text, code = differing("fast", {"processor": "another"}, better=5.5)
    assert code == 1 and "accuracies by up to 5.50 points" in text


def test_networks_that_train_alone_are_known_beside_cells():
    lock = stages(ROOT / "pipelines/vqa2/dvc.lock")
    assert place(lock, "ban_counter-s1") == "singles/ban_counter-s1"
    assert makers(lock, "singles/ban_counter-s1") == ["single@ban_counter-1"]
    assert makers(lock, place(lock, "butd-mcl-k3-s0")) == ["specialize@butd-mcl-3-0", "evaluate@butd-mcl-3-0"]


def test_an_unknown_cell_is_one_line(clone):
    done = tool(clone, "recompute", "san-mcl-k9-s0", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "CELL: 'san-mcl-k9-s0' is not in dvc.lock; known: san-cmcl-k1-s0, san-ie" in done.stderr
