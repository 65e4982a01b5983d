"""Learning rates by hand, SGD against its formula, and what makes no sense."""

import math

import pytest
import torch
from torch import nn

from specialists.training.budget import Budget

BUDGET = Budget(epochs=3, batch=16, lr=0.01, lr_end=0.001)


def test_learning_rate_falls_along_half_a_cosine():
    assert BUDGET.rate(0) == pytest.approx(BUDGET.lr)
    assert BUDGET.rate(0.5) == pytest.approx((BUDGET.lr + BUDGET.lr_end) / 2)
    assert BUDGET.rate(1) == pytest.approx(BUDGET.lr_end)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch": 0}, {"lr_end": 0.1}, {"lr_end": -1.0}])
def test_a_budget_out_of_range_is_named(change):
    with pytest.raises(ValueError, match="epochs|lr_end"):
        Budget(**{"epochs": 1, "batch": 1, "lr": 0.01, "lr_end": 0.0} | change)


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
        ({"optimizer": "adagrad"}, "optimizer: 'adagrad' is unknown; known: adam, adamax, sgd"),
        ({"warmup": 1.0}, "warmup: 1.0 is out of range"),
        ({"drops": [0.5, 2.0]}, "drops: 2.0 is out of range"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Budget(epochs=1, batch=1, lr=0.1, **settings)
