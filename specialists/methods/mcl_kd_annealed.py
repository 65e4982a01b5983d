"""MCL-KD, annealed: members share an example at first, and at last k of them learn it.

M members, B batch, C answers, A assignments
"""

from itertools import combinations

import torch

from specialists.answers.assignment import assign
from specialists.methods import mcl_kd


def loss(
    task_MB,
    logits_MBC,
    teacher_MBC,
    k,
    task,
    done,
    *,
    beta: float,
    temperature: float,
    form: str,
    softness: float,
):
    """Eq. 4 with shares for choices, of a softness that falls along a line to 0, where they are choices."""
    if not softness > 0:
        raise ValueError(f"softness: {softness} is out of range: above 0")
    other_MB = mcl_kd.other(logits_MBC, teacher_MBC, task, beta=beta, temperature=temperature, form=form)
    cost_MB = (task_MB - other_MB).detach()
    share_MB = shares(cost_MB, k, softness * (1 - done))
    return (share_MB * task_MB + (1 - share_MB) * other_MB).sum(0), assign(cost_MB, k)


def shares(cost_MB, k, softness):
    """How far each member is among the k: over all assignments, weighed by a softmax of -cost / softness."""
    members = range(len(cost_MB))
    splits = [*combinations(members, k)]
    cost_AB = torch.stack([sum(cost_MB[m] for m in split) for split in splits])
    over_AB = cost_AB - cost_AB.amin(0)  # 0 of the best, which a softness of 0 leaves alone
    weight_AB = (-over_AB / softness.clamp_min(torch.finfo(over_AB.dtype).tiny)).softmax(0)
    weights = [*zip(splits, weight_AB, strict=True)]
    return torch.stack([sum(weight_B for split, weight_B in weights if m in split) for m in members])
