"""A ResNeXt-101 of gated blocks (Pahuja et al., 2019) before the bottom-up top-down network, from pixels.

B batch, H W pixels, L words, Q the question's size, X cells of the last map, F its channels
"""

import torch
from torch import nn

from specialists.networks import butd, modular
from specialists.networks.boxes import last

FIRST = 64


class Network(nn.Module):
    """Four stages of `blocks`; the question chooses `active` of the `groups` groups of each block.

    `active: 0` is the plain ResNeXt. `channels`: what a block of the first stage gives; `width`: that of a
    group there. Each later stage doubles both. `balance`: what it costs if groups are used unequally, by
    `scope`. Published: 224 x 224 pixels, blocks 3 4 23 3, 32 groups of width 4 (32x4d) or 32 (32x32d),
    channels 256, and the sizes of butd.py.
    """

    def __init__(
        self,
        size,
        words,
        answers,
        *,
        blocks: list[int],
        channels: int,
        groups: int,
        width: int,
        active: int,
        attention: int,
        balance: float,
        scope: str,
        embedding: int,
        question: int,
        hidden: int,
        classifier_hidden: int,
        activation: str,
        dropout: float,
        attention_dropout: float,
    ):
        super().__init__()
        modular.check_sizes(groups=groups, width=width, channels=channels, blocks=min(blocks, default=0))
        modular.check_pixels(size, 2 << len(blocks))
        modular.check_balance(balance, active)

        def gate(inputs, cells, place):
            if active:
                return modular.Gate(inputs, cells, question, attention, groups, active, scope)

        steps = [
            (channels << stage, width << stage, 2 if stage and not i else 1)
            for stage, number in enumerate(blocks)
            for i in range(number)
        ]
        self.eyes, self.extra = modular.Stack(size, FIRST, 7, steps, groups, gate, balance), 0
        names = {"hidden": hidden, "classifier_hidden": classifier_hidden, "activation": activation}
        names |= {"dropout": dropout, "attention_dropout": attention_dropout}
        self.head = butd.Network(
            steps[-1][0], words, answers, embedding=embedding, question=question, **names
        )

    def forward(self, image_BHW3, tokens_BL, length_B):
        question_BQ = last(self.head.question(tokens_BL), length_B)
        image_BXF = self.eyes(image_BHW3, question_BQ).flatten(2).transpose(1, 2)
        self.extra = self.eyes.extra()
        box_BX4 = torch.tensor([0.0, 0.0, 1.0, 1.0], device=image_BXF.device).expand(*image_BXF.shape[:2], 4)
        return self.head.answered(image_BXF, box_BX4, question_BQ)

    def multiplications(self):
        """(those of convolutions, those of gates) for one question asked alone."""
        return self.eyes.multiplications()
