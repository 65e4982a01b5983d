"""The gated block of Pahuja et al. (2019): of the groups of a ResNeXt block the question chooses which run.

B batch, C channels, H W the grid of cells (X in a line), Q the question's size, A attention units, G groups, K
of which run, S different choices of groups in a batch
"""

import torch
import torch.nn.functional as F
from torch import nn

from specialists.networks.portable import Linear

SCOPES = ("batch", "sample")
SETS = 8  # at most as many choices are computed one after the other, more side by side


class Gate(nn.Module):
    """How much each group counts for a question about an image: 0 for all but `active` of them.

    Appendix B: attention over the grid, what it sees plus the question, ReLU, L1 norm; where all are zero, all
    groups count the same. `balance` is the squared coefficient of variation of what counts before the others
    are left out, of the batch's mean or the mean over its samples.
    """

    def __init__(self, channels, cells, question, attention, groups, active, scope):
        super().__init__()
        if not 1 <= active <= groups:
            raise ValueError(f"active: {active} is out of range: 1 to {groups}, the groups")
        if scope not in SCOPES:
            raise ValueError(f"scope: {scope!r} is unknown; known: {', '.join(SCOPES)}")
        self.active, self.scope, self.balance = active, scope, None
        self.image = Linear(channels, question)
        self.of_image, self.of_question = Linear(question, attention, bias=False), Linear(question, attention)
        self.attend, self.place_X = Linear(attention, 1, bias=False), nn.Parameter(torch.zeros(cells))
        self.groups = Linear(question, groups)

    def forward(self, map_BCHW, question_BQ):
        """weight_BG, and chosen_BK in ascending order; of groups that count the same the first are chosen."""
        # A cell's features in the size of the question are W_I x; of W_IA W_I x the weights are multiplied
        # first, and of sum p W_I x the sum is computed first.
        image_YQ = torch.cat([self.image.weight.T, self.image.bias.unsqueeze(0)])  # Y = C + 1
        image_YA = self.of_image(image_YQ)
        image_BAHW = F.conv2d(map_BCHW, image_YA[:-1].T[..., None, None], image_YA[-1])
        asked_BAX = torch.tanh(image_BAHW.flatten(2) + self.of_question(question_BQ).unsqueeze(2))
        share_BX = (self.attend(asked_BAX.transpose(1, 2)).squeeze(2) + self.place_X).softmax(1)
        seen_BC = (map_BCHW.flatten(2).to(share_BX.dtype) @ share_BX.unsqueeze(2)).squeeze(2)
        seen_BQ = self.image(seen_BC)
        score_BG = torch.relu(self.groups(seen_BQ + question_BQ)).float()
        total_B1 = score_BG.sum(1, keepdim=True)
        weight_BG = torch.where(total_B1 > 0, score_BG / total_B1.clamp_min(1e-12), 1 / score_BG.shape[1])
        mean_G = weight_BG if self.scope == "sample" else weight_BG.mean(0, keepdim=True)
        self.balance = (mean_G.var(1, unbiased=False) / mean_G.mean(1).square()).mean()
        order_BG = weight_BG.argsort(dim=1, descending=True, stable=True)
        chosen_BK = order_BG[:, : self.active].sort(1).values
        return weight_BG * torch.zeros_like(weight_BG).scatter_(1, chosen_BK, 1.0), chosen_BK


