"""MCL-KD, softly assigned: each member learns an example as far as it is the one that finds it easy.

M members, B batch, C answers
"""

from specialists.answers.assignment import assign
from specialists.methods import mcl_kd


def loss(
    task_MB, logits_MBC, teacher_MBC, k, task, *, beta: float, temperature: float, form: str, softness: float
):
    """Eq. 4 with shares for choices: k times the softmax of -cost / softness, at most 1."""
    if not softness > 0:
        raise ValueError(f"softness: {softness} is out of range: above 0")
    other_MB = mcl_kd.other(logits_MBC, teacher_MBC, task, beta=beta, temperature=temperature, form=form)
    cost_MB = (task_MB - other_MB).detach()
    share_MB = (k * (-cost_MB / softness).softmax(0)).clamp_max(1)
    return (share_MB * task_MB + (1 - share_MB) * other_MB).sum(0), assign(cost_MB, k)
