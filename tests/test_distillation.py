"""Distillation by hand, and its two ends."""

from math import exp, log

import pytest
import torch

from specialists.answers import label
from specialists.students.distillation import distill

LOGITS = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
TEACHER = torch.randn(8, 5, generator=torch.Generator().manual_seed(1)).softmax(1)
LABEL = torch.arange(8) % 5


def softened(probabilities, temperature):
    powers = [p ** (1 / temperature) for p in probabilities]
    return [p / sum(powers) for p in powers]


def test_against_python_floats():
    found = distill(LOGITS, TEACHER, LABEL, label, alpha=0.3, temperature=2.5)
    for logits, teacher, y, loss in zip(
        LOGITS.tolist(), TEACHER.tolist(), LABEL.tolist(), found, strict=True
    ):
        student = [exp(x) / sum(map(exp, logits)) for x in logits]
        pairs = zip(softened(teacher, 2.5), softened(student, 2.5), strict=True)
        expected = 0.3 * 2.5**2 * sum(t * log(t / s) for t, s in pairs) - 0.7 * log(student[y])
        assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_alpha_0_is_the_task_loss_and_alpha_1_at_the_teacher_is_nothing():
    task = torch.nn.functional.cross_entropy(LOGITS, LABEL, reduction="none")
    torch.testing.assert_close(distill(LOGITS, TEACHER, LABEL, label, alpha=0.0, temperature=3.0), task)
    same = distill(TEACHER.log(), TEACHER, LABEL, label, alpha=1.0, temperature=3.0)
    torch.testing.assert_close(same, torch.zeros(8), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("alpha", "temperature"), [(-0.1, 1.0), (1.1, 1.0), (0.5, 0.0)])
def test_out_of_range_is_named(alpha, temperature):
    with pytest.raises(ValueError, match="is out of range"):
        distill(LOGITS, TEACHER, LABEL, label, alpha=alpha, temperature=temperature)
