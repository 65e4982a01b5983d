"""Captured steps on a stand-in for a GPU, which computes nothing while it captures: the bits of plain steps.

What only a GPU can show, that its kernels replay to the bit, is for tools/check_gpu.py.
"""

import itertools
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from specialists.data.clevr import read
from specialists.training import graph, step
from specialists.training.budget import Budget
from tests import test_train
from tools import check_gpu

STREAM = SimpleNamespace(wait_stream=lambda other: None)


class Graph:
    """What was captured is computed at each replay."""

    def __init__(self):
        self.replays = 0

    def register_generator_state(self, generator):
        self.generator = generator

    def replay(self):
        self.replays += 1
        self.work()


@pytest.fixture
def gpu(monkeypatch):
    """A CPU under the name of a GPU; returns the graphs that were captured."""
    graphs, begun = [], []

    class Replay(graph.Replay):
        def __init__(self, work, given, each):
            self.work, self.step = work, each
            begun.append(self)
            super().__init__(work, given, each)

    @contextmanager
    def captured(one, pool):
        """What is computed within is taken back: a GPU only notes it down."""
        replay = begun[-1]
        before = [(each, each.clone()) for each in replay.step.tensors()]
        drawn = one.generator.get_state(), torch.get_rng_state()
        yield
        with torch.no_grad():
            for each, was in before:
                each.copy_(was)
        one.generator.set_state(drawn[0])
        torch.set_rng_state(drawn[1])
        one.work = lambda: replay.work(*replay.given)
        graphs.append(one)

    stand_in = {
        "graph_pool_handle": lambda: None,
        "Stream": lambda: STREAM,
        "current_stream": lambda: STREAM,
        "stream": lambda each: nullcontext(),
        "CUDAGraph": Graph,
        "graph": captured,
        "mem_get_info": lambda: (0, 0),
        "get_rng_state": torch.get_rng_state,
        "set_rng_state": torch.set_rng_state,
    }
    for name, value in stand_in.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(graph, "Replay", Replay)
    monkeypatch.setitem(step.HOMES, "cpu", "graph")
    return graphs


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("parts", "pieces", "shapes"), [(1, 6 + 1, 2), (3, 6 * 3 + 2, 3)])
def test_captured_steps_end_in_the_bits_of_plain_ones(tmp_path, request, optimizer, parts, pieces, shapes):
    """Six batches of 16 and one of 4; the loss draws, batch norm averages, rates are exact in fp32."""
    budget = Budget(epochs=3, batch=16, lr=2**-7, optimizer=optimizer, drops=[0.5], factor=0.5, parts=parts)
    plain, curve = test_train.run(tmp_path / "plain.pt", budget=budget)
    graphs = request.getfixturevalue("gpu")
    captured, same_curve = test_train.run(tmp_path / "captured.pt", budget=budget)
    assert test_train.same(plain, captured) and curve == same_curve
    assert sum(each.replays for each in graphs) == 3 * (pieces + 7)
    assert len(graphs) == shapes + 1  # and the update


def test_captured_steps_read_how_much_is_done_and_are_averaged(tmp_path, request):
    budget = Budget(epochs=3, batch=16, lr=2**-7, drops=[0.5], factor=0.5)
    plain, curve = test_train.timed(tmp_path / "plain.pt", budget=budget)
    graphs = request.getfixturevalue("gpu")
    captured, same_curve = test_train.timed(tmp_path / "captured.pt", budget=budget)
    assert test_train.same(plain, captured) and curve == same_curve
    assert sum(each.replays for each in graphs) == 3 * (7 + 7)


def test_a_kill_between_captured_steps_leaves_no_trace(tmp_path, gpu, monkeypatch):
    whole, curve = test_train.run(tmp_path / "whole.pt")
    monkeypatch.setattr("specialists.training.loop.SAVE_SECONDS", 0)
    count = itertools.count(1)

    def stopping(self, epoch):
        if next(count) == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(graph.Step, "done", stopping)
    with pytest.raises(KeyboardInterrupt):
        test_train.run(tmp_path / "cut.pt")
    monkeypatch.setattr(graph.Step, "done", lambda self, epoch: None)
    again, same_curve = test_train.run(tmp_path / "cut.pt")
    assert test_train.same(whole, again) and curve == same_curve


