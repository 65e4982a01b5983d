"""A task in which one answer of C is right; `target_B` is its place.

Only this file, or another with the same functions, knows what a right answer is. Every data set names its
own as `task`, and a method asks for it by that name.

M members, B batch, C answers; any number of dimensions may stand before C
"""

import math

import torch
import torch.nn.functional as F


def loss(logits_MBC, target_B):
    """Eq. 6: the negative log-likelihood of the answer."""
    target_MB = target_B.expand(logits_MBC.shape[:-1])
    return -logits_MBC.log_softmax(-1).gather(-1, target_MB.unsqueeze(-1)).squeeze(-1)


def right(answer_MB, target_B):
    """How right an answer is: here 0 or 1."""
    return answer_MB == target_B


def nll(probability_BC, target_B):
    """The loss of a distribution."""
    return -probability_BC.gather(1, target_B.unsqueeze(1)).clamp_min(1e-12).log().squeeze(1)


def distribution(logits_MBC):
    return logits_MBC.softmax(-1)


def logits(probability_BC):
    """Logits that have this distribution."""
    return probability_BC.clamp_min(1e-12).log()


def logs(probability_BC):
    """A distribution in the form that `divergence` compares."""
    return logits(probability_BC)


def uniform(logits_MBC):
    """KL(uniform || p) = -log C - mean_c log p[c]."""
    return -math.log(logits_MBC.shape[-1]) - logits_MBC.log_softmax(-1).mean(-1)


def drawn(logits_MBC, generator):
    """The loss of an answer that is drawn at random."""
    *several, answers = logits_MBC.shape
    target_MB = torch.randint(answers, several, generator=generator, device=logits_MBC.device)
    return loss(logits_MBC, target_MB)


def softened(logits_MBC, temperature):
    """log p at a temperature, from logits or from log p."""
    return (logits_MBC / temperature).log_softmax(-1)


def divergence(log_p_MBC, log_q_MBC):
    """KL(q || p)."""
    return F.kl_div(log_p_MBC, log_q_MBC, reduction="none", log_target=True).sum(-1)


def crossed(log_p_MBC, log_q_MBC):
    """The cross-entropy of p under q, divided by C."""
    return -(log_q_MBC.exp() * log_p_MBC).mean(-1)
