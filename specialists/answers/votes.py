"""A task in which ten people voted: an answer is right by a share, and each is predicted on its own.

`target_B` is (B, 2, A): places of the answers that got votes, and how right each is, 0 to 1; unused places
hold 0 and 0. A member gives each answer a probability, and these need not add up to 1. A formula for
distributions therefore becomes a sum over answers, each of which is a coin.

M members, B batch, C answers, A answers with votes; any number of dimensions may stand before C
"""

import math

import torch
import torch.nn.functional as F


def loss(logits_MBC, target_B2A):
    """Binary cross-entropy with the shares, summed over answers."""
    share_MBC = shares(target_B2A, logits_MBC.shape[-1]).to(logits_MBC.dtype).expand_as(logits_MBC)
    return F.binary_cross_entropy_with_logits(logits_MBC, share_MBC, reduction="none").sum(-1)


def shares(target_B2A, answers):
    """(B, 2, A) -> (B, C)"""
    place_BA, share_BA = target_B2A.unbind(1)
    return share_BA.new_zeros(len(share_BA), answers).scatter_add_(1, place_BA.long(), share_BA)


def right(answer_MB, target_B2A):
    """How right an answer is, from 0 to 1."""
    place_BA, share_BA = target_B2A.unbind(1)
    return ((answer_MB.unsqueeze(-1) == place_BA) * share_BA).sum(-1)


def nll(probability_BC, target_B2A):
    """The loss of a distribution."""
    return loss(logits(probability_BC), target_B2A)


def distribution(logits_MBC):
    return logits_MBC.sigmoid()


def logits(probability_BC):
    """Logits that have this distribution."""
    return probability_BC.clamp(1e-6, 1 - 1e-6).logit()


def logs(probability_BC):
    """A distribution in the form that `divergence` compares."""
    return softened(logits(probability_BC), 1.0)


def uniform(logits_MBC):
    """KL(uniform || p): the sum of KL(1/2 || p) over answers."""
    return -(math.log(2) + (F.logsigmoid(logits_MBC) + F.logsigmoid(-logits_MBC)) / 2).sum(-1)


def drawn(logits_MBC, generator):
    """The loss of answers that are right or wrong at random."""
    share_MBC = torch.rand(logits_MBC.shape, generator=generator, device=logits_MBC.device).round()
    return F.binary_cross_entropy_with_logits(logits_MBC, share_MBC, reduction="none").sum(-1)


def softened(logits_MBC, temperature):
    """(..., C, 2): log p and log (1 - p) at a temperature."""
    soft_MBC = logits_MBC / temperature
    return torch.stack([F.logsigmoid(soft_MBC), F.logsigmoid(-soft_MBC)], -1)


def divergence(log_p_MBC2, log_q_MBC2):
    """KL(q || p), summed over answers."""
    return F.kl_div(log_p_MBC2, log_q_MBC2, reduction="none", log_target=True).sum((-1, -2))


def crossed(log_p_MBC2, log_q_MBC2):
    """The cross-entropy of p under q, divided by C."""
    return -(log_q_MBC2.exp() * log_p_MBC2).sum(-1).mean(-1)
