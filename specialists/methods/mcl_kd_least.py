"""MCL-KD of at least k: beside the k of Eq. 4, each member learns what costs it less than to imitate.

M members, B batch, C answers
"""

import torch

from specialists.answers.assignment import assign
from specialists.methods import mcl_kd


def loss(task_MB, logits_MBC, teacher_MBC, k, task, *, beta: float, temperature: float, form: str):
    """Eq. 4 with any number of members from k up: of all such assignments, this is the cheapest."""
    other_MB = mcl_kd.other(logits_MBC, teacher_MBC, task, beta=beta, temperature=temperature, form=form)
    cost_MB = (task_MB - other_MB).detach()
    chosen_MB = assign(cost_MB, k) | (cost_MB < 0)
    return torch.where(chosen_MB, task_MB, other_MB).sum(0), chosen_MB
