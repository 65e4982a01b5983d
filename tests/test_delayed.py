"""Delayed updates are the large batch; clipping, dropout and memory by hand."""

import pytest
import torch
from torch import nn

from specialists.answers import label
from specialists.answers.ensemble import Ensemble
from specialists.training import memory
from specialists.training.budget import Budget
from specialists.training.loop import fit

ROWS = 13


class Points:
    task = label

    def __init__(self, select=0):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(ROWS, 3, generator=generator, dtype=torch.float64)
        self.y = torch.randint(2, (ROWS,), generator=generator)
        self.select = select

    def rows(self, split):
        return torch.arange(ROWS if split == "train" else self.select)

    def order(self, batch, generator):
        return torch.randperm(ROWS, generator=generator)

    def batch(self, rows):
        return (self.x[rows],), self.y[rows]

    def targets(self, rows):
        return self.y[rows]


class Member(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 2)).double()

    def forward(self, x):
        return self.layers(x)


class Double(Ensemble):
    """In float64 all the way."""

    def forward(self, *inputs, generator=None):
        return torch.stack([member(*inputs) for member in self.members])


def loss(logits_MBC, target_B, position_B, generator):
    return label.loss(logits_MBC, target_B).sum(0), None


def trained(tmp_path, budget, dropout=0.0, select=0):
    torch.manual_seed(0)
    ensemble = Double([Member(dropout), Member(dropout)])
    curve, _ = fit(ensemble, Points(select), loss, budget, 0, tmp_path / "points-0.pt")
    return torch.cat([each.flatten() for each in ensemble.parameters()]), curve


@pytest.mark.parametrize("optimizer", ["sgd", "adamax"])
@pytest.mark.parametrize("parts", [2, 3, 8])
def test_delayed_updates_end_where_the_large_batch_does(tmp_path, optimizer, parts):
    """Of 13 examples the second batch has 5, which is stepped all the same."""
    settings = {"epochs": 3, "batch": 8, "lr": 0.1, "optimizer": optimizer, "clip": 0.2}
    whole, curve = trained(tmp_path / "whole", Budget(**settings))
    delayed, other = trained(tmp_path / "delayed", Budget(**settings, parts=parts))
    assert torch.allclose(whole, delayed, rtol=1e-12, atol=1e-13)
    assert [each["loss"] for each in curve] == pytest.approx([each["loss"] for each in other], rel=1e-12)


def test_each_member_is_clipped_by_itself():
    ensemble = Double([Member(), Member()])
    for member, size in zip(ensemble.members, (3.0, 0.01), strict=True):
        for each in member.parameters():
            each.grad = torch.full_like(each, size)
    Budget(epochs=1, batch=1, lr=1.0, clip=0.5).shorten(ensemble.members)
    norms = [
        torch.cat([each.grad.flatten() for each in m.parameters()]).norm().item() for m in ensemble.members
    ]
    count = sum(each.numel() for each in ensemble.members[0].parameters())
    assert norms == pytest.approx([0.5, 0.01 * count**0.5], rel=1e-5)


def test_data_without_select_have_no_accuracy_in_their_curve(tmp_path):
    budget = Budget(epochs=1, batch=8, lr=0.1)
    assert trained(tmp_path / "none", budget)[1][0].keys() == {"loss"}
    assert trained(tmp_path / "some", budget, select=4)[1][0].keys() == {
        "loss",
        "select_top1",
        "select_oracle",
    }


def test_dropout_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    """Also when something else has drawn numbers in between."""
    budget = Budget(epochs=4, batch=8, lr=0.1)
    whole, _ = trained(tmp_path / "whole", budget, dropout=0.5)
    torch.manual_seed(0)
    ensemble, steps = Double([Member(0.5), Member(0.5)]), []

    def stopping(*given):
        steps.append(0)
        if len(steps) == 5:  # in the third epoch
            raise KeyboardInterrupt
        return loss(*given)

    with pytest.raises(KeyboardInterrupt):
        fit(ensemble, Points(), stopping, budget, 0, tmp_path / "points-0.pt")
    torch.rand(7)
    again = Double([Member(0.5), Member(0.5)])
    fit(again, Points(), loss, budget, 0, tmp_path / "points-0.pt")
    assert torch.equal(whole, torch.cat([each.flatten() for each in again.parameters()]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parts": 0}, "parts: 0 is out of range: 1 to 4, the batch"),
        ({"parts": 5}, "parts: 5 is out of range: 1 to 4, the batch"),
        ({"clip": -0.5}, "clip: -0.5 is out of range: at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Budget(epochs=1, batch=4, lr=0.1, **settings)


def test_what_a_step_keeps_is_counted_by_hand():
    """Of x @ W.T + b, ReLU: x for W's slope, and the result of ReLU; weights are there anyway."""
    module, x = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), torch.randn(16, 4)
    assert memory.kept(module, (x,), lambda said: said.sum()) * 2**20 == 4 * (16 * 4 + 16 * 8)
