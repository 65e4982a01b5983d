"""What a right answer is, against plain Python floats, hand calculation and identities."""

from math import exp, log

import pytest
import torch

from specialists.answers import label

M, B, C = 3, 16, 28


def draw(seed):
    return 3 * torch.randn(M, B, C, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LOGITS, OTHER = draw(0), draw(1)
LABEL = torch.randint(C, (B,), generator=torch.Generator().manual_seed(2))


def softmax(row, temperature=1.0):
    """Slow and plain, in Python floats."""
    powers = [exp(x / temperature) for x in row]
    return [p / sum(powers) for p in powers]


def each(function, *logits):
    """A function of rows for every member and example."""
    members = zip(*(x.tolist() for x in logits), strict=True)
    return torch.tensor([[function(*rows) for rows in zip(*m, strict=True)] for m in members]).double()


def kl(p, q):
    return sum(a * log(a / b) for a, b in zip(p, q, strict=True))


def close(found, expected):
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_loss_is_minus_log_of_the_answers_probability():
    expected = [[-log(softmax(row)[y]) for row, y in zip(m, LABEL, strict=True)] for m in LOGITS.tolist()]
    torch.testing.assert_close(label.loss(LOGITS, LABEL), torch.tensor(expected, dtype=torch.float64))


def test_each_member_may_have_labels_of_its_own_and_one_network_has_no_members():
    label_MB = torch.stack([LABEL, LABEL.flip(0), LABEL])
    found = label.loss(LOGITS, label_MB)
    assert all(torch.equal(found[m], label.loss(LOGITS[m], label_MB[m])) for m in range(M))
    assert label.loss(LOGITS[0], LABEL).shape == (B,)


def test_the_gradient_of_the_loss_is_p_minus_the_answer():
    logits = LOGITS.clone().requires_grad_()
    found = torch.autograd.grad(label.loss(logits, LABEL).sum(), logits)[0]
    torch.testing.assert_close(found, LOGITS.softmax(2) - torch.nn.functional.one_hot(LABEL, C))


def test_distribution_is_softmax():
    close(label.distribution(LOGITS), each(softmax, LOGITS))


def test_uniform_is_the_kl_from_uniform():
    close(label.uniform(LOGITS), each(lambda row: kl([1 / C] * C, softmax(row)), LOGITS))


@pytest.mark.parametrize("temperature", [0.3, 1.0, 5.0])
def test_softened_takes_logits_or_log_p(temperature):
    expected = each(lambda row: [log(p) for p in softmax(row, temperature)], LOGITS)
    close(label.softened(LOGITS, temperature), expected)
    close(label.softened(LOGITS.log_softmax(2), temperature), expected)


def test_divergence_is_kl_of_the_second_from_the_first():
    found = label.divergence(LOGITS.log_softmax(2), OTHER.log_softmax(2))
    close(found, each(lambda p, q: kl(softmax(q), softmax(p)), LOGITS, OTHER))


def test_divergence_by_hand():
    """KL((1/2, 1/2) || (3/4, 1/4)) = log(2 / sqrt 3)."""
    p, q = torch.tensor([0.75, 0.25]).log(), torch.tensor([0.5, 0.5]).log()
    assert label.divergence(p, q).item() == pytest.approx(log(2 / 3**0.5), rel=1e-6)


@pytest.mark.parametrize("extreme", [80.0, -80.0, 1e4])
def test_extreme_logits_stay_finite(extreme):
    logits = torch.zeros(M, 2, C)
    logits[:, :, 0] = extreme
    log_p = label.softened(logits, 0.5)
    for found in (
        label.loss(logits, torch.tensor([0, 1])),
        label.uniform(logits),
        label.distribution(logits),
        label.divergence(log_p, log_p.flip(2)),
    ):
        assert found.isfinite().all()


def test_labels_of_another_shape_raise():
    with pytest.raises(RuntimeError):
        label.loss(LOGITS, LABEL[:3])
