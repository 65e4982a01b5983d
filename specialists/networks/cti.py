"""Compact trilinear interaction (Do et al., 2019): boxes, words and the answer itself attend together.

It is told the answer, so it can teach but never be a result. `told` marks it, only stages/told.py builds it,
and its logits are written for train alone.

B batch, K boxes, F channels, L words, A answers that got votes, H the question's size, D joint units,
S slices of s units, E = S s, X pairs of a word and an answer, C answers
"""

import torch
from torch import nn

from specialists.networks.boxes import Question, classifier, normal_relu, present


class Network(nn.Module):
    """Attention to triples by a Tucker product of few units in each of many slices (PARALIND).

    Published: joint 512 in 32 slices; two such glimpses, whose findings add to words and answers, a GRU over
    the words of an answer, and of each slice a projection of its own.
    """

    told = True

    def __init__(
        self,
        channels,
        words,
        answers,
        *,
        embedding: int,
        question: int,
        joint: int,
        slices: int,
        classifier_hidden: int,
        activation: str,
        dropout: float,
    ):
        super().__init__()
        if joint % slices:
            raise ValueError(f"joint: {joint} is not a multiple of {slices}, the slices")
        self.slices = slices
        self.question = Question(words, embedding, question)
        self.known = nn.Embedding(answers, embedding)
        sizes = {"image": channels, "words": question, "known": embedding}
        self.attend = nn.ModuleDict({name: normal_relu(size, joint) for name, size in sizes.items()})
        self.of = nn.ModuleDict({name: normal_relu(size, joint) for name, size in sizes.items()})
        each = joint // slices
        self.core_Ssss = nn.Parameter(torch.randn(slices, each, each, each) / each)
        self.dropout = nn.Dropout(dropout)
        self.answer = classifier(joint, classifier_hidden, answers, activation, dropout)

    def forward(self, image_BKF, box_BK4, tokens_BL, length_B, target_B2A):
        asked_BL = torch.arange(tokens_BL.shape[1], device=length_B.device) < length_B.unsqueeze(1)
        share_BA = target_B2A[:, 1]
        parts = {
            "image": image_BKF,
            "words": self.question(tokens_BL),
            "known": self.known(target_B2A[:, 0].long()),
        }
        there = {"image": present(box_BK4), "words": asked_BL, "known": share_BA > 0}
        weight_BKLA = self.attention(parts, there)
        image_BKD, words_BLD, known_BAD = (self.of[name](part) for name, part in parts.items())
        # sum over k, l, a of weight_kla image_k words_l known_a, each unit by itself
        pair_BXD = (words_BLD.unsqueeze(2) * known_BAD.unsqueeze(1)).flatten(1, 2)
        seen_BKD = weight_BKLA.flatten(2) @ pair_BXD.to(weight_BKLA.dtype)
        return self.answer((seen_BKD * image_BKD).sum(1))

    def attention(self, parts, there):
        """One softmax over the triples that are there; zero where no answer is known."""
        image_BKSs, words_BLSs, known_BASs = (
            self.attend[name](part).unflatten(2, (self.slices, -1)) for name, part in parts.items()
        )
        # in this order: a product of all at once would fill the memory
        known_BASss = torch.einsum("basz,sxyz->basxy", known_BASs, self.core_Ssss)
        pair_BLASs = torch.einsum("blsy,basxy->blasx", words_BLSs, known_BASss)
        image_BKE, pair_BXE = self.dropout(image_BKSs).flatten(2), pair_BLASs.flatten(3).flatten(1, 2)
        logit_BKLA = (image_BKE @ pair_BXE.transpose(1, 2)).unflatten(2, pair_BLASs.shape[1:3])
        there_BKLA = (
            there["image"][:, :, None, None]
            & there["words"][:, None, :, None]
            & there["known"][:, None, None]
        )
        weight_BX = logit_BKLA.masked_fill(~there_BKLA, -torch.inf).flatten(1).softmax(1)
        return weight_BX.nan_to_num(0.0).view_as(logit_BKLA)
