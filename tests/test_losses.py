"""The paper's equations against brute force over all C(M, k) splits, hand calculation, and identities."""

from itertools import combinations
from math import exp, log

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists import losses

M, B, C = 5, 64, 28


def draw(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOGITS, TEACHER = draw(M, B, C), draw(M, B, C, seed=1)
LABEL = torch.randint(C, (B,), generator=torch.Generator().manual_seed(2))
GENERATOR = torch.Generator().manual_seed(3)

PRICES = {
    "mcl": lambda logits, teacher: losses.mcl(logits, teacher, GENERATOR),
    "cmcl": lambda logits, teacher: losses.cmcl(logits, teacher, GENERATOR, beta=0.75, form="exact"),
    "cmcl stochastic": lambda logits, teacher: losses.cmcl(
        logits, teacher, GENERATOR, beta=0.75, form="stochastic"
    ),
    "mcl_kd": lambda logits, teacher: losses.mcl_kd(
        logits, teacher, GENERATOR, beta=1.8, temperature=0.7, form="kl"
    ),
    "mcl_kd ce": lambda logits, teacher: losses.mcl_kd(
        logits, teacher, GENERATOR, beta=50.0, temperature=0.7, form="ce"
    ),
}
every_price = pytest.mark.parametrize("price", PRICES.values(), ids=PRICES.keys())


def softmax(row, temperature=1.0):
    """Slow and plain, in Python floats."""
    powers = [exp(x / temperature) for x in row]
    return [p / sum(powers) for p in powers]


def kl(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


def test_task_loss_is_minus_log_of_the_answers_probability():
    expected = [[-log(softmax(row)[y]) for row, y in zip(m, LABEL, strict=True)] for m in LOGITS.tolist()]
    torch.testing.assert_close(losses.task_loss(LOGITS, LABEL), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("k", range(1, M + 1))
@every_price
def test_oracle_loss_is_the_best_of_all_splits(price, k):
    task, other = losses.task_loss(LOGITS, LABEL), price(LOGITS, TEACHER)
    loss, chosen = losses.oracle_loss(task, other, k)
    for b in range(B):
        costs = {
            split: sum((task if m in split else other)[m, b].item() for m in range(M))
            for split in combinations(range(M), k)
        }
        assert loss[b].item() == pytest.approx(min(costs.values()), rel=1e-12)
        assert tuple(chosen[:, b].nonzero().squeeze(1).tolist()) == min(costs, key=costs.get)


@given(st.integers(1, 6).flatmap(lambda m: st.tuples(st.just(m), st.integers(1, m))), st.integers(0, 2**32))
@settings(max_examples=50, deadline=None)
def test_assign_chooses_k_and_no_cheaper_member_is_left_out(m_k, seed):
    m, k = m_k
    # Few distinct values, so that ties occur.
    cost = torch.randint(4, (m, 20), generator=torch.Generator().manual_seed(seed)).float()
    chosen = losses.assign(cost, k)
    assert (chosen.sum(0) == k).all()
    assert (cost.masked_fill(~chosen, -1).amax(0) <= cost.masked_fill(chosen, 9).amin(0)).all()


def test_ties_go_to_the_lower_index():
    assert losses.assign(torch.zeros(4, 1), 2).squeeze(1).tolist() == [True, True, False, False]


@every_price
def test_k_equal_to_m_is_the_independent_ensemble(price):
    task = losses.task_loss(LOGITS, LABEL)
    loss, chosen = losses.oracle_loss(task, price(LOGITS, TEACHER), M)
    assert torch.equal(loss, task.sum(0)) and chosen.all()


def test_mcl_at_k_1_is_the_minimum():
    task = losses.task_loss(LOGITS, LABEL)
    loss, _ = losses.oracle_loss(task, losses.mcl(LOGITS, TEACHER, GENERATOR), 1)
    assert torch.equal(loss, task.min(0).values)


def test_cmcl_is_beta_times_kl_from_uniform():
    expected = [[0.75 * kl([1 / C] * C, softmax(row)) for row in member] for member in LOGITS.tolist()]
    found = losses.cmcl(LOGITS, TEACHER, GENERATOR, beta=0.75, form="exact")
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_cmcl_by_hand():
    """p = (3/4, 1/4): KL(uniform || p) = log(1/2) - (log 3/4 + log 1/4) / 2 = log(2 / sqrt 3)."""
    logits = torch.tensor([[[log(3.0), 0.0]]])
    found = losses.cmcl(logits, logits, GENERATOR, beta=2.0, form="exact").item()
    assert found == pytest.approx(2 * log(2 / 3**0.5), rel=1e-6)


def test_stochastic_cmcl_has_the_exact_value_and_the_exact_gradient_on_average():
    logits = LOGITS[:, :1].expand(M, 40_000, C).clone().requires_grad_()
    found = losses.cmcl(logits, None, torch.Generator().manual_seed(0), beta=0.75, form="stochastic")
    exact = losses.cmcl(LOGITS[:, :1], None, None, beta=0.75, form="exact")
    torch.testing.assert_close(found, exact.expand_as(found))
    mean_gradient = torch.autograd.grad(found.sum(), logits)[0].mean(1)
    one = LOGITS[:, :1].clone().requires_grad_()
    gradient = torch.autograd.grad(losses.cmcl(one, None, None, beta=0.75, form="exact").sum(), one)[0]
    torch.testing.assert_close(mean_gradient, gradient.squeeze(1), atol=0.01, rtol=0)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 5.0])
def test_mcl_kd_is_beta_times_kl_from_the_teacher(temperature):
    found = losses.mcl_kd(LOGITS, TEACHER, GENERATOR, beta=1.8, temperature=temperature, form="kl")
    expected = [
        [1.8 * kl(softmax(t, temperature), softmax(s, temperature)) for s, t in zip(ss, ts, strict=True)]
        for ss, ts in zip(LOGITS.tolist(), TEACHER.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))


def test_authors_form_is_the_mean_over_answers_with_the_teachers_entropy_left_in():
    kl_form = losses.mcl_kd(LOGITS, TEACHER, GENERATOR, beta=1.0, temperature=0.7, form="kl")
    ce_form = losses.mcl_kd(LOGITS, TEACHER, GENERATOR, beta=1.0, temperature=0.7, form="ce")
    entropy = torch.special.entr((TEACHER / 0.7).softmax(2)).sum(2)
    torch.testing.assert_close(ce_form, (kl_form + entropy) / C)


@pytest.mark.parametrize("form", ["kl", "ce"])
def test_a_member_that_is_not_chosen_and_equals_its_teacher_gets_no_gradient(form):
    logits = LOGITS.clone().requires_grad_()
    other = losses.mcl_kd(logits, LOGITS, GENERATOR, beta=1.8, temperature=0.7, form=form)
    loss, chosen = losses.oracle_loss(losses.task_loss(logits, LABEL), other, 2)
    gradient = torch.autograd.grad(loss.sum(), logits)[0]
    assert gradient[~chosen].abs().max() < 1e-12
    assert gradient[chosen].abs().sum(1).min() > 0


def test_under_mcl_a_member_that_is_not_chosen_gets_no_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss, chosen = losses.oracle_loss(losses.task_loss(logits, LABEL), losses.mcl(logits, None, None), 1)
    gradient = torch.autograd.grad(loss.sum(), logits)[0]
    assert gradient[~chosen].abs().max() == 0


@pytest.mark.parametrize("name", sorted(set(PRICES) - {"cmcl stochastic"}))
def test_the_gradient_is_that_of_the_chosen_split(name):
    """Autograd through the whole loss against finite differences of the loss with the split held fixed."""
    logits, teacher, price = LOGITS[:, :3].clone(), TEACHER[:, :3], PRICES[name]
    chosen = losses.oracle_loss(losses.task_loss(logits, LABEL[:3]), price(logits, teacher), 2)[1]

    def held(x):
        return torch.where(chosen, losses.task_loss(x, LABEL[:3]), price(x, teacher)).sum()

    x = logits.clone().requires_grad_()
    loss, _ = losses.oracle_loss(losses.task_loss(x, LABEL[:3]), price(x, teacher), 2)
    found = torch.autograd.grad(loss.sum(), x)[0]
    for m, b, c in [(0, 0, 0), (1, 1, 5), (2, 2, 27), (3, 0, int(LABEL[0])), (4, 1, int(LABEL[1]))]:
        step = torch.zeros_like(logits)
        step[m, b, c] = 1e-5
        difference = (held(logits + step) - held(logits - step)) / 2e-5
        assert found[m, b, c].item() == pytest.approx(difference.item(), abs=1e-7)


@every_price
@pytest.mark.parametrize("extreme", [80.0, -80.0, 1e4])
def test_extreme_logits_stay_finite(price, extreme):
    logits = torch.zeros(M, 2, C)
    logits[:, :, 0] = extreme
    logits.requires_grad_()
    loss, _ = losses.oracle_loss(
        losses.task_loss(logits, torch.tensor([0, 1])), price(logits, -logits.detach()), 2
    )
    assert loss.isfinite().all()
    assert torch.autograd.grad(loss.sum(), logits)[0].isfinite().all()


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_out_of_range_is_named(k):
    with pytest.raises(ValueError, match=f"k = {k} is out of range: 1 to 5"):
        losses.assign(torch.zeros(M, B), k)


def test_wrong_shapes_and_settings_raise():
    with pytest.raises(ValueError, match="differ in shape"):
        losses.oracle_loss(torch.zeros(M, B), torch.zeros(B), 1)
    with pytest.raises(ValueError, match="differ in shape"):
        losses.mcl_kd(LOGITS, TEACHER[:, :, :1], None, beta=1.0, temperature=1.0, form="kl")
    with pytest.raises(ValueError, match="temperature: 0.0 is out of range"):
        losses.mcl_kd(LOGITS, TEACHER, None, beta=1.0, temperature=0.0, form="kl")
    with pytest.raises(ValueError, match="beta: nan is out of range: at least 0"):
        losses.cmcl(LOGITS, TEACHER, None, beta=float("nan"), form="exact")
    for price in (losses.cmcl, losses.mcl_kd):
        extra = {"temperature": 1.0} if price is losses.mcl_kd else {}
        with pytest.raises(ValueError, match="form: 'exactly'; known: "):
            price(LOGITS, TEACHER, None, beta=1.0, form="exactly", **extra)
