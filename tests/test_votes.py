"""What ten people's votes are worth, against plain Python floats and brute force over splits."""

from itertools import combinations
from math import exp, log

import pytest
import torch

from specialists.answers import label, metrics, votes
from specialists.answers.ensemble import mean
from specialists.methods import cmcl, mcl, mcl_kd
from specialists.students.distillation import distill

M, B, C = 3, 6, 5


def draw(seed):
    return 2 * torch.randn(M, B, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOGITS, TEACHER = draw(0), draw(1)
SHARES = [{0: 1.0}, {1: 0.6, 2: 0.3}, {}, {4: 0.9, 0: 0.3}, {3: 0.3}, {2: 1.0, 1: 1.0}]


def packed(shares, width=2):
    """(B, 2, A), as data give it."""
    rows = [[*map(list, zip(*each.items(), strict=True))] or [[], []] for each in shares]
    return torch.tensor(
        [[side + [0] * (width - len(side)) for side in row] for row in rows], dtype=torch.float64
    )


TARGET = packed(SHARES)


def sigmoid(x):
    return 1 / (1 + exp(-x))


def every(function, *logits):
    """A sum over answers of a function of their logits, for each member and example; it is told which."""
    return torch.tensor(
        [
            [sum(function(b, c, *(x[m, b, c].item() for x in logits)) for c in range(C)) for b in range(B)]
            for m in range(M)
        ]
    ).double()


def coin(p, q):
    """KL(q || p) of two coins."""
    return q * log(q / p) + (1 - q) * log((1 - q) / (1 - p))


def crossed(p, share):
    return -share * log(p) - (1 - share) * log(1 - p)


def test_loss_is_the_cross_entropy_of_every_answer():
    expected = every(lambda b, c, x: crossed(sigmoid(x), SHARES[b].get(c, 0)), LOGITS)
    torch.testing.assert_close(votes.loss(LOGITS, TARGET), expected)
    torch.testing.assert_close(votes.loss(LOGITS[0], TARGET), expected[0])


def test_an_answer_is_right_by_its_share():
    answer_MB = torch.tensor([[0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 3, 1], [4, 1, 4, 0, 2, 2]])
    expected = [[SHARES[b].get(answer, 0) for b, answer in enumerate(row)] for row in answer_MB.tolist()]
    assert votes.right(answer_MB, TARGET).tolist() == expected
    assert votes.right(answer_MB[1], TARGET).tolist() == expected[1]


def test_uniform_is_the_kl_from_coins():
    expected = every(lambda b, c, x: coin(sigmoid(x), 0.5), LOGITS)
    torch.testing.assert_close(votes.uniform(LOGITS), expected)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_divergence_is_the_kl_of_coins(temperature):
    expected = every(
        lambda b, c, x, t: coin(sigmoid(x / temperature), sigmoid(t / temperature)), LOGITS, TEACHER
    )
    soft = [votes.softened(x, temperature) for x in (LOGITS, TEACHER)]
    torch.testing.assert_close(votes.divergence(*soft), expected)


def test_what_was_a_distribution_is_one_again():
    torch.testing.assert_close(votes.logits(votes.distribution(LOGITS)), LOGITS)
    torch.testing.assert_close(
        votes.nll(votes.distribution(LOGITS[0]), TARGET), votes.loss(LOGITS[0], TARGET)
    )


def test_drawn_has_the_gradient_of_uniform_on_average():
    logits = LOGITS[:, :1].expand(M, 20_000, C).clone().requires_grad_()
    found = torch.autograd.grad(votes.drawn(logits, torch.Generator().manual_seed(0)).sum(), logits)[0].mean(
        1
    )
    one = LOGITS[:, 0].clone().requires_grad_()
    expected = torch.autograd.grad(votes.uniform(one).sum(), one)[0]
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)


OTHERS = {
    mcl: lambda b, c, x, t: 0.0,
    cmcl: lambda b, c, x, t: 0.75 * coin(sigmoid(x), 0.5),
    mcl_kd: lambda b, c, x, t: 1.8 * coin(sigmoid(x / 2), sigmoid(t / 2)),
}
GIVEN = {
    mcl: {},
    cmcl: {"logits_MBC": LOGITS, "generator": None, "task": votes, "beta": 0.75, "form": "exact"},
    mcl_kd: {"logits_MBC": LOGITS, "teacher_MBC": TEACHER, "task": votes}
    | {"beta": 1.8, "temperature": 2.0, "form": "kl"},
}


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("method", OTHERS, ids=lambda method: method.__name__.rpartition(".")[2])
def test_a_method_pays_for_the_best_of_all_splits(method, k):
    paid = every(lambda b, c, x: crossed(sigmoid(x), SHARES[b].get(c, 0)), LOGITS)
    rest = every(OTHERS[method], LOGITS, TEACHER)
    found, chosen = method.loss(votes.loss(LOGITS, TARGET), k=k, **GIVEN[method])
    for b in range(B):
        costs = {
            split: sum((paid if m in split else rest)[m, b].item() for m in range(M))
            for split in combinations(range(M), k)
        }
        assert found[b].item() == pytest.approx(min(costs.values()))
        assert costs[tuple(chosen[:, b].nonzero().flatten().tolist())] == pytest.approx(min(costs.values()))


def test_a_student_pays_kl_and_votes():
    teacher_BC = mean(TEACHER, votes)
    found = distill(LOGITS[0], teacher_BC, TARGET, votes, alpha=0.3, temperature=2.0)
    for b in range(B):
        pairs = [(LOGITS[0, b, c].item(), teacher_BC[b, c].item()) for c in range(C)]
        kl = sum(coin(sigmoid(x / 2), sigmoid(log(p / (1 - p)) / 2)) for x, p in pairs)
        task = sum(crossed(sigmoid(x), SHARES[b].get(c, 0)) for c, (x, _) in enumerate(pairs))
        assert found[b].item() == pytest.approx(0.3 * 4 * kl + 0.7 * task)


def test_accuracy_is_the_mean_share_of_what_is_answered():
    found = metrics.accuracy(LOGITS, TARGET, votes)
    answers = LOGITS.argmax(2).tolist()
    shares = [[SHARES[b].get(answers[m][b], 0) for b in range(B)] for m in range(M)]
    assert found["single"] == pytest.approx(100 * sum(map(sum, shares)) / (M * B))
    assert found["oracle"] == pytest.approx(100 * sum(map(max, zip(*shares, strict=True))) / B)
    together = votes.distribution(LOGITS).mean(0).argmax(1).tolist()
    assert found["top1"] == pytest.approx(100 * sum(SHARES[b].get(a, 0) for b, a in enumerate(together)) / B)


def test_both_tasks_offer_the_same():
    assert {name for name in vars(label) if callable(getattr(label, name))} <= set(vars(votes))


@pytest.mark.parametrize("extreme", [80.0, -80.0, 1e4])
def test_extreme_logits_stay_finite(extreme):
    logits = torch.full((M, B, C), extreme)
    soft = votes.softened(logits, 0.5)
    for found in (
        votes.loss(logits, TARGET.float()),
        votes.uniform(logits),
        votes.divergence(soft, soft.flip(2)),
        votes.nll(votes.distribution(logits[0]), TARGET.float()),
    ):
        assert found.isfinite().all()
