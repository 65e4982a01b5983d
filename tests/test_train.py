"""The loop: it learns, it is the same to the bit, and a kill at any step leaves no trace."""

import copy
import functools
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from specialists.answers import label
from specialists.answers.assignment import oracle_loss
from specialists.answers.ensemble import Ensemble, answer, answers, load, save, share
from specialists.base.files import md5
from specialists.training import loop, outputs
from specialists.training.average import Mean
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix
from stages import specialize

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

    task = label

    def targets(self, rows):
        return self.label[rows]


def members():
    torch.manual_seed(0)
    return Ensemble(
        [nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)) for _ in range(3)]
    )


def noisy(logits_MBC, label_B, position_B, generator):
    """A loss that also draws from the generator, whose state a resumed run must find again."""
    noise = torch.rand(logits_MBC.shape[:2], generator=generator)
    return oracle_loss(label.loss(logits_MBC, label_B), noise, 2)


def run(scratch, loss=noisy, budget=BUDGET):
    ensemble = members()
    curve, _ = fit(ensemble, Points(), loss, budget, 7, scratch)
    return ensemble.state_dict(), curve


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_says_so(tmp_path):
    def loss(logits_MBC, label_B, position_B, generator):
        return label.loss(logits_MBC, label_B).sum(0), None

    _, curve = run(tmp_path / "c.pt", loss, Budget(epochs=20, batch=16, lr=0.02, lr_end=0.0))
    assert curve[-1]["select_top1"] > 85 and curve[-1]["loss"] < curve[0]["loss"] / 2


def test_every_example_once_per_epoch_at_its_position(tmp_path):
    seen, data = [], Points()

    def loss(logits_MBC, label_B, position_B, generator):
        assert torch.equal(data.label[data.rows("train")[position_B]], label_B)
        seen.append(position_B)
        return label.loss(logits_MBC, label_B).sum(0), None

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
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0)
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
        value_B = label.loss(logits_MBC, label_B).sum(0)
        return torch.where(position_B == 42, torch.nan, value_B), None

    with pytest.raises(ValueError, match=r"epoch 1: the loss of row 42 is not finite \(of 1 in all\)"):
        run(tmp_path / "c.pt", loss)


def test_a_damaged_checkpoint_and_an_answer_that_is_not_finite_are_named(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"cut short")
    with pytest.raises(ValueError, match="c.pt: a damaged checkpoint; delete it to start again"):
        run(tmp_path / "c.pt")
    data = Points()
    data.x[120] = torch.nan
    with pytest.raises(ValueError, match="the answer to row 120 is not finite"):
        answer(members(), data, torch.arange(100, 150))


def test_answers_come_some_at_a_time_and_are_those_to_single_rows():
    ensemble, data, rows = members(), Points(), torch.arange(149, 100, -1)
    pieces = [*answers(ensemble, data, rows, batch=20)]
    assert [*map(len, (position_B for position_B, _ in pieces))] == [20, 20, 9]
    for position_B, logits_MBC in pieces:
        for position, logits_MC in zip(position_B, logits_MBC.unbind(1), strict=True):
            alone = torch.cat([member(data.x[rows[position]][None]) for member in ensemble.members])
            torch.testing.assert_close(logits_MC, alone.detach())
    together = answer(ensemble, data, rows)
    assert torch.equal(together, torch.cat([logits_MBC for _, logits_MBC in pieces], 1))
    assert torch.equal(answer(ensemble, data, rows, torch.float16), together.half())


