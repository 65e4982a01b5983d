"""A selector: a linear layer that weighs the members, example by example, from all that they say.

M members, B batch, N examples, C answers
"""

from dataclasses import dataclass

import torch
from torch import nn

from specialists.base.runtime import DEVICE
from specialists.networks.portable import Linear


class Selector(nn.Module):
    """From distribution_BMC to the logits of one weighted mean; it begins as the mean."""

    def __init__(self, members, answers, task):
        super().__init__()
        self.task, self.layer = task, Linear(members * answers, members)
        for each in self.layer.parameters():
            nn.init.zeros_(each)

    def forward(self, distribution_BMC):
        weight_BM = self.layer(distribution_BMC.flatten(1)).softmax(1)
        return self.task.logits((weight_BM.unsqueeze(2) * distribution_BMC).sum(1))


@dataclass(frozen=True)
class Answers:
    """What members said of some examples, in the form that `fit` reads; there is no split but train."""

    distribution_NMC: torch.Tensor
    target_N: torch.Tensor
    task: object

    def rows(self, split):
        return torch.arange(len(self.target_N) if split == "train" else 0)

    def order(self, batch, generator):
        return torch.randperm(len(self.target_N), generator=generator)

    def batch(self, rows):
        return (self.distribution_NMC[rows].to(DEVICE),), self.targets(rows).to(DEVICE)

    def targets(self, rows):
        return self.target_N[rows]
