"""The gated block of Pahuja et al. (2019): the question chooses which groups of a ResNeXt block run.

B batch, C channels, H W the grid of cells (X in a line), Q the size of the question, A attention units, G
groups, K of which run, S different choices of groups in a batch
"""

import torch
import torch.nn.functional as F
from torch import nn

from specialists.networks.portable import Linear

SCOPES = ("batch", "sample")
# More than SETS choices, of at most WORK multiplications for a question, are computed side by side. Others
# are computed one after the other, each for all questions that made it.
SETS, WORK = 8, 4e6


class Gate(nn.Module):
    """How much each group counts for a question about an image; a group that is not chosen counts nothing.

    Appendix B: attention over the grid, what it sees plus the question, ReLU, L1 norm; where all are 0, all
    groups count the same. `balance` is the squared coefficient of variation of the weights before groups are
    left out: that of the batch's mean, or the mean of those of its samples.
    """

    def __init__(self, channels, cells, question, attention, groups, active, scope):
        super().__init__()
        check_active(active, groups)
        if scope not in SCOPES:
            raise ValueError(f"scope: {scope!r} is unknown; known: {', '.join(SCOPES)}")
        self.active, self.scope, self.balance = active, scope, None
        self.image = Linear(channels, question)
        self.of_image, self.of_question = Linear(question, attention, bias=False), Linear(question, attention)
        self.attend, self.place_X = Linear(attention, 1, bias=False), nn.Parameter(torch.zeros(cells))
        self.groups = Linear(question, groups)

    def forward(self, map_BCHW, question_BQ):
        """weight_BG, and chosen_BK in ascending order; the first of equal groups are chosen."""
        # A cell's features in the size of the question are W_I x. For W_IA W_I x the weights are multiplied
        # first, for sum p W_I x the sum is computed first.
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
        variation = (mean_G.var(1, unbiased=False) / mean_G.mean(1).square()).mean()
        self.balance = variation if self.training else variation.detach()
        order_BG = weight_BG.argsort(dim=1, descending=True, stable=True)
        chosen_BK = order_BG[:, : self.active].sort(1).values
        return weight_BG * torch.zeros_like(weight_BG).scatter_(1, chosen_BK, 1.0), chosen_BK

    def multiplications(self, cells):
        """Of one question asked alone."""
        (units, question), channels = self.of_image.weight.shape, self.image.in_features
        weights = (channels + 1) * question * units
        return (
            weights
            + cells * (channels * units + units + channels)
            + question * (units + channels + self.groups.out_features)
        )


class Drawn(nn.Module):
    """Random groups, always the same for the same number: what a gate must be better than."""

    balance = 0.0

    def __init__(self, groups, active, seed):
        super().__init__()
        check_active(active, groups)
        self.count, self.active, self.seed = groups, active, seed

    def forward(self, map_BCHW, number_B):
        """weight_BG and chosen_BK as a gate gives them; every chosen group counts the same."""
        group_G = torch.arange(self.count, device=number_B.device) + self.seed * self.count
        mixed_BG = number_B.unsqueeze(1) * 0x2545F4914F6CDD1D + group_G * 0x9E3779B97F4A7C1
        for shift, factor in ((31, 0x5851F42D4C957F2D), (29, 0x14057B7EF767814F)):
            mixed_BG = (mixed_BG ^ (mixed_BG >> shift)) * factor  # modulo 2 ** 64
        chosen_BK = mixed_BG.argsort(dim=1)[:, : self.active].sort(1).values
        weight_BG = torch.zeros(mixed_BG.shape, device=map_BCHW.device)
        return weight_BG.scatter_(1, chosen_BK, 1 / self.active), chosen_BK

    def multiplications(self, cells):
        return 0


