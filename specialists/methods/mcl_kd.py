"""MCL-KD: multiple choice learning with knowledge distillation (Mun et al., 2018).

M members, B batch, C answers
"""

from specialists.answers.assignment import oracle_loss

FORMS = ("kl", "ce")


def loss(task_MB, logits_MBC, teacher_MBC, k, task, *, beta: float, temperature: float, form: str):
    other_MB = other(logits_MBC, teacher_MBC, task, beta=beta, temperature=temperature, form=form)
    return oracle_loss(task_MB, other_MB, k)


def other(logits_MBC, teacher_MBC, task, *, beta, temperature, form):
    """Eq. 5: a member that is not chosen imitates the base model that it started from.

    `kl` is the equation, beta KL(teacher_m at T || p_m at T), summed over answers. `ce` is the authors' code:
    the cross-entropy, without the teacher's entropy and divided by C. It has the gradient of kl / C, but
    assigns examples differently.
    """
    if logits_MBC.shape != teacher_MBC.shape:
        raise ValueError(
            f"logits {tuple(logits_MBC.shape)} and teacher {tuple(teacher_MBC.shape)} differ in shape"
        )
    if not beta >= 0:
        raise ValueError(f"beta: {beta} is out of range: at least 0")
    if not temperature > 0:
        raise ValueError(f"temperature: {temperature} is out of range: above 0")
    if form not in FORMS:
        raise ValueError(f"form: {form!r} is unknown; known: {', '.join(FORMS)}")
    log_p_MBC = task.softened(logits_MBC, temperature)
    log_t_MBC = task.softened(teacher_MBC, temperature)
    return beta * (task.divergence if form == "kl" else task.crossed)(log_p_MBC, log_t_MBC)
