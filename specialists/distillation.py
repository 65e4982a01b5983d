"""Students: one small network that imitates an ensemble.

B batch, C answers
"""

import torch.nn.functional as F


def distill(logits_BC, teacher_BC, label_B, *, alpha: float, temperature: float):
    """Hinton et al. (2015): alpha T^2 KL(teacher at T || student at T) + (1 - alpha) task loss, per example.

    `teacher` is a distribution, the ensemble's mean (Eq. 7); p at temperature T is softmax(log p / T).
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: {alpha} is out of range: 0 to 1")
    if temperature <= 0:
        raise ValueError(f"temperature: {temperature} is out of range: above 0")
    log_t_BC = (teacher_BC.clamp_min(1e-12).log() / temperature).log_softmax(1)
    log_s_BC = (logits_BC / temperature).log_softmax(1)
    kl_B = F.kl_div(log_s_BC, log_t_BC, reduction="none", log_target=True).sum(1)
    task_B = F.cross_entropy(logits_BC, label_B, reduction="none")
    return alpha * temperature**2 * kl_B + (1 - alpha) * task_B