def test_a_loss_that_is_not_finite_is_named_at_the_end_of_its_epoch(tmp_path, gpu):
    def loss(logits_MBC, label_B, position_B, generator):
        value_B = test_train.label.loss(logits_MBC, label_B).sum(0)
        return torch.where(position_B == 42, torch.nan, value_B), None

    with pytest.raises(ValueError, match="epoch 1: the loss of row .* is not finite"):
        test_train.run(tmp_path / "c.pt", loss)


def test_what_asks_the_device_at_each_step_is_not_captured(tmp_path, gpu):
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    test_train.fit(
        test_train.members(),
        test_train.Points(),
        test_train.noisy,
        test_train.BUDGET,
        7,
        tmp_path / "c.pt",
        scaler,
    )
    assert not gpu


def room(monkeypatch, size):
    """So much memory is free that a size just fits in half of it, or just does not."""
    for fits in (True, False):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (2 * size + fits, 0))  # noqa: B023
        yield fits


def test_data_lie_on_the_device_if_they_fit_and_give_the_same_batches(gpu, monkeypatch):
    """More than one PIECE of images. Questions are longer by padding alone."""
    images = torch.arange(2.0 * 3 * (graph.PIECE + 5)).view(-1, 3, 2).half()
    tokens, row = torch.arange(1, 13).repeat(4, 1).to(torch.int16), torch.tensor([3, 0, 2, 1])
    image = torch.tensor([0, graph.PIECE, 7, graph.PIECE + 4])
    columns = {"length": torch.tensor([3, 2, 5, 1]), "tokens": tokens, "image": image, "answer": row}
    data = read.Features(images, columns, {})
    (image_BRF, tokens_BL, length_B), answer_B = data.batch(row)
    assert tokens_BL.shape[1] == 5
    for fits in room(monkeypatch, 2 * images.numel()):
        kept = graph.kept(data)
        assert isinstance(kept.images, graph.Resident) == fits and kept.images.shape == images.shape
        (image, padded, length), answer = kept.batch(row)
        assert padded.shape[1] == graph.LENGTHS and torch.equal(padded[:, :5], tokens_BL)
        assert all(map(torch.equal, (image, length, answer), (image_BRF, length_B, answer_B)))


def test_what_teachers_said_lies_on_the_device_if_it_fits_and_else_steps_are_plain(
    tmp_path, gpu, monkeypatch
):
    monkeypatch.setattr(graph.Said, "streamed", False)
    said_MNC = np.random.default_rng(0).normal(size=(2, 9, 4)).astype(np.float16)
    files = [tmp_path / f"{m}.npy" for m in range(2)]
    for file, said_NC in zip(files, said_MNC, strict=True):
        np.save(file, said_NC)
    position_B = torch.tensor([8, 0, 3])
    for fits in room(monkeypatch, said_MNC.nbytes):
        said = graph.Said(files)
        assert (said.resident_MNC is not None) == fits and graph.Said.streamed != fits
        assert torch.equal(said.at(position_B, "cpu"), torch.from_numpy(said_MNC[:, position_B]).float())
    test_train.run(tmp_path / "c.pt")
    assert not gpu


@pytest.mark.parametrize("name", [name for name in check_gpu.CASES if "compiled" not in name])
def test_each_case_of_the_check_trains(gpu, monkeypatch, name):
    for size, value in {"BATCH": 2, "MEMBERS": 2, "CHANNELS": 8, "GRID": [2, 3]}.items():
        monkeypatch.setattr(check_gpu, size, value)
    assert check_gpu.compared(*check_gpu.CASES[name], 1)[0]


def small():
    return partial(torch.nn.Linear, 3, 2), (torch.randn(check_gpu.BATCH, 3),), 2


def test_the_check_of_a_gpu_finds_steps_that_differ(gpu, monkeypatch):
    same, slow, fast = check_gpu.compared(small, check_gpu.taught, {}, 3)
    assert same and min(slow, fast) > 0 and sum(each.replays for each in gpu) == 2 * 6
    monkeypatch.setattr(Graph, "replay", lambda self: None)
    assert not check_gpu.compared(small, check_gpu.plain, {}, 3)[0]


def test_without_a_gpu_there_is_nothing_to_check():
    with pytest.raises(ValueError, match="no GPU is seen here"):
        check_gpu.main()
    with pytest.raises(ValueError, match="--steps: 0 is out of range: at least 1"):
        check_gpu.main(steps=0)
