"""Layers that add in the same order everywhere: right by torch's own, and the same bits elsewhere."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from specialists.networks import portable
from tests.conftest import ROOT, needs_bf16
from tools.accept import EMULATED, EMULATOR

PARTS = ("products", "convolutions")
LAYERS = {
    "lstm": (portable.LSTM, (5, 7), {"batch_first": True}),
    "linear": (portable.Linear, (5, 7), {}),
    "long sums": (portable.Linear, (600, 7), {}),
    "no bias": (portable.Linear, (5, 7, False), {}),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def both(name):
    """A layer of ours, the same of torch in float64, and what goes in: 3 x 200 rows, more than one piece."""
    layer, sizes, more = LAYERS[name]
    torch.manual_seed(0)
    ours = layer(*sizes)
    theirs = layer.__base__(*sizes, **more).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(3, 200, sizes[0])


def output(layer, x):
    found = layer(x)
    return found[0] if isinstance(found, tuple) else found


def gradients(layer, x):
    """Of x and of all parameters, when the output is asked for a fixed slope."""
    x = x.clone().requires_grad_()
    found = output(layer, x)
    slope = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return torch.autograd.grad(found, [x, *layer.parameters()], slope.to(found.dtype))


def slow(a, b, bias=None):
    return a @ b.T if bias is None else a @ b.T + bias


@every_layer
def test_in_float64_values_and_gradients_are_torchs(monkeypatch, name):
    """With a product that takes float64, which oneDNN's does not."""
    monkeypatch.setattr(portable, "product", slow)
    monkeypatch.setattr(portable, "applies", lambda x: True)
    ours, theirs, x = both(name)
    ours, x = ours.double(), x.double()
    torch.testing.assert_close(output(ours, x), output(theirs, x), rtol=0, atol=1e-13)
    for found, right in zip(gradients(ours, x), gradients(theirs, x), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)


@every_layer
def test_in_float32_values_and_gradients_are_within_rounding(name):
    ours, theirs, x = both(name)
    torch.testing.assert_close(output(ours, x).double(), output(theirs, x.double()), rtol=1e-5, atol=1e-5)
    for found, right in zip(gradients(ours, x), gradients(theirs, x.double()), strict=True):
        torch.testing.assert_close(found.double(), right, rtol=1e-4, atol=1e-3)


@every_layer
def test_a_gradient_may_be_asked_for_twice(name):
    ours, _, x = both(name)
    total, wanted = output(ours, x).square().sum(), list(ours.parameters())
    first, second = (torch.autograd.grad(total, wanted, retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 512, 5), (3, 513, 5), (7, 1300, 2)])
def test_product_of_pieces_is_the_product(shape):
    rows, length, columns = shape
    a, b, bias = torch.randn(rows, length), torch.randn(columns, length), torch.randn(columns)
    right = slow(a.double(), b.double(), bias.double())
    for left in (a, a.T.contiguous().T):  # however it lies in memory
        found = portable.product(left, b, bias)
        torch.testing.assert_close(found.double(), right, rtol=0, atol=1e-4)


def test_first_words_are_not_changed_by_padding_to_the_right():
    layer, x = portable.LSTM(5, 7), torch.randn(3, 6, 5)
    with torch.no_grad():
        assert torch.equal(layer(x)[0][:, :4], layer(x[:, :4])[0])


def test_plain_layers_are_torchs_own_and_ours_after_them():
    layer, x = portable.Linear(3, 2), torch.randn(4, 3)
    with portable.plain():
        assert "AddmmBackward" in type(layer(x).grad_fn).__name__
    assert type(layer(x).grad_fn).__name__ == "_LinearBackward"


@needs_bf16
def test_in_bf16_the_layers_are_torchs_own():
    linear, lstm, x = portable.Linear(3, 2), portable.LSTM(3, 2), torch.randn(4, 5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x).dtype == torch.bfloat16 and lstm(x)[1] is not None
    assert linear(x).dtype == torch.float32 and lstm(x)[1] is None


def test_convolutions_can_still_be_held_when_all_of_ours_is_loaded():
    """oneDNN reads ONEDNN_MAX_CPU_ISA at its first use, which may be no more than a question to it."""
    code = """
import os, torch, stages.features, stages.specialize
os.environ["ONEDNN_MAX_CPU_ISA"] = "SSE41"
torch.nn.Conv2d(16, 32, 3)(torch.zeros(8, 16, 64, 64))
"""
    known = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    command, environment = [sys.executable, "-c", code], known | {"ONEDNN_VERBOSE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert "isa:Intel SSE4.1" in done.stdout and "convolution,jit:sse41" in done.stdout


def steps(part, *before, **environment):
    """What tests/steps.py prints, perhaps on an emulated processor."""
    paths = next(path for path in sys.path if path.endswith("site-packages"))
    command = [*before, os.path.realpath(sys.executable), "tests/steps.py", part]
    known = {name: value for name, value in os.environ.items() if name != "ONEDNN_MAX_CPU_ISA"}
    environment = known | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def here():
    return {part: steps(part) for part in PARTS}


def test_training_steps_are_the_same_with_fewer_instructions(here):
    assert steps("products", ONEDNN_MAX_CPU_ISA="AVX2") == here["products"]
    assert all(printed.count("\n") >= 4 for printed in here.values())


@pytest.mark.skipif(not shutil.which(EMULATOR), reason="Debian's qemu-user is not installed")
@pytest.mark.parametrize("processor", EMULATED)
@pytest.mark.parametrize("part", PARTS)
def test_training_steps_are_the_same_on_an_emulated_processor(here, processor, part):
    assert steps(part, EMULATOR, "-cpu", processor) == here[part]
