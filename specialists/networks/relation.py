"""Relation Network (Santoro et al., 2017) from pixels, behind the gated blocks of Pahuja et al. (2019).

B batch, H W pixels, L words, Q the question's size, X cells of the last map, which are the objects, O what is
known of one, U units, C answers
"""

import math

import torch
from torch import nn

from specialists.networks import modular
from specialists.networks.parts import Question
from specialists.networks.portable import Linear

STRIDE, STRIDES = 16, (1, 2, 2)  # in all, and of each block
CHOICES = ("learned", "drawn")
PLACE = 2  # numbers of each object: where it is


class Network(nn.Module):
    """A convolution, three blocks in which `active` of `groups` groups run, and all pairs of objects.

    The question chooses the groups, or chance does (`choice: drawn`). `active: 0` is the plain block, without
    gates. `balance`: what it costs if groups are used unequally, by `scope`. Published: 128 x 128 pixels,
    first 64, channels 48, 12 groups of width 4, last 24, units 256.
    """

    def __init__(
        self,
        size,
        words,
        answers,
        *,
        first: int,
        channels: int,
        groups: int,
        width: int,
        active: int,
        choice: str,
        attention: int,
        balance: float,
        scope: str,
        last: int,
        embedding: int,
        lstm: int,
        pool: str,
        units: int,
        dropout: float,
    ):
        super().__init__()
        modular.check_pixels(size, STRIDE)
        modular.check_sizes(groups=groups, width=width, channels=channels)
        if choice not in CHOICES:
            raise ValueError(f"choice: {choice!r} is unknown; known: {', '.join(CHOICES)}")
        learns = active and choice == "learned"
        modular.check_balance(balance, learns)

        def gate(inputs, cells, place):
            if learns:
                return modular.Gate(inputs, cells, lstm, attention, groups, active, scope)
            return modular.Drawn(groups, active, place) if active else None

        self.drawn, self.extra = choice == "drawn", 0
        self.question = Question(words, embedding, lstm, pool)
        steps = [(channels, width, stride) for stride in STRIDES]
        self.eyes = modular.Stack(size, first, 3, steps, groups, gate, balance)
        self.last = nn.Conv2d(channels, last, 1)
        self.relations = Relations(last + PLACE, lstm, units)
        self.answer = nn.Sequential(
            *(Linear(units, units), nn.ReLU(), Linear(units, units), nn.ReLU()),
            *(nn.Dropout(dropout), Linear(units, answers)),
        )

    def forward(self, image_BHW3, tokens_BL, length_B):
        question_BQ = self.question(tokens_BL, length_B)
        chooses_B = number(image_BHW3, tokens_BL) if self.drawn else question_BQ
        object_BXO = objects(torch.relu(self.last(self.eyes(image_BHW3, chooses_B))))
        self.extra = self.eyes.extra()
        return self.answer(self.relations(object_BXO, question_BQ))

    def multiplications(self):
        """(those of convolutions, those of gates) for one question asked alone."""
        found, of_gates = self.eyes.multiplications()
        return found + math.prod(self.eyes.size) // STRIDE**2 * self.last.weight.numel(), of_gates


def number(image_BHW3, tokens_BL):
    """An exact number for each question about each picture, whatever else is in the batch."""
    place_L = torch.arange(1, tokens_BL.shape[1] + 1, device=tokens_BL.device)
    asked_B = (tokens_BL * place_L * place_L).sum(1)
    return image_BHW3.flatten(1).long().sum(1) * 1_000_003 + asked_B


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
