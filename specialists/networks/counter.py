"""The counting module of Zhang et al. (arXiv:1802.05766): a number from attention, where boxes overlap.

Attention weights and boxes become a graph whose nodes are boxes and whose edges lead from each box to each.
An edge is removed where two boxes overlap (one object, seen twice), and boxes that say the same share their
weight. What remains is the square of the count.

B batch, K boxes, N the best of them, D pieces of a line, C = N + 1 numbers that can be counted to
"""

import torch
from torch import nn

PIECES = 16
FORMS = ("none", "plain", "sharpened")


def counting(form):
    """The module that a param names, or None."""
    if form not in FORMS:
        raise ValueError(f"counter: {form!r} is unknown; known: {', '.join(FORMS)}")
    return None if form == "none" else Counter(sharpen=form == "sharpened")


class Counter(nn.Module):
    """(boxes as corners x1 y1 x2 y2, logits of attention) -> the count as weights of the numbers 0 to N.

    `sharpen` bends weights and distances by x ** (2 (1 - x)) before edges are removed.
    """

    def __init__(self, most=10, sharpen=False):
        super().__init__()
        self.most, self.sharpen = most, sharpen
        self.lines = nn.ModuleList(Line() for _ in range(8))

    def forward(self, box_BK4, logit_BK):
        edge, apart, near, same, same_apart, sure, sure_apart, trust = self.lines
        if logit_BK.shape[1] < self.most:
            raise ValueError(f"{logit_BK.shape[1]} boxes, where the {self.most} best are counted")
        logit_BN, best_BN = logit_BK.topk(self.most)
        weight_BN = logit_BN.sigmoid()
        box_BN4 = box_BK4.gather(1, best_BN.unsqueeze(2).expand(-1, -1, 4))
        weight_BNN = weight_BN.unsqueeze(2) * weight_BN.unsqueeze(1)
        distance_BNN = 1 - overlap(box_BN4)
        if self.sharpen:
            weight_BNN, distance_BNN = sharper(weight_BNN), sharper(distance_BNN)
        edge_BNN = edge(weight_BNN) * apart(distance_BNN)
        alike_BNN = self.alike(same(weight_BNN) * same_apart(distance_BNN), weight_BN, near)
        seen_BN = alike_BNN.sum(2)  # how often each box is seen
        within_B = (edge_BNN / (seen_BN.unsqueeze(2) * seen_BN.unsqueeze(1))).sum((1, 2))
        alone_B = (edge(weight_BN * weight_BN) / seen_BN).sum(1)
        count_B = root(within_B + alone_B)
        doubt_B = (sure(weight_BN) - 0.5).abs().mean(1) + (sure_apart(distance_BNN) - 0.5).abs().mean((1, 2))
        return between(count_B, self.most) * trust(doubt_B).unsqueeze(1)

    def alike(self, edge_BNN, weight_BN, near):
        """How alike two boxes are: their weights and all their edges differ little."""
        apart_BNNN = (edge_BNN.unsqueeze(2) - edge_BNN.unsqueeze(1)).abs()
        weights_BNN = (weight_BN.unsqueeze(2) - weight_BN.unsqueeze(1)).abs()
        return near(1 - weights_BNN) * near(1 - apart_BNNN).prod(3)


class Line(nn.Module):
    """A line that rises from (0, 0) to (1, 1) in straight pieces; the learned share of each is its rise."""

    def __init__(self):
        super().__init__()
        self.rise_D = nn.Parameter(torch.ones(PIECES))

    def forward(self, x):
        rise_D = self.rise_D.abs()
        height_D = torch.cat([rise_D.new_zeros(1), rise_D.cumsum(0) / rise_D.sum()])
        at = x.clamp(0, 1) * PIECES
        piece = at.detach().floor().clamp_max(PIECES - 1)
        low, high = height_D[piece.long()], height_D[piece.long() + 1]
        return low + (at - piece) * (high - low)


def overlap(box_BN4):
    """Intersection over union of each box with each."""
    near_BN2, far_BN2 = box_BN4.split(2, 2)
    near_BNN2 = torch.maximum(near_BN2.unsqueeze(2), near_BN2.unsqueeze(1))
    far_BNN2 = torch.minimum(far_BN2.unsqueeze(2), far_BN2.unsqueeze(1))
    inside_BNN = (far_BNN2 - near_BNN2).clamp_min(0).prod(3)
    area_BN = (far_BN2 - near_BN2).clamp_min(0).prod(2)
    return inside_BNN / (area_BN.unsqueeze(2) + area_BN.unsqueeze(1) - inside_BNN + 1e-12)


def sharper(x):
    """x ** (2 (1 - x)), which is 0 at 0 and 1 at 1."""
    return torch.exp(2 * (1 - x) * x.clamp_min(1e-12).log())


def root(x):
    """The square root, in operations that every processor rounds alike."""
    return x * x.clamp_min(1e-20).rsqrt()


def between(count_B, most):
    """Weights of the two whole numbers around a count; the nearer weighs more."""
    count_B = count_B.clamp(0, most)
    number_C = torch.arange(most + 1, device=count_B.device)
    return (1 - (count_B.unsqueeze(1) - number_C).abs()).clamp_min(0)
