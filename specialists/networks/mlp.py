"""The paper's simple baseline: a multi-layer perceptron on the mean image cell beside the question.

B batch, L words, R cells, F channels, C answers
"""

import torch
from torch import nn

from specialists.networks.parts import Question, Stem
from specialists.networks.portable import Linear


class Network(nn.Module):
    def __init__(
        self,
        grid,
        channels,
        words,
        answers,
        *,
        blocks: int,
        width: int,
        embedding: int,
        lstm: int,
        pool: str,
        hidden: list[int],
    ):
        super().__init__()
        self.stem = Stem(grid, channels, blocks, width)
        self.question = Question(words, embedding, lstm, pool)
        sizes = [channels + lstm, *hidden]
        self.hidden = nn.ModuleList(Linear(a, b) for a, b in zip(sizes, hidden, strict=False))
        self.answer = Linear(sizes[-1], answers)

    def forward(self, *inputs):
        return self.upper(self.lower(*inputs))

    def lower(self, image_BRF, tokens_BL, length_B):
        """The mean cell beside what was asked; members may share it."""
        image_BF = self.stem(image_BRF).mean(1)
        return torch.cat([image_BF, self.question(tokens_BL, length_B).to(image_BF.dtype)], 1)

    def upper(self, both):
        for layer in self.hidden:
            both = torch.relu(layer(both))
        return self.answer(both)