class Block(nn.Module):
    """1x1, 3x3 in groups, 1x1, and a shortcut. With a gate each group's output is weighted.

    In training all groups are computed, so that each has its statistics; else the chosen ones alone.
    """

    def __init__(self, inputs, outputs, groups, width, stride=1, gate=None):
        super().__init__()
        inner, self.count, self.stride, self.gate = groups * width, groups, stride, gate
        self.reduce, self.reduced = nn.Conv2d(inputs, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv = nn.Conv2d(inner, inner, 3, stride, 1, groups=groups, bias=False)
        self.convolved = nn.BatchNorm2d(inner)
        self.expand, self.expanded = nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if inputs != outputs or stride > 1:
            layers = nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            self.shortcut = nn.Sequential(*layers)

    def forward(self, map_BCHW, question_BQ=None):
        if self.gate is None:
            return self.joined(map_BCHW, self.expand(self.groups_of(map_BCHW)))
        weight_BG, chosen_BK = self.gate(map_BCHW, question_BQ)
        if self.training or chosen_BK.shape[1] == self.count:
            weight_BI11 = weight_BG.repeat_interleave(self.conv.in_channels // self.count, 1)[..., None, None]
            return self.joined(map_BCHW, self.expand(self.groups_of(map_BCHW) * weight_BI11))
        sets_SK, set_B = chosen_BK.unique(dim=0, return_inverse=True)
        if len(sets_SK) > SETS:
            return self.joined(map_BCHW, self.beside(map_BCHW, weight_BG, chosen_BK))
        found = None
        for s, set_K in enumerate(sets_SK):
            row_N = (set_B == s).nonzero().squeeze(1)
            part = self.alone(map_BCHW[row_N], weight_BG[row_N][:, set_K], set_K)
            found = map_BCHW.new_empty(len(map_BCHW), *part.shape[1:]) if found is None else found
            found[row_N] = part
        return self.joined(map_BCHW, found)

    def groups_of(self, map_BCHW):
        inner = torch.relu(self.reduced(self.reduce(map_BCHW)))
        return torch.relu(self.convolved(self.conv(inner)))

    def joined(self, map_BCHW, expanded):
        return torch.relu(self.expanded(expanded) + self.shortcut(map_BCHW))

    def weights(self):
        """Of each group: the weights and biases of its two layers with their norms, and how it is expanded."""
        first, second = folded(self.reduce, self.reduced), folded(self.conv, self.convolved)
        each = [part.unflatten(0, (self.count, -1)) for part in (*first, *second)]
        return *each, self.expand.weight.unflatten(1, (self.count, -1))

    def alone(self, map_NCHW, weight_NK, set_K):
        """The groups of one choice, for all that chose the same."""
        w1, b1, w2, b2, w3 = self.weights()
        inner = torch.relu(F.conv2d(map_NCHW, w1[set_K].flatten(0, 1), b1[set_K].flatten()))
        second = w2[set_K].flatten(0, 1), b2[set_K].flatten(), self.stride, 1, 1, len(set_K)
        inner = torch.relu(F.conv2d(inner, *second)).unflatten(1, (len(set_K), -1))
        inner = (inner * weight_NK[..., None, None, None]).flatten(1, 2)
        return F.conv2d(inner, w3[:, set_K].flatten(1, 2))

    def beside(self, map_BCHW, weight_BG, chosen_BK):
        """The groups of many choices side by side, each with its own weights."""
        (B, _, H, W), K = map_BCHW.shape, chosen_BK.shape[1]
        w1, b1, w2, b2, w3 = self.weights()
        first, bias = w1.flatten(2)[chosen_BK].flatten(1, 2), b1[chosen_BK].flatten(1, 2).unsqueeze(2)
        inner = torch.baddbmm(bias, first, map_BCHW.flatten(2)).relu_()
        inner = inner.view(1, -1, H, W)
        second = w2[chosen_BK].flatten(0, 2), b2[chosen_BK].flatten(), self.stride, 1, 1, B * K
        inner = torch.relu(F.conv2d(inner, *second))
        H, W = inner.shape[2:]
        third = w3.flatten(2).transpose(0, 1)[chosen_BK] * weight_BG.gather(1, chosen_BK)[..., None, None]
        return torch.bmm(third.transpose(1, 2).flatten(2), inner.view(B, -1, H * W)).unflatten(2, (H, W))


def folded(conv, norm):
    """(weight, bias) of a convolution that does what its norm in evaluation does too."""
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
