"""A checkpoint has a name that says all that decides the result, and nothing else."""

import sys
import types
from pathlib import Path

import pytest
import torch

from specialists.base import params
from specialists.training import checkpoint
from specialists.training.budget import Budget


@pytest.fixture
def key(tmp_path, monkeypatch):
    """The name of a checkpoint after some sections of params.yaml were read, in a project of two files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "__file__", str(tmp_path / "specialists/training/checkpoint.py"))
    Path("specialists/training").mkdir(parents=True)
    Path("input").write_text("a")
    Path("params.yaml").write_text("seed: 0\nnetwork: san\nbase:\n  epochs: 3\n  batch: 1\n  lr: 1.0\n")
    for name in ("loaded", "other", "training/checkpoint"):
        Path(f"specialists/{name}.py").write_text("x = 1")
    loaded = types.ModuleType("loaded")
    loaded.__file__ = str(tmp_path / "specialists/loaded.py")
    monkeypatch.setitem(sys.modules, "loaded", loaded)

    def place(*arguments, read=("seed", "base")):
        monkeypatch.setattr(params, "_seen", {})
        for section in read:
            params.read(section, {"seed": int, "base": Budget, "network": str}[section])
        return checkpoint.place("cells/a", ["input"], *arguments)

    return place


def write(path, old, new):
    Path(path).write_text(Path(path).read_text().replace(old, new))


def test_the_same_run_finds_its_checkpoint(key):
    assert key(1) == key(1) and str(key(1)).startswith("scratch/a-")


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("input", "a", "b"),
        ("params.yaml", "seed: 0", "seed: 1"),
        ("params.yaml", "lr: 1.0", "lr: 2.0"),
        ("specialists/loaded.py", "1", "2"),
    ],
)
def test_a_checkpoint_is_another_after_a_change_that_decides_the_result(key, path, old, new):
    first = key(1)
    write(path, old, new)
    assert key(1) != first
    write(path, new, old)
    assert key(1) == first


@pytest.mark.parametrize(
    ("path", "old", "new"), [("params.yaml", "san", "mlp"), ("specialists/other.py", "1", "2")]
)
def test_a_checkpoint_is_the_same_after_a_change_that_nobody_read(key, path, old, new):
    first = key(1)
    write(path, old, new)
    assert key(1) == first


def test_a_checkpoint_is_another_with_other_arguments_or_another_section_read(key, monkeypatch):
    names = [key(1), key(2), key(1, 2), key(1, read=("seed",)), key(1, read=("seed", "base", "network"))]
    monkeypatch.setattr(torch, "__version__", "0")
    assert len({*names, key(1)}) == 6
    assert key(1, read=("seed", "base")) == key(1, read=("base", "seed"))  # in whatever order
