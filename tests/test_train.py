"""The loop: it learns, it is the same to the bit, and a kill at any step leaves no trace."""

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from specialists import train
from specialists.ensemble import Ensemble, load, save, share
from specialists.losses import oracle_loss, task_loss
from specialists.train import Budget, answer, fit, mix

BUDGET = Budget(epochs=3, batch=16, lr=0.01, lr_end=0.001)


class Points:
    """Three clouds in the plane; the rows 0..99 are train, 100..149 select."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.label = torch.randint(3, (150,), generator=generator)
        self.x = torch.eye(3)[self.label][:, :2] + 0.3 * torch.randn(150, 2, generator=generator)

    def rows(self, split):
        return torch.arange(100) if split == "train" else torch.arange(100, 150)

    def order(self, batch, generator):
        return torch.randperm(100, generator=generator)

    def batch(self, rows):
        return (self.x[rows],), self.label[rows]

    def labels(self, rows):
        return self.label[rows]


def members():
    torch.manual_seed(0)
    return Ensemble(
        [nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)) for _ in range(3)]
    )


def noisy(logits_MBC, label_B, position_B, generator):
    """A loss that also draws from the generator, whose state a resumed run must find again."""
    noise = torch.rand(logits_MBC.shape[:2], generator=generator)
    return oracle_loss(task_loss(logits_MBC, label_B), noise, 2)


def run(checkpoint, loss=noisy, budget=BUDGET):
    ensemble = members()
    curve = fit(ensemble, Points(), loss, budget, 7, checkpoint)
    return ensemble.state_dict(), curve


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_says_so(tmp_path):
    def loss(logits_MBC, label_B, position_B, generator):
        return task_loss(logits_MBC, label_B).sum(0), None

    _, curve = run(tmp_path / "c.pt", loss, Budget(epochs=20, batch=16, lr=0.02, lr_end=0.0))
    assert curve[-1]["select_top1"] > 85 and curve[-1]["loss"] < curve[0]["loss"] / 2


def test_every_example_once_per_epoch_at_its_position(tmp_path):
    seen, data = [], Points()

    def loss(logits_MBC, label_B, position_B, generator):
        assert torch.equal(data.label[data.rows("train")[position_B]], label_B)
        seen.append(position_B)
        return task_loss(logits_MBC, label_B).sum(0), None

    run(tmp_path / "c.pt", loss)
    epochs = torch.cat(seen).view(BUDGET.epochs, 100)
    assert torch.equal(epochs.sort(1).values, torch.arange(100).expand(BUDGET.epochs, 100))
    assert not torch.equal(epochs[0], epochs[1])


def test_twice_the_same(tmp_path):
    (a, curve_a), (b, curve_b) = run(tmp_path / "a.pt"), run(tmp_path / "b.pt")
    assert same(a, b) and curve_a == curve_b


@pytest.mark.parametrize("stop", [1, 6, 7, 8, 13, 20])
def test_stopped_at_any_step_it_ends_in_the_same_bits(tmp_path, monkeypatch, stop):
    """7 steps an epoch: inside it, at its last step, at the first of the next; a checkpoint every step."""
    whole, curve = run(tmp_path / "whole.pt")
    monkeypatch.setattr(train, "SAVE_SECONDS", 0)
    steps = 0

    def stopping(*arguments):
        nonlocal steps
        steps += 1
        if steps > stop:
            raise KeyboardInterrupt
        return noisy(*arguments)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "c.pt", stopping)
    resumed, resumed_curve = run(tmp_path / "c.pt")
    assert same(whole, resumed) and curve == resumed_curve


def test_a_loss_that_is_not_finite_stops_and_names_the_row(tmp_path):
    def loss(logits_MBC, label_B, position_B, generator):
        value_B = task_loss(logits_MBC, label_B).sum(0)
        return torch.where(position_B == 42, torch.nan, value_B), None

    with pytest.raises(ValueError, match="the loss of row 42 is nan at step "):
        run(tmp_path / "c.pt", loss)


def test_a_damaged_checkpoint_and_an_answer_that_is_not_finite_are_named(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"cut short")
    with pytest.raises(ValueError, match="c.pt: a damaged checkpoint; delete it to start again"):
        run(tmp_path / "c.pt")
    data = Points()
    data.x[120] = torch.nan
    with pytest.raises(ValueError, match="the answer to row 120 is not finite"):
        answer(members(), data, torch.arange(100, 150))


def test_every_step_asks_for_its_own_rate_and_goes_by_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Budget, "rate", lambda self, done: asked.append(done) or 0.0)
    weights, _ = run(tmp_path / "c.pt")
    assert sorted(set(asked)) == [step / 21 for step in range(21)]
    assert all(torch.equal(parameter, weights[name]) for name, parameter in members().named_parameters())


def test_learning_rate_falls_along_half_a_cosine():
    assert BUDGET.rate(0) == pytest.approx(BUDGET.lr)
    assert BUDGET.rate(0.5) == pytest.approx((BUDGET.lr + BUDGET.lr_end) / 2)
    assert BUDGET.rate(1) == pytest.approx(BUDGET.lr_end)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch": 0}, {"lr_end": 0.1}, {"lr_end": -1.0}])
def test_a_budget_out_of_range_is_named(change):
    with pytest.raises(ValueError, match="epochs|lr_end"):
        Budget(**{"epochs": 1, "batch": 1, "lr": 0.01, "lr_end": 0.0} | change)


def test_seeds_do_not_collide():
    assert len({mix(seed, member) for seed in range(20) for member in range(20)}) == 400


def test_checkpoints_differ_with_what_decides_the_result(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("seed: 0\n")
    Path("input").write_text("a")
    first = train.checkpoint("cell", ["input"], 1)
    assert first == train.checkpoint("cell", ["input"], 1)
    assert first != train.checkpoint("cell", ["input"], 2)
    Path("input").write_text("b")
    assert first != train.checkpoint("cell", ["input"], 1)
    Path("input").write_text("a")
    Path("params.yaml").write_text("seed: 1\n")
    assert first != train.checkpoint("cell", ["input"], 1)


def test_weights_come_back_and_foreign_ones_are_named(tmp_path):
    ensemble = members()
    save(ensemble, tmp_path / "w.safetensors")
    again = load(tmp_path / "w.safetensors", lambda: copy.deepcopy(ensemble.members[0]))
    assert len(again.members) == 3 and same(ensemble.state_dict(), again.state_dict())
    rows = torch.arange(150)
    assert torch.equal(answer(ensemble, Points(), rows), answer(again, Points(), rows))
    with pytest.raises(ValueError, match="w.safetensors: not weights of this network"):
        load(tmp_path / "w.safetensors", lambda: nn.Linear(2, 3))
    (tmp_path / "w.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="w.safetensors: cannot be read"):
        load(tmp_path / "w.safetensors", lambda: nn.Linear(2, 3))


def rates(**settings):
    budget = Budget(epochs=1, batch=1, lr=2.0, **settings)
    return [budget.rate(done) for done in (0, 0.1, 0.2, 0.6, 1)]


def test_the_rate_climbs_and_then_falls_along_a_cosine_or_in_steps():
    half = math.cos(math.pi * 0.1)
    assert rates(lr_end=1.0) == pytest.approx(
        [2, 1.5 + 0.5 * half, 1.5 + math.cos(math.pi * 0.2) / 2, 1.5 + math.cos(math.pi * 0.6) / 2, 1]
    )
    assert rates(warmup=0.2) == pytest.approx([0, 1, 2, 1, 0])
    assert rates(drops=[0.2, 0.5], factor=0.1) == pytest.approx([2, 2, 0.2, 0.02, 0.02])
    assert rates(drops=[0.5], warmup=0.2) == pytest.approx([0, 1, 2, 0.2, 0.2])


def test_sgd_is_that_of_nesterov_and_only_weights_decay():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    budget = Budget(epochs=1, batch=1, lr=0.1, optimizer="sgd", weight_decay=0.5)
    optimizer = budget.make(module)
    wanted = {name: p.detach().clone() for name, p in module.named_parameters()}
    speed = {name: torch.zeros_like(p) for name, p in wanted.items()}
    x = torch.randn(8, 3)
    for _ in range(3):
        optimizer.zero_grad()
        (module(x) ** 3).sum().backward()
        for name, p in module.named_parameters():
            gradient = p.grad + (0.5 * wanted[name] if p.ndim > 1 else 0)
            speed[name] = 0.9 * speed[name] + gradient
            wanted[name] = wanted[name] - 0.1 * (gradient + 0.9 * speed[name])
        optimizer.step()
    assert all(torch.allclose(p, wanted[name], atol=1e-6) for name, p in module.named_parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": "adagrad"}, "optimizer: 'adagrad' is unknown; known: adam, sgd"),
        ({"warmup": 1.0}, "warmup: 1.0 is out of range"),
        ({"drops": [0.5, 2.0]}, "drops: 2.0 is out of range"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Budget(epochs=1, batch=1, lr=0.1, **settings)


@pytest.mark.parametrize("stop", [1, 9, 20])
def test_a_sharing_ensemble_resumes_in_the_same_bits(tmp_path, stop, monkeypatch):
    """Its masks are drawn by the generator whose state is in the checkpoint."""
    whole, _ = shared_run(tmp_path / "whole.pt")
    monkeypatch.setattr(train, "SAVE_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        shared_run(tmp_path / "cut.pt", stop)
    again, _ = shared_run(tmp_path / "cut.pt")
    assert same(whole, again)


def test_masks_are_drawn_anew_in_training_and_expected_in_evaluation(tmp_path, monkeypatch):
    asked, drawn = [], []

    def watched(features, keep, generator):
        asked.append((keep, generator is None))
        if generator:
            drawn.append(generator.get_state())
        return share(features, keep, generator)

    monkeypatch.setattr("specialists.ensemble.share", watched)
    shared_run(tmp_path / "c.pt")
    assert asked == 3 * (7 * [(0.25, False)] + [(0.25, True)])  # 3 epochs of 7 steps, and an answer
    assert not any(torch.equal(drawn[i], drawn[j]) for i in range(21) for j in range(i))


def shared_run(checkpoint, stop=None):
    torch.manual_seed(0)
    ensemble, steps = Ensemble([Both(), Both()], keep=0.25), []

    def loss(logits_MBC, label_B, position_B, generator):
        steps.append(1)
        if len(steps) == stop:
            raise KeyboardInterrupt
        return task_loss(logits_MBC, label_B).sum(0), None

    curve = fit(ensemble, Points(), loss, BUDGET, 7, checkpoint)
    return ensemble.state_dict(), curve


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.Linear(2, 16), nn.Sequential(nn.ReLU(), nn.Linear(16, 3))