class Block(nn.Module):
    """1x1, 3x3 in groups, 1x1, and a shortcut. With a gate each group's output is weighted.

    In training all groups are computed, so that each has its statistics; in evaluation only the chosen ones.
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
            return self.joined(map_BCHW, self.groups_of(map_BCHW))
        weight_BG, chosen_BK = self.gate(map_BCHW, question_BQ)
        if self.training:
            return self.joined(map_BCHW, self.groups_of(map_BCHW) * self.spread(weight_BG))
        sets_SK, set_B, count_S = chosen_BK.unique(dim=0, return_inverse=True, return_counts=True)
        if len(sets_SK) == 1:
            return self.alone(map_BCHW, weight_BG[:, sets_SK[0]], sets_SK[0])
        work = chosen_BK.shape[1] / self.count * 2 * self.reduce.weight.numel() * map_BCHW[0, 0].numel()
        if len(sets_SK) > SETS and work <= WORK:
            return self.beside(map_BCHW, weight_BG, chosen_BK)
        map_BHWC, found = map_BCHW.permute(0, 2, 3, 1), []  # as rows lie in memory
        rows = set_B.argsort(stable=True).split(count_S.tolist())
        for row_N, set_K in zip(rows, sets_SK, strict=True):
            part = self.alone(map_BHWC[row_N].permute(0, 3, 1, 2), weight_BG[row_N][:, set_K], set_K)
            found.append(part.permute(0, 2, 3, 1))
        return torch.cat(found)[torch.cat(rows).argsort()].permute(0, 3, 1, 2)

    def multiplications(self, cells):
        """Of one question asked alone, about a map of that many cells: (the block's, those of its gate)."""
        inputs, outputs, inner = self.reduce.in_channels, self.expand.out_channels, self.conv.in_channels
        share = (self.gate.active if self.gate else self.count) / self.count
        after = cells // self.stride**2
        each = cells * inputs * inner + after * inner * (9 * inner // self.count + outputs)
        short = after * inputs * outputs if len(self.shortcut) else 0
        return round(share * each) + short, self.gate.multiplications(cells) if self.gate else 0

    def groups_of(self, map_BCHW):
        inner = torch.relu(self.reduced(self.reduce(map_BCHW)))
        return torch.relu(self.convolved(self.conv(inner)))

    def joined(self, map_BCHW, inner):
        return torch.relu(self.expanded(self.expand(inner)) + self.shortcut(map_BCHW))

    def spread(self, weight_BK):
        """The weights of groups as those of their channels."""
        return weight_BK.repeat_interleave(self.conv.in_channels // self.count, 1)[..., None, None]

    def weights(self, set_K=slice(None)):
        """Of each group: weights and biases of two layers with norms, how it is expanded; the last bias."""
        each = []
        for conv, norm in ((self.reduce, self.reduced), (self.conv, self.convolved)):
            weight, scale, bias = (
                part.unflatten(0, (self.count, -1))[set_K] for part in (conv.weight, *line(norm))
            )
            each += [weight * scale[..., None, None, None], bias]
        scale, bias = line(self.expanded)
        third = self.expand.weight.unflatten(1, (self.count, -1))[:, set_K]
        return *each, third * scale[:, None, None, None, None], bias

    def alone(self, map_NCHW, weight_NK, set_K):
        """The block with the groups of one choice, for all that made it."""
        set_K = set_K if len(set_K) < self.count else slice(None)  # which copies nothing
        w1, b1, w2, b2, w3, b3 = self.weights(set_K)
        inner = F.conv2d(map_NCHW, w1.flatten(0, 1), b1.flatten()).relu_()
        second = w2.flatten(0, 1), b2.flatten(), self.stride, 1, 1, len(w2)
        inner = F.conv2d(inner, *second).relu_()
        inner *= self.spread(weight_NK)
        return F.conv2d(inner, w3.flatten(1, 2), b3).add_(self.shortcut(map_NCHW)).relu_()

    def beside(self, map_BCHW, weight_BG, chosen_BK):
        """The block with the groups of many choices side by side, each with its own weights."""
        (B, _, H, W), K = map_BCHW.shape, chosen_BK.shape[1]
        w1, b1, w2, b2, w3, b3 = self.weights()
        first, bias = w1.flatten(2)[chosen_BK].flatten(1, 2), b1[chosen_BK].flatten(1, 2).unsqueeze(2)
        inner = torch.baddbmm(bias, first, map_BCHW.flatten(2)).relu_().view(1, -1, H, W)
        second = w2[chosen_BK].flatten(0, 2), b2[chosen_BK].flatten(), self.stride, 1, 1, B * K
        inner = F.conv2d(inner, *second).relu_()
        H, W = inner.shape[2:]
        third = w3.flatten(2).transpose(0, 1)[chosen_BK] * weight_BG.gather(1, chosen_BK)[..., None, None]
        # cells before channels, as they lie in the memory of the others
        inner_BXI = inner.view(B, -1, H * W).transpose(1, 2)
        found = torch.baddbmm(b3, inner_BXI, third.transpose(2, 3).flatten(1, 2))
        return found.transpose(1, 2).unflatten(2, (H, W)).add_(self.shortcut(map_BCHW)).relu_()


class Stack(nn.Module):
    """A convolution of pixels, then blocks, each (outputs, width, stride) of `steps`.

    `gate(inputs, cells, place)` is the gate of a block, or None. `balance`: what gates cost if they use their
    groups unequally.
    """

    def __init__(self, size, first, kernel, steps, groups, gate, balance):
        super().__init__()
        self.size, self.balance, self.blocks = size, balance, nn.ModuleList()
        stem = nn.Conv2d(3, first, kernel, 2, kernel // 2, bias=False)
        self.first = nn.Sequential(stem, nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        inputs, cells = first, size[0] * size[1] // 16
        for place, (outputs, width, stride) in enumerate(steps):
            self.blocks.append(Block(inputs, outputs, groups, width, stride, gate(inputs, cells, place)))
            inputs, cells = outputs, cells // stride**2

    def forward(self, image_BHW3, chooses_B):
        map_BCHW = self.first(image_BHW3.permute(0, 3, 1, 2).float().mul(1 / 64).sub(2))
        for block in self.blocks:
            map_BCHW = block(map_BCHW, chooses_B)
        return map_BCHW

    def extra(self):
        """What is added to the loss of the last forward pass."""
        if not (self.balance and self.training):
            return 0
        return self.balance * sum(block.gate.balance for block in self.blocks)

    def multiplications(self):
        """(those of convolutions, those of gates) for one question asked alone."""
        cells = self.size[0] * self.size[1] // 4
        found, of_gates, cells = cells * self.first[0].weight.numel(), 0, cells // 4
        for block in self.blocks:
            of_block, of_gate = block.multiplications(cells)
            found, of_gates, cells = found + of_block, of_gates + of_gate, cells // block.stride**2
        return found, of_gates


def line(norm):
    """What a norm in evaluation multiplies each channel by, and what it adds."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()  # sqrt differs between processors
    return scale, norm.bias - norm.running_mean * scale


def check_active(active, groups):
    if not 1 <= active <= groups:
        raise ValueError(f"active: {active} is out of range: 1 to {groups}, the groups")


def check_pixels(size, stride):
    if any(side % stride for side in size):
        raise ValueError(f"{size[0]} x {size[1]} pixels: expected multiples of {stride}")


def check_sizes(**sizes):
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"{name}: {value} is out of range: at least 1")


def check_balance(balance, learns):
    if not balance >= 0:
        raise ValueError(f"balance: {balance} is out of range: at least 0")
    if balance and not learns:
        raise ValueError(f"balance: {balance} has no meaning where no gate learns; there it is 0")
