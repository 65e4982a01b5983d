"""Students: one small network that imitates an ensemble.

B batch, C answers
"""


def distill(logits_BC, teacher_BC, target_B, task, *, alpha: float, temperature: float):
    """Hinton et al. (2015): alpha T^2 KL(teacher at T || student at T) + (1 - alpha) task loss, per example.

    `teacher` is a distribution, the ensemble's mean (Eq. 7); p at temperature T is softmax(log p / T).
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: {alpha} is out of range: 0 to 1")
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature} is out of range: above 0")
    kl_B = task.divergence(*softened(logits_BC, teacher_BC, task, temperature))
    return alpha * temperature**2 * kl_B + (1 - alpha) * task.loss(logits_BC, target_B)


def softened(logits_BC, teacher_BC, task, temperature):
    """log p of student and teacher at a temperature."""
    teacher_BC = task.logits(teacher_BC)
    return task.softened(logits_BC, temperature), task.softened(teacher_BC, temperature)
