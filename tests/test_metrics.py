"""Measures against counting by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import accuracy_score, log_loss

from specialists.answers import label as task
from specialists.answers import metrics
from specialists.answers.ensemble import mean

M, B, C = 3, 500, 6


def draw(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(M, B, C, generator=generator), torch.randint(C, (B,), generator=generator)


def test_accuracy_by_counting():
    logits, label = draw()
    found = metrics.accuracy(logits, label, task)
    answers = logits.argmax(2)
    averaged = [
        sum(np.exp(m[b]) / np.exp(m[b]).sum() for m in logits.double().numpy()).argmax() for b in range(B)
    ]
    oracle = [any(answers[m, b] == label[b] for m in range(M)) for b in range(B)]
    single = [100 * accuracy_score(label, answers[m]) for m in range(M)]
    assert found["top1"] == pytest.approx(100 * accuracy_score(label, averaged))
    assert found["oracle"] == pytest.approx(100 * sum(oracle) / B)
    assert [found["single"], found["single_min"], found["single_max"]] == pytest.approx(
        [sum(single) / M, min(single), max(single)]
    )


def test_mean_prediction_by_hand():
    """Eq. 7 on two members: (3/4, 1/4) and (1/4, 3/4) average to a half, whatever the logits' offset."""
    logits = torch.tensor([[[3.0, 1.0]], [[1.0, 3.0]]]).log() + torch.tensor([[[5.0]], [[-7.0]]])
    torch.testing.assert_close(mean(logits, task), torch.tensor([[0.5, 0.5]]))


def test_nll_is_scikit_learns():
    logits, label = draw(1)
    p = mean(logits.double(), task)
    assert metrics.calibration(p, label, task)["nll"] == pytest.approx(log_loss(label, p, labels=range(C)))


def test_ece_is_the_weighted_gap_of_scikit_learns_curve():
    logits, label = draw(2)
    confidence, answer = mean(logits, task).double().max(1)
    right, believed = calibration_curve((answer == label).int(), confidence, n_bins=15)
    weight = np.histogram(confidence, bins=15, range=(0, 1))[0]
    expected = 100 * np.sum(weight[weight > 0] * np.abs(right - believed)) / B
    assert metrics.calibration(mean(logits, task), label, task)["ece"] == pytest.approx(expected, abs=1e-3)


def test_by_confidence_is_scikit_learns_curve_and_says_how_many():
    logits, label = draw(2)
    confidence, answer = mean(logits, task).double().max(1)
    right, believed = calibration_curve((answer == label).int(), confidence, n_bins=15)
    count = np.histogram(confidence, bins=15, range=(0, 1))[0]
    found = metrics.by_confidence(confidence, answer == label)
    assert [point["top1"] for point in found] == pytest.approx(100 * right)
    assert [point["confidence"] for point in found] == pytest.approx(100 * believed)
    assert [point["examples"] for point in found] == count[count > 0].tolist()


def test_full_confidence_is_in_the_last_bin():
    found = metrics.by_confidence(torch.tensor([1.0, 0.95, 0.0]), torch.tensor([True, False, False]))
    assert [point["examples"] for point in found] == [1, 2]


def test_a_certain_and_right_prediction_has_no_error():
    found = metrics.calibration(torch.eye(4), torch.arange(4), task)
    assert found == {"nll": 0.0, "ece": 0.0}


def test_groups_and_an_empty_one():
    right, group = torch.tensor([1, 0, 1, 1]).bool(), torch.tensor([0, 0, 2, 2])
    assert metrics.by_group(right, group, ["a", "b", "c"]) == {"a": 50.0, "c": 100.0}


def test_entropy_is_one_for_equal_shares_and_zero_for_one_member():
    assert metrics.entropy(torch.tensor([3, 3, 3, 3])) == pytest.approx(1)
    assert metrics.entropy(torch.tensor([0, 0, 8, 0])) == 0
    assert metrics.entropy(torch.tensor([1, 1, 0, 0])) == pytest.approx(0.5)
