"""Relation Network (Santoro et al., 2017) from pixels, behind the gated blocks of Pahuja et al. (2019).

B batch, H W pixels, L words, Q the question's size, X cells of the last map, which are the objects, O what is
known of one, U units, C answers
"""

import torch
from torch import nn

from specialists.networks.modular import Block, Gate
from specialists.networks.parts import Question
from specialists.networks.portable import Linear

STRIDE, BLOCKS = 16, 3
PLACE = 2  # numbers of each object: where it is


class Network(nn.Module):
    """A convolution, three blocks of which the question chooses `active` of `groups` groups, and all pairs.

    `active: 0` is the plain block, without gates. `balance`: what it costs if groups are not used alike,
    by `scope`. Published: width 4 in 12 groups, first 64, last 24, units 256, 128 x 128 pixels.
    """

    def __init__(
        self,
        size,
        words,
        answers,
        *,
        first: int,
        groups: int,
        width: int,
        active: int,
        attention: int,
        balance: float,
        scope: str,
        last: int,
        embedding: int,
        lstm: int,
        units: int,
        dropout: float,
    ):
        super().__init__()
        if any(side % STRIDE for side in size):
            raise ValueError(f"{size[0]} x {size[1]} pixels: expected multiples of {STRIDE}")
        if groups < 1 or width < 1:
            raise ValueError(f"groups {groups} and width {width} must be at least 1")
        if not balance >= 0:
            raise ValueError(f"balance: {balance} is out of range: at least 0")
        if balance and not active:
            raise ValueError(f"balance: {balance} has no meaning without gates; with active: 0 it is 0")
        self.balance, self.extra = balance, 0
        self.question = Question(words, embedding, lstm, "last")
        self.first = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        inner, self.blocks = groups * width, nn.ModuleList()
        for i in range(BLOCKS):
            inputs, stride = (inner, 2) if i else (first, 1)
            cells = (size[0] * size[1]) // (4 << max(i - 1, 0)) ** 2  # of what enters
            gate = Gate(inputs, cells, lstm, attention, groups, active, scope) if active else None
            self.blocks.append(Block(inputs, inner, groups, width, stride, gate))
        self.last = nn.Conv2d(inner, last, 1)
        self.relations = Relations(last + PLACE, lstm, units)
        self.answer = nn.Sequential(
            *(Linear(units, units), nn.ReLU(), Linear(units, units), nn.ReLU()),
            *(nn.Dropout(dropout), Linear(units, answers)),
        )

    def forward(self, image_BHW3, tokens_BL, length_B):
        question_BQ = self.question(tokens_BL, length_B)
        return self.answer(self.relations(objects(self.map(image_BHW3, question_BQ)), question_BQ))

    def map(self, image_BHW3, question_BQ):
        """What the convolutions make of pixels."""
        map_BCHW = self.first(image_BHW3.permute(0, 3, 1, 2).float().mul(1 / 64).sub(2))
        for block in self.blocks:
            map_BCHW = block(map_BCHW, question_BQ)
        self.extra = 0  # of this forward pass alone, whose graph it holds
        if self.balance and self.training:
            self.extra = self.balance * sum(block.gate.balance for block in self.blocks)
        return torch.relu(self.last(map_BCHW))


def objects(map_BCHW):
    """(B, X, O): the channels of each cell and its place, down and across, from -1 to 1."""
    sides = (torch.linspace(-1, 1, side, device=map_BCHW.device) for side in map_BCHW.shape[2:])
    place_X2 = torch.cartesian_prod(*sides).to(map_BCHW.dtype)
    return torch.cat([map_BCHW.flatten(2).transpose(1, 2), place_X2.expand(len(map_BCHW), -1, -1)], 2)


class Relations(nn.Module):
    """Four layers on every ordered pair of objects with the question, summed over the pairs.

    The first layer of a pair is the sum of what it makes of one object, of the other and of the question.
    """

    def __init__(self, known, question, units):
        super().__init__()
        self.one, self.other = Linear(known, units), Linear(known, units, bias=False)
        self.asked = Linear(question, units, bias=False)
        layers = [layer for _ in range(3) for layer in (Linear(units, units), nn.ReLU())]
        self.layers = nn.Sequential(nn.ReLU(), *layers)

    def forward(self, object_BXO, question_BQ):
        one_BX1U = (self.one(object_BXO) + self.asked(question_BQ).unsqueeze(1)).unsqueeze(2)
        pair_BXXU = one_BX1U + self.other(object_BXO).unsqueeze(1)
        return self.layers(pair_BXXU).sum((1, 2))