@pytest.mark.parametrize("batch", [1, 7, 500])
def test_who_is_assigned_an_example_does_not_depend_on_what_is_asked_with_it(monkeypatch, batch):
    """One row at a time, a member gets what is cheapest for it."""
    ensemble, data = members(), Points()
    data.groups, data.group_names = lambda rows: rows % 4, [*"abcd"]
    asked = functools.partial(answers, batch=batch)
    monkeypatch.setattr(specialize, "answers", asked)

    def loss(logits_MBC, label_B, position_B, generator):
        task_MB = label.loss(logits_MBC, label_B) + 0.01 * position_B
        return oracle_loss(task_MB, torch.zeros_like(task_MB), 2)

    found_FM = specialize.assigned(ensemble, data, loss)
    slow_FM = torch.zeros(4, 3, dtype=torch.int64)
    for row in range(100):
        cost = [
            label.loss(m(data.x[row : row + 1]), data.label[row : row + 1]).item() for m in ensemble.members
        ]
        for member in sorted(range(3), key=cost.__getitem__)[:2]:
            slow_FM[row % 4, member] += 1
    assert torch.equal(found_FM, slow_FM)


def test_every_step_asks_for_its_own_rate_and_goes_by_it(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(Budget, "rate", lambda self, done: asked.append(done) or 0.0)
    weights, _ = run(tmp_path / "c.pt")
    assert sorted(set(asked)) == [step / 21 for step in range(21)]
    assert all(torch.equal(parameter, weights[name]) for name, parameter in members().named_parameters())


def timed(scratch, average=0.5, seen=None, stop=None, budget=BUDGET):
    """Train by a loss that grows with what is done; `seen` gets that, and the weights, at each step."""
    ensemble, done, calls = members(), torch.zeros((), dtype=torch.float64), []

    def loss(logits_MBC, label_B, position_B, generator):
        calls.append(0)
        if len(calls) == stop:
            raise KeyboardInterrupt
        if seen is not None:
            seen.append((done.item(), {name: each.clone() for name, each in ensemble.state_dict().items()}))
        return (1 + done) * label.loss(logits_MBC, label_B).sum(0), None

    curve, _ = fit(ensemble, Points(), loss, budget, 7, scratch, average=average, done=done)
    assert done == 1
    return ensemble.state_dict(), curve


def test_a_loss_is_told_how_much_of_training_is_done(tmp_path):
    timed(tmp_path / "c.pt", seen=(seen := []))
    assert [done for done, _ in seen] == [step / 21 for step in range(21)]


@pytest.mark.parametrize(("average", "first"), [(1.0, 1), (0.5, 11), (0.34, 14), (1e-9, 21)])
def test_weights_end_as_the_mean_of_the_last_steps(tmp_path, average, first):
    """Of 21 steps. What the loss of a step sees are the weights after the step before."""
    plain, curve = timed(tmp_path / "plain.pt", 0.0, seen=(seen := []))
    found, same_curve = timed(tmp_path / "mean.pt", average)
    after = [weights for _, weights in seen[1:]] + [plain]
    for name in (name for name, _ in members().named_parameters()):
        values = [weights[name].double().numpy() for weights in after[first - 1 :]]
        assert (found[name].numpy() == (sum(values) / len(values)).astype("float32")).all()
    assert curve == same_curve


def test_a_share_of_the_steps_is_that_of_decimals():
    """0.1 of 30 is a little more than 3 in binary."""
    assert [Mean(members(), share, 30, {}).count for share in (0.1, 0.11, 0.5, 1.0)] == [3, 4, 15, 30]


def test_buffers_are_averaged_but_counts_are_not(tmp_path):
    """The running mean of batch norm after each step is what the loss of that step sees."""
    plain, _ = timed(tmp_path / "plain.pt", 0.0, seen=(seen := []))
    found, _ = timed(tmp_path / "mean.pt", 0.5)
    name = "members.0.1.running_mean"
    values = [weights[name].double().numpy() for _, weights in seen[10:]]
    assert (found[name].numpy() == (sum(values) / 11).astype("float32")).all()
    assert found["members.0.1.num_batches_tracked"] == plain["members.0.1.num_batches_tracked"] == 21


@pytest.mark.parametrize("stop", [5, 11, 12, 15, 21])
def test_stopped_at_any_step_the_mean_has_the_same_bits(tmp_path, monkeypatch, stop):
    whole, curve = timed(tmp_path / "whole.pt")
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path / "c.pt", stop=stop)
    again, same_curve = timed(tmp_path / "c.pt")
    once_more, _ = timed(tmp_path / "c.pt")
    assert same(whole, again) and same(whole, once_more) and curve == same_curve


