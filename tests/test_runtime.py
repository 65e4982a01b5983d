"""How a process computes: what is refused, and what is set before and after torch loads."""

import json
import os
import subprocess
import sys

import pytest
import torch

from specialists.base import portable, runtime
from specialists.base.runtime import Compute, precision, setup
from tests.conftest import ROOT

PORTABLE = Compute(mode="portable", threads=1, compile=False)
ASKED = "compute: {mode: portable, threads: 1, compile: false}\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": "quick"}, "mode: 'quick' is unknown; known: portable, fast"),
        ({"threads": 0}, "threads: 0 is out of range: 1 to 1024"),
        ({"threads": 1025}, "threads: 1025 is out of range: 1 to 1024"),
        ({"compile": True}, "compile: true generates code for this processor; portable needs false"),
    ],
)
def test_what_cannot_be_computed_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Compute(**{"mode": "portable", "threads": 1, "compile": False} | change)


def test_what_can_is_not():
    Compute(mode="portable", threads=1024, compile=False)
    Compute(mode="fast", threads=1, compile=True)


@pytest.fixture
def undone(monkeypatch):
    monkeypatch.setattr(runtime, "_mode", None)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: pytest.fail("it went on"))


def test_portable_refuses_a_gpu(undone, monkeypatch):
    monkeypatch.setattr(runtime, "DEVICE", torch.device("cuda"))
    with pytest.raises(ValueError, match="compute.mode: portable computes on a CPU; hide the GPU"):
        setup(PORTABLE)


@pytest.mark.parametrize("name", portable.VARIABLES)
def test_portable_refuses_to_begin_unannounced(undone, monkeypatch, name):
    monkeypatch.delenv(name)
    with pytest.raises(AssertionError, match="torch was loaded before"):
        setup(PORTABLE)


@pytest.mark.parametrize(
    ("mode", "has", "dtype"),
    [("portable", True, torch.float32), ("fast", True, torch.bfloat16), ("fast", False, torch.float32)],
)
def test_precision_is_that_of_the_mode_and_of_the_machine(monkeypatch, mode, has, dtype):
    monkeypatch.setattr(runtime, "_mode", mode)
    monkeypatch.setattr(runtime, "HAS_BF16", has)
    assert runtime.dtype() == dtype
    with precision():
        assert torch.nn.Linear(2, 2)(torch.zeros(1, 2)).dtype == dtype


def python(folder, code, **environment):
    """What a program prints as JSON, in a process whose variables are not yet those of this one."""
    names = (*portable.VARIABLES, "ONEDNN_MAX_CPU_ISA", "CUBLAS_WORKSPACE_CONFIG")
    known = {name: value for name, value in os.environ.items() if name not in names}
    environment = known | {"PYTHONPATH": str(ROOT)} | environment
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


ANNOUNCED = """
import json, os, sys
{before}
from specialists.base import portable
portable.announce()
loaded = sorted({{"torch", "numpy"}} & sys.modules.keys())
print(json.dumps([{{name: os.getenv(name) for name in portable.VARIABLES}}, portable.announced(), loaded]))
"""
UNSET = dict.fromkeys(portable.VARIABLES)


def test_an_announcement_sets_the_variables_before_torch_and_numpy_load(tmp_path):
    (tmp_path / "params.yaml").write_text(ASKED)
    assert python(tmp_path, ANNOUNCED.format(before="")) == [portable.VARIABLES, True, []]


@pytest.mark.parametrize("late", ["torch", "numpy"])
def test_it_sets_nothing_when_it_is_too_late(tmp_path, late):
    (tmp_path / "params.yaml").write_text(ASKED)
    before = f"sys.modules[{late!r}] = sys"  # as good as loaded
    assert python(tmp_path, ANNOUNCED.format(before=before)) == [UNSET, False, [late]]


@pytest.mark.parametrize(
    "text",
    [ASKED.replace("portable", "fast"), "seed: 0\n", "compute: 3\n", "- 1\n", "", "a: [\n", "\udcff", None],
)
def test_it_sets_nothing_when_params_do_not_ask(tmp_path, text):
    if text is not None:
        (tmp_path / "params.yaml").write_bytes(text.encode(errors="surrogateescape"))
    assert python(tmp_path, ANNOUNCED.format(before="")) == [UNSET, False, []]


def test_whoever_loads_a_stage_announces(tmp_path):
    (tmp_path / "params.yaml").write_text(ASKED)
    before = "import stages; assert not {'torch', 'numpy'} & sys.modules.keys()"
    code = ANNOUNCED.format(before=before).replace("portable.announce()", "")
    assert python(tmp_path, code) == [portable.VARIABLES, True, []]


SET_UP = """
import json, os
from specialists.base import portable
os.environ |= portable.VARIABLES
import torch
from specialists.base.runtime import Compute, setup
setup(Compute(mode={mode!r}, threads=3, compile=False), convolutions=True)
small = torch.tensor([1e-30]) * 1e-12
print(json.dumps([
    torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), small.item(),
    os.getenv("CUBLAS_WORKSPACE_CONFIG"), os.getenv("ONEDNN_MAX_CPU_ISA"),
]))
"""


@pytest.mark.parametrize(("mode", "held"), [("portable", "AVX2"), ("fast", None)])
def test_a_process_is_set_up(tmp_path, mode, held):
    """Threads, nothing that differs from run to run, no denormals; convolutions are held where portable."""
    found = python(tmp_path, SET_UP.format(mode=mode))
    assert found == [3, True, 0.0, ":4096:8", held]
