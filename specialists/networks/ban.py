"""Bilinear attention (Kim et al., 2018): pairs of a box and a word, in glimpses whose findings add up.

B batch, K boxes, F channels, L words, H the question's size, G glimpses, R ranks of a pair, C answers
"""

import torch
from torch import nn

from specialists.networks.boxes import Question, classifier, normal, normal_relu, present
from specialists.networks.counter import counting
from specialists.networks.portable import Linear

RANKS = 3  # of an attention map, in units of the question's size


class Network(nn.Module):
    """Each glimpse is one softmax over all pairs; words keep what each glimpse adds to them.

    At the published sizes: question 1280, 8 glimpses, embedding 300 twice, classifier 2560.

    It departs from the published code in this: padding takes no part, there is one embedding, dropout is in
    the classifier and in attention alone, attention's last weight is not normalised, and a count reaches
    words by a plain linear layer.
    """

    def __init__(
        self,
        channels,
        words,
        answers,
        *,
        embedding: int,
        question: int,
        glimpses: int,
        classifier_hidden: int,
        activation: str,
        dropout: float,
        attention_dropout: float,
        counter: str,
    ):
        super().__init__()
        if glimpses < 1:
            raise ValueError(f"glimpses: {glimpses} is out of range: at least 1")
        ranks = RANKS * question
        self.question = Question(words, embedding, question)
        self.attend_image, self.attend_question = normal_relu(channels, ranks), normal_relu(question, ranks)
        self.weight_GR = nn.Parameter(torch.randn(glimpses, ranks))
        self.bias_G = nn.Parameter(torch.zeros(glimpses))
        self.dropout = nn.Dropout(attention_dropout)
        self.of_image = nn.ModuleList(normal_relu(channels, question) for _ in range(glimpses))
        self.of_question = nn.ModuleList(normal_relu(question, question) for _ in range(glimpses))
        self.keep = nn.ModuleList(normal(question, question) for _ in range(glimpses))
        self.counter = counting(counter)
        if self.counter:
            numbers = self.counter.most + 1
            self.of_count = nn.ModuleList(Linear(numbers, question) for _ in range(glimpses))
        self.answer = classifier(question, classifier_hidden, answers, activation, dropout)

    def forward(self, image_BKF, box_BK4, tokens_BL, length_B):
        said_BLH = self.question(tokens_BL)
        asked_BL = torch.arange(tokens_BL.shape[1], device=length_B.device) < length_B.unsqueeze(1)
        pair_BKL = present(box_BK4).unsqueeze(2) & asked_BL.unsqueeze(1)
        logit_BGKL = self.attention(image_BKF, said_BLH).masked_fill(~pair_BKL.unsqueeze(1), -torch.inf)
        weight_BGKL = logit_BGKL.flatten(2).softmax(2).view_as(logit_BGKL)
        for glimpse in range(len(self.keep)):
            weight_BKL = weight_BGKL[:, glimpse]
            image_BKH, question_BLH = self.of_image[glimpse](image_BKF), self.of_question[glimpse](said_BLH)
            found_BH = (image_BKH * (weight_BKL @ question_BLH.to(weight_BKL.dtype))).sum(1)
            said_BLH = said_BLH + self.keep[glimpse](found_BH).unsqueeze(1)
            if self.counter:
                count_BN = self.counter(box_BK4, logit_BGKL[:, glimpse].amax(2))
                said_BLH = said_BLH + self.of_count[glimpse](count_BN).unsqueeze(1)
        return self.answer((said_BLH * asked_BL.unsqueeze(2)).sum(1))

    def attention(self, image_BKF, said_BLH):
        """logit_BGKL = sum over r of weight_gr image_kr question_lr + bias_g"""
        image_BKR = self.dropout(self.attend_image(image_BKF))
        question_BRL = self.attend_question(said_BLH).transpose(1, 2).unsqueeze(1)
        each_BGKR = image_BKR.unsqueeze(1) * self.weight_GR.unsqueeze(1)
        return each_BGKR @ question_BRL.to(each_BGKR.dtype) + self.bias_G.view(-1, 1, 1)