def test_a_share_of_steps_that_is_none_is_named(tmp_path):
    with pytest.raises(ValueError, match="average: 1.5 is out of range: a share of all steps, 0 to 1"):
        timed(tmp_path / "c.pt", 1.5)


def test_seeds_do_not_collide():
    assert len({mix(seed, member) for seed in range(20) for member in range(20)}) == 400


def test_seconds_of_a_stopped_run_are_those_of_all_its_processes(tmp_path, monkeypatch):
    """By a clock that goes on by one second a step; the run is stopped in step 9 of 21."""
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0)
    now = 0.0
    monkeypatch.setattr(loop.time, "monotonic", lambda: now)

    def run(stop=None):
        def loss(logits_MBC, label_B, position_B, generator):
            nonlocal now
            now += 1
            if now == stop:
                raise KeyboardInterrupt
            return label.loss(logits_MBC, label_B).sum(0), None

        return fit(members(), Points(), loss, BUDGET, 7, tmp_path / "c.pt")[1]

    with pytest.raises(KeyboardInterrupt):
        run(stop=9)
    now = 1000.0
    assert run() == 21


def test_a_finished_run_is_not_trained_again(tmp_path):
    (first, curve), calls = run(tmp_path / "c.pt"), []

    def loss(*arguments):
        calls.append(arguments)
        return noisy(*arguments)

    (again, same_curve) = run(tmp_path / "c.pt", loss)
    assert same(first, again) and curve == same_curve and not calls


def test_a_line_an_epoch_says_whose_it_is(tmp_path, capsys):
    run(tmp_path / "san-mcl-k1-s0-0123456789abcdef.pt")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[:2] for line in lines] == [["san-mcl-k1-s0", f"epoch {i}/3"] for i in (1, 2, 3)]
    assert lines[-1].endswith("  0 s left") and "loss " in lines[0] and "chosen" not in lines[0]


def test_what_a_stage_leaves_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scratch = Path("scratch/a-0.pt")
    scratch.parent.mkdir()
    scratch.touch()
    outputs.write(members(), "models/cells/a.safetensors", "cells/a", {"curve": []}, 1.5, scratch)
    assert json.loads(Path("metrics/curves/cells/a.json").read_text()) == {"curve": []}
    record = json.loads(Path("metrics/environment/cells/a.json").read_text())
    assert record["wall_seconds"] == 1.5 and record["made"] == md5("models/cells/a.safetensors")
    assert not scratch.exists()
    outputs.write(members(), "models/cells/a.safetensors", "cells/a", {"curve": []}, 1.5, scratch)


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


@pytest.mark.parametrize("stop", [1, 9, 20])
def test_a_sharing_ensemble_resumes_in_the_same_bits(tmp_path, stop, monkeypatch):
    """Its masks are drawn by the generator whose state is in the checkpoint."""
    whole, _ = shared_run(tmp_path / "whole.pt")
    monkeypatch.setattr(loop, "SAVE_SECONDS", -1)
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

    monkeypatch.setattr("specialists.answers.ensemble.share", watched)
    shared_run(tmp_path / "c.pt")
    assert asked == 3 * (7 * [(0.25, False)] + [(0.25, True)])  # 3 epochs of 7 steps, and an answer
    assert not any(torch.equal(drawn[i], drawn[j]) for i in range(21) for j in range(i))


def shared_run(scratch, stop=None):
    torch.manual_seed(0)
    ensemble, steps = Ensemble([Both(), Both()], keep=0.25), []

    def loss(logits_MBC, label_B, position_B, generator):
        steps.append(1)
        if len(steps) == stop:
            raise KeyboardInterrupt
        return label.loss(logits_MBC, label_B).sum(0), None

    curve, _ = fit(ensemble, Points(), loss, BUDGET, 7, scratch)
    return ensemble.state_dict(), curve


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.Linear(2, 16), nn.Sequential(nn.ReLU(), nn.Linear(16, 3))
