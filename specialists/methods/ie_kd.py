"""IE-KD: every member learns every answer, and imitates the mean of all base models.

M members, B batch, C answers
"""

import torch

from specialists.methods import mcl_kd
from specialists.methods.mcl_kd_mean import mean


def loss(task_MB, logits_MBC, teacher_MBC, task, *, alpha: float, temperature: float):
    """(1 - alpha) task + alpha T^2 KL(mean at T || p at T), of all members."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: {alpha} is out of range: 0 to 1")
    settings = {"beta": alpha * temperature**2, "temperature": temperature, "form": "kl"}
    other_MB = mcl_kd.other(logits_MBC, mean(teacher_MBC, task), task, **settings)
    return ((1 - alpha) * task_MB + other_MB).sum(0), torch.ones_like(task_MB, dtype=torch.bool)
