"""CMCL: confident multiple choice learning (Lee et al., 2017).

M members, B batch, C answers
"""

from specialists.answers.assignment import oracle_loss

FORMS = ("exact", "stochastic")


def loss(task_MB, logits_MBC, k, generator, task, *, beta: float, form: str):
    return oracle_loss(task_MB, other(logits_MBC, generator, task, beta=beta, form=form), k)


def other(logits_MBC, generator, task, *, beta, form):
    """Eq. 3: a member that is not chosen must not know the answer: beta KL(uniform || p_m).

    `exact` is the equation. `stochastic` has its value, but the gradient of the loss of an answer drawn at
    random, which in expectation is Eq. 3's; the authors train so.
    """
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is out of range: at least 0")
    if form not in FORMS:
        raise ValueError(f"form: {form!r} is unknown; known: {', '.join(FORMS)}")
    exact_MB = task.uniform(logits_MBC)
    if form == "exact":
        return beta * exact_MB
    drawn_MB = task.drawn(logits_MBC, generator)
    return beta * (exact_MB.detach() + drawn_MB - drawn_MB.detach())
