"""Voting: from the answers of several members to one, as in the slides on limited GPUs (Algorithm 1).

M members, B batch, C answers, T types of answers
"""

import torch

from specialists.answers import metrics


def by_kind(right_B, kind_B, names):
    """Accuracy in percent: of all, and of each type of answer."""
    return {"overall": metrics.percent(right_B).item()} | metrics.by_group(right_B, kind_B, names)


def majority(logits_MBC, task):
    """The answer that most members prefer; a tie goes to the higher summed probability, then to the first."""
    probability_MBC = task.distribution(logits_MBC)
    return _elected(_votes(probability_MBC), probability_MBC.sum(0))


def by_type(logits_MBC, kind_C, kinds, task):
    """Members vote on the type of the answer first; then each votes for its best answer of that type.

    A tie of types is broken as one of answers: by the probability of the answers that were voted for.
    """
    probability_MBC = task.distribution(logits_MBC)
    said_MB = probability_MBC.argmax(2)
    type_MBT = torch.nn.functional.one_hot(kind_C[said_MB], kinds)
    sure_MBT = type_MBT * probability_MBC.amax(2).unsqueeze(2)
    type_B = _elected(type_MBT.sum(0), sure_MBT.sum(0))
    allowed_BC = kind_C == type_B.unsqueeze(1)
    within_MBC = probability_MBC.masked_fill(~allowed_BC, -1)
    return _elected(_votes(within_MBC), probability_MBC.sum(0))


def _votes(probability_MBC):
    _, batch, answers = probability_MBC.shape
    said_BM = probability_MBC.argmax(2).T
    return said_BM.new_zeros(batch, answers).scatter_add_(1, said_BM, torch.ones_like(said_BM))


def _elected(votes_BC, probability_BC):
    most_BC = votes_BC == votes_BC.amax(1, keepdim=True)
    return probability_BC.masked_fill(~most_BC, -1).argmax(1)
