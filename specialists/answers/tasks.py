"""What a right answer is: one label of C. Everything that knows this, and nothing else, is in this file.

M members, B batch, C answers; any number of dimensions may stand before C
"""

import math

import torch.nn.functional as F


def loss(logits_MBC, label_B):
    """Eq. 6: the negative log-likelihood of the answer."""
    label_MB = label_B.expand(logits_MBC.shape[:-1])
    return -logits_MBC.log_softmax(-1).gather(-1, label_MB.unsqueeze(-1)).squeeze(-1)


def distribution(logits_MBC):
    return logits_MBC.softmax(-1)


def uniform(logits_MBC):
    """KL(uniform || p) = -log C - mean_c log p[c]."""
    return -math.log(logits_MBC.shape[-1]) - logits_MBC.log_softmax(-1).mean(-1)


def softened(logits_MBC, temperature):
    """log p at a temperature; of log p, instead of logits, the same."""
    return (logits_MBC / temperature).log_softmax(-1)


def divergence(log_p_MBC, log_q_MBC):
    """KL(q || p)."""
    return F.kl_div(log_p_MBC, log_q_MBC, reduction="none", log_target=True).sum(-1)
