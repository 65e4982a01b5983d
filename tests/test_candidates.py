"""Methods that might beat the control, against brute force, plain Python and their limits."""

from itertools import combinations
from math import exp, log

import pytest
import torch

from specialists.answers import label as task
from specialists.methods import ie_kd, mcl_kd, mcl_kd_annealed, mcl_kd_least, mcl_kd_mean, mcl_kd_soft
from tests.test_methods import LABEL, LOGITS, TEACHER, B, M, kl, softmax

KD = {"beta": 1.8, "temperature": 0.7, "form": "kl"}
PAID = task.loss(LOGITS, LABEL)


def mean_of_teachers(b):
    """Slow and plain, in Python floats."""
    return [sum(column) / M for column in zip(*(softmax(row) for row in TEACHER[:, b].tolist()), strict=True)]


@pytest.mark.parametrize("k", range(1, M + 1))
def test_at_least_k_is_the_cheapest_of_all_assignments_of_k_or_more(k):
    rest = mcl_kd.other(LOGITS, TEACHER, task, **KD)
    found, chosen = mcl_kd_least.loss(PAID, LOGITS, TEACHER, k, task, **KD)
    assert found.equal(torch.where(chosen, PAID, rest).sum(0))
    for b in range(B):
        splits = [split for size in range(k, M + 1) for split in combinations(range(M), size)]
        costs = [sum((PAID if m in split else rest)[m, b].item() for m in range(M)) for split in splits]
        assert found[b].item() == pytest.approx(min(costs), rel=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_a_softness_near_zero_is_mcl_kd_and_a_large_one_shares_evenly(k):
    hard = mcl_kd.loss(PAID, LOGITS, TEACHER, k, task, **KD)
    soft = mcl_kd_soft.loss(PAID, LOGITS, TEACHER, k, task, **KD, softness=1e9)
    even = k / M * PAID + (1 - k / M) * mcl_kd.other(LOGITS, TEACHER, task, **KD)
    torch.testing.assert_close(soft[0], even.sum(0), rtol=1e-6, atol=0)
    assert torch.equal(soft[1], hard[1])
    if k == 1:
        near = mcl_kd_soft.loss(PAID, LOGITS, TEACHER, k, task, **KD, softness=1e-9)
        torch.testing.assert_close(near[0], hard[0])


def test_shares_by_hand():
    """Costs log 3 and 0 less 0: at softness 1 the shares are 1/4 and 3/4."""
    logits = torch.tensor([[[0.0, log(2.0)]], [[0.0, -100.0]]], dtype=torch.float64)
    paid = task.loss(logits, torch.tensor([0]))
    assert paid.flatten().tolist() == pytest.approx([log(3), 0.0])
    settings = {"beta": 0.0, "temperature": 1.0, "form": "kl", "softness": 1.0}
    found, chosen = mcl_kd_soft.loss(paid, logits, logits, 1, task, **settings)
    assert found.item() == pytest.approx(log(3) / 4) and chosen.flatten().tolist() == [False, True]


@pytest.mark.parametrize("k", range(1, M + 1))
def test_annealed_shares_are_the_mean_over_all_assignments(k):
    """At half of the training, of softness 3: 1.5; in plain Python, over all C(M, k) splits."""
    rest = mcl_kd.other(LOGITS, TEACHER, task, **KD)
    found, chosen = mcl_kd_annealed.loss(
        PAID, LOGITS, TEACHER, k, task, torch.tensor(0.5), **KD, softness=3.0
    )
    assert torch.equal(chosen, mcl_kd.loss(PAID, LOGITS, TEACHER, k, task, **KD)[1])
    splits = list(combinations(range(M), k))
    for b in range(B):
        costs = [sum((PAID if m in split else rest)[m, b].item() for m in range(M)) for split in splits]
        weights = [exp((min(costs) - cost) / 1.5) for cost in costs]
        shares = [
            sum(weight for weight, split in zip(weights, splits, strict=True) if m in split) / sum(weights)
            for m in range(M)
        ]
        expected = sum(
            share * PAID[m, b].item() + (1 - share) * rest[m, b].item() for m, share in enumerate(shares)
        )
        assert sum(shares) == pytest.approx(k) and found[b].item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("k", range(1, M + 1))
def test_annealed_begins_softly_and_ends_as_mcl_kd(k, dtype):
    given = [each.to(dtype).requires_grad_() for each in (PAID, LOGITS, TEACHER)]
    hard_B, chosen_MB = mcl_kd.loss(*given, k, task, **KD)

    def annealed(done):
        done = torch.tensor(done, dtype=torch.float64)
        return mcl_kd_annealed.loss(*given, k, task, done, **KD, softness=0.5)

    last_B, last_MB = annealed(1.0)
    torch.testing.assert_close(last_B, hard_B)
    assert torch.equal(last_MB, chosen_MB) and last_B.dtype == dtype
    slopes = [
        torch.autograd.grad(each_B.sum(), given[0], retain_graph=True)[0] for each_B in (last_B, hard_B)
    ]
    assert torch.equal(*slopes)
    if k == 1:
        soft_B = mcl_kd_soft.loss(*given, k, task, **KD, softness=0.5)[0]
        torch.testing.assert_close(annealed(0.0)[0], soft_B)


@pytest.mark.parametrize("temperature", [0.7, 2.0])
def test_all_but_the_chosen_imitate_the_mean_of_the_base_models(temperature):
    settings = KD | {"temperature": temperature}
    found, chosen = mcl_kd_mean.loss(PAID, LOGITS, TEACHER, 2, task, **settings)
    for b in range(B):
        mean = softmax([log(p) for p in mean_of_teachers(b)], temperature)
        others = [1.8 * kl(mean, softmax(row, temperature)) for row in LOGITS[:, b].tolist()]
        costs = [
            sum(PAID[m, b].item() if m in split else others[m] for m in range(M))
            for split in combinations(range(M), 2)
        ]
        assert found[b].item() == pytest.approx(min(costs), rel=1e-9) and chosen[:, b].sum() == 2


@pytest.mark.parametrize(("alpha", "temperature"), [(0.0, 1.0), (0.3, 2.0), (1.0, 0.7)])
def test_every_member_learns_and_imitates(alpha, temperature):
    found, chosen = ie_kd.loss(PAID, LOGITS, TEACHER, task, alpha=alpha, temperature=temperature)
    assert chosen.all()
    for b in range(B):
        mean = softmax([log(p) for p in mean_of_teachers(b)], temperature)
        imitated = sum(kl(mean, softmax(row, temperature)) for row in LOGITS[:, b].tolist())
        expected = (1 - alpha) * PAID[:, b].sum().item() + alpha * temperature**2 * imitated
        assert found[b].item() == pytest.approx(expected, rel=1e-9)


def test_settings_out_of_range_are_named():
    with pytest.raises(ValueError, match="softness: 0 is out of range: above 0"):
        mcl_kd_soft.loss(PAID, LOGITS, TEACHER, 1, task, **KD, softness=0)
    with pytest.raises(ValueError, match="softness: -1 is out of range: above 0"):
        mcl_kd_annealed.loss(PAID, LOGITS, TEACHER, 1, task, torch.zeros(()), **KD, softness=-1)
    with pytest.raises(ValueError, match="alpha: 1.5 is out of range: 0 to 1"):
        ie_kd.loss(PAID, LOGITS, TEACHER, task, alpha=1.5, temperature=1.0)
