"""SAN, the two-glimpse network of Kazemi & Elqursh (arXiv:1704.03162), both glimpses computed in parallel.

B batch, L words, R cells, F channels, D the question's size, A attention units, G glimpses, C answers
"""

import torch
from torch import nn

from specialists.networks.parts import Question, Stem
from specialists.networks.portable import Linear


class Network(nn.Module):
    """Attention over image cells, asked by the question; 4.5 M parameters at the paper's sizes."""

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
        attention: int,
        glimpses: int,
        hidden: int,
    ):
        super().__init__()
        if min(attention, glimpses, hidden) < 1:
            raise ValueError(
                f"attention {attention}, glimpses {glimpses}, hidden {hidden}: expected 1 or more"
            )
        self.stem = Stem(grid, channels, blocks, width)
        self.question = Question(words, embedding, lstm, pool)
        # A 1x1 convolution of concat(question, image) is the sum of one linear map of each.
        self.ask_image = Linear(channels, attention)
        self.ask_question = Linear(lstm, attention, bias=False)
        self.glimpse = Linear(attention, glimpses)
        self.hidden = Linear(glimpses * channels + lstm, hidden)
        self.answer = Linear(hidden, answers)

    def forward(self, *inputs):
        return self.upper(self.lower(*inputs))

    def lower(self, image_BRF, tokens_BL, length_B):
        """What was seen beside what was asked; members may share it."""
        image_BRF = self.stem(image_BRF)
        question_BD = self.question(tokens_BL, length_B)
        asked_BRA = torch.relu(self.ask_image(image_BRF) + self.ask_question(question_BD).unsqueeze(1))
        weight_BGR = self.glimpse(asked_BRA).transpose(1, 2).softmax(2)
        seen_BGF = weight_BGR @ image_BRF.to(weight_BGR.dtype)
        return torch.cat([seen_BGF.flatten(1), question_BD.to(seen_BGF.dtype)], 1)

    def upper(self, both):
        return self.answer(torch.relu(self.hidden(both)))
