"""CMCL: confident multiple choice learning (Lee et al., 2017).

M members, B batch, C answers
"""

import torch

from specialists.answers import tasks
from specialists.answers.assignment import oracle_loss

FORMS = ("exact", "stochastic")


def loss(task_MB, logits_MBC, k, generator, *, beta: float, form: str):
    return oracle_loss(task_MB, other(logits_MBC, generator, beta=beta, form=form), k)


def other(logits_MBC, generator, *, beta, form):
    """Eq. 3: a member that is not chosen must not know the answer: beta KL(uniform || p_m)."""
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is out of range: at least 0")
    if form not in FORMS:
        raise ValueError(f"form: {form!r} is unknown; known: {', '.join(FORMS)}")
    exact_MB = tasks.uniform(logits_MBC)
    return beta * (exact_MB if form == "exact" else stochastic(logits_MBC, exact_MB, generator))


def stochastic(logits_MBC, exact_MB, generator):
    """The value of Eq. 3 with the gradient of the cross-entropy against one uniformly random label.

    That gradient is Eq. 3's in expectation; the authors train so.
    """
    answers = logits_MBC.shape[2]
    label_MB = torch.randint(answers, exact_MB.shape, generator=generator, device=logits_MBC.device)
    drawn_MB = tasks.loss(logits_MBC, label_MB)
    return exact_MB.detach() + drawn_MB - drawn_MB.detach()
