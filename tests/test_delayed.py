"""Delayed updates are the large batch; by hand: clipping, scaling, dropout, memory, a loss of one's own."""

import pytest
import torch
from torch import nn
from torch.amp import GradScaler

from specialists.answers import label
from specialists.answers.ensemble import Ensemble
from specialists.training import memory
from specialists.training.budget import Budget
from specialists.training.loop import fit, plain
from stages.mixed import Cast

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
    """`cost`: of how large its answers are, a loss of its own."""

    def __init__(self, dropout=0.0, cost=0.0):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(dropout), nn.Linear(5, 2)).double()
        self.cost = cost

    def forward(self, x):
        said = self.layers(x)
        if self.cost:
            self.extra = self.cost * said.square().mean()
        return said


class Double(Ensemble):
    """In float64 all the way."""

    def forward(self, *inputs, generator=None):
        return torch.stack([member(*inputs) for member in self.members])


loss = plain(label)


def trained(tmp_path, budget, dropout=0.0, select=0, cost=0.0, loss=loss, **more):
    torch.manual_seed(0)
    ensemble = Double([Member(dropout, cost), Member(dropout, cost)])
    curve, _ = fit(ensemble, Points(select), loss, budget, 0, tmp_path / "points-0.pt", **more)
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


@pytest.mark.parametrize("parts", [1, 3])
def test_a_network_may_have_a_loss_of_its_own(tmp_path, parts):
    """As if it had been part of the loss of each example."""

    def whole(logits_MBC, target_B, position_B, generator):
        found_B, _ = loss(logits_MBC, target_B, position_B, generator)
        return found_B + 0.7 * logits_MBC.square().mean(2).sum(0), None

    budget = Budget(epochs=2, batch=8, lr=0.1, optimizer="sgd", parts=parts)
    own, _ = trained(tmp_path / "own", budget, cost=0.7)
    assert torch.allclose(own, trained(tmp_path / "whole", budget, loss=whole)[0], rtol=1e-12)
    assert not torch.allclose(own, trained(tmp_path / "none", budget)[0])


def test_scaled_gradients_end_where_plain_ones_do(tmp_path):
    """The scale is a power of two."""
    budget = Budget(epochs=2, batch=8, lr=0.1, optimizer="sgd", clip=0.2)
    plain, _ = trained(tmp_path / "plain", budget)
    scaler = GradScaler("cpu", init_scale=2.0**10)
    assert torch.equal(plain, trained(tmp_path / "scaled", budget, scaler=scaler)[0])


def test_a_step_in_fp16_that_overflows_is_left_out(tmp_path):
    def run(scale):
        torch.manual_seed(0)
        ensemble = Ensemble([Cast(Member().float(), half=True)])
        before = [each.clone() for each in ensemble.parameters()]
        data, scaler = Points(), GradScaler("cpu", init_scale=scale)
        data.x = data.x.float()
        path = tmp_path / f"{scale}-0.pt"
        fit(ensemble, data, loss, Budget(1, ROWS, 0.1, optimizer="sgd"), 0, path, scaler)
        same = map(torch.equal, before, ensemble.parameters())
        return scaler.get_scale(), all(same), all(each.isfinite().all() for each in ensemble.parameters())

    assert run(2.0**40) == (2.0**39, True, True)
    assert run(2.0**10) == (2.0**10, False, True)


def test_in_fp16_a_network_keeps_its_own_loss():
    half, x = Cast(Member(cost=0.5).float(), half=True), torch.ones(2, 3)
    half(x)
    assert half.extra.item() == pytest.approx(0.5 * half.member(x).square().mean().item(), rel=0.01)


def test_the_scale_goes_on_where_it_was(tmp_path):
    budget = Budget(epochs=2, batch=8, lr=0.1)
    trained(tmp_path, budget, scaler=GradScaler("cpu", init_scale=8.0, growth_interval=1))
    trained(tmp_path, budget, scaler=(scaler := GradScaler("cpu", init_scale=2.0)))
    assert scaler.get_scale() == 8.0 * 2**4


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
