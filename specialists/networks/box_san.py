"""The two-glimpse SAN of san.py on boxes, perhaps with the counting module (Zhang et al., 2018).

B batch, K boxes, F channels, L words, H the question's size, A attention units, G glimpses, C answers
"""

import torch
from torch import nn
from torch.nn.functional import normalize

from specialists.networks.boxes import Question, last, present, seen
from specialists.networks.counter import counting
from specialists.networks.portable import Linear


class Network(nn.Module):
    """`counter` counts on the attention of the first glimpse.

    The published network with a counter fuses image and question by relu(x + y) - (x - y)^2, normalises
    batches, and has dropout before each layer.
    """

    def __init__(
        self,
        channels,
        words,
        answers,
        *,
        embedding: int,
        question: int,
        attention: int,
        glimpses: int,
        hidden: int,
        dropout: float,
        counter: str,
    ):
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses: {glimpses} is out of range: at least 1")
        self.question = Question(words, embedding, question)
        self.ask_image, self.ask_question = (
            Linear(channels, attention),
            Linear(question, attention, bias=False),
        )
        self.glimpse = Linear(attention, glimpses)
        self.hidden = Linear(glimpses * channels + question, hidden)
        self.counter = counting(counter)
        self.of_count = Linear(self.counter.most + 1, hidden) if self.counter else None
        self.dropout = nn.Dropout(dropout)
        self.answer = Linear(hidden, answers)

    def forward(self, image_BKF, box_BK4, tokens_BL, length_B):
        question_BH = last(self.question(tokens_BL), length_B)
        image_BKF = normalize(image_BKF, dim=2)
        asked_BKA = torch.relu(self.ask_image(image_BKF) + self.ask_question(question_BH).unsqueeze(1))
        logit_BGK = self.glimpse(asked_BKA).transpose(1, 2) + seen(present(box_BK4)).unsqueeze(1)
        seen_BGF = logit_BGK.softmax(2) @ image_BKF.to(logit_BGK.dtype)
        hidden_BD = torch.relu(self.hidden(torch.cat([seen_BGF.flatten(1), question_BH], 1)))
        if self.counter:
            hidden_BD = hidden_BD + torch.relu(self.of_count(self.counter(box_BK4, logit_BGK[:, 0])))
        return self.answer(self.dropout(hidden_BD))
