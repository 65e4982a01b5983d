"""MCL-KD of the mean: a member that is not chosen imitates the mean of all base models, not its own.

M members, B batch, C answers
"""

from specialists.answers.assignment import oracle_loss
from specialists.methods import mcl_kd


def loss(task_MB, logits_MBC, teacher_MBC, k, task, *, beta: float, temperature: float, form: str):
    mean_MBC = mean(teacher_MBC, task)
    other_MB = mcl_kd.other(logits_MBC, mean_MBC, task, beta=beta, temperature=temperature, form=form)
    return oracle_loss(task_MB, other_MB, k)


def mean(teacher_MBC, task):
    """The mean of the base models' distributions, in the form of logits, for each member."""
    return task.logits(task.distribution(teacher_MBC).mean(0)).expand_as(teacher_MBC)
