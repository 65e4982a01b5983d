"""MCL: multiple choice learning (Guzman-Rivera et al., 2012).

M members, B batch
"""

import torch

from specialists.answers.assignment import oracle_loss


def loss(task_MB, k):
    """Eq. 2: a member that is not chosen pays nothing and learns nothing."""
    return oracle_loss(task_MB, torch.zeros_like(task_MB), k)
