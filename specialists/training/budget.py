"""How long to train and how: optimizer and learning rate, as a section of params.yaml says."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn

OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, fused=True),
    "adamax": torch.optim.Adamax,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True, fused=True),
}


@dataclass(frozen=True)
class Budget:
    """How long and how: the optimizer, and the learning rate over the steps.

    It climbs to `lr` during the share `warmup` of all steps, then falls to `lr_end` along a half cosine; with
    `drops` it stays, times `factor` from each of these shares on (2 is a ramp). SGD is that of Nesterov, with
    momentum 0.9.
    Delayed updates: a batch is computed in `parts`, whose gradients add up to its own; memory holds one part.
    `clip`: the longest gradient of each member, 0 for any.
    """

    epochs: int
    batch: int
    lr: float
    lr_end: float = 0.0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    warmup: float = 0.0
    drops: list[float] = ()
    factor: float = 0.1
    parts: int = 1
    clip: float = 0.0

    def __post_init__(self):
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs {self.epochs} and batch {self.batch} must be at least 1")
        if max(self.epochs, self.batch) > np.iinfo(np.int32).max:
            raise ValueError(f"epochs {self.epochs} or batch {self.batch} is beyond all data")
        if min(self.weight_decay, self.factor) < 0:
            raise ValueError(f"weight_decay {self.weight_decay} and factor {self.factor} must be at least 0")
        if not 0 <= self.lr_end <= self.lr:
            raise ValueError(f"lr_end {self.lr_end} is out of range: 0 to lr = {self.lr}")
        if all([self.drops, self.lr_end]):
            raise ValueError(f"lr_end: {self.lr_end} has no meaning beside drops, {self.drops}")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer: {self.optimizer!r} is unknown; known: {', '.join(OPTIMIZERS)}")
        if not 1 <= self.parts <= self.batch:
            raise ValueError(f"parts: {self.parts} is out of range: 1 to {self.batch}, the batch")
        if not self.clip >= 0:
            raise ValueError(f"clip: {self.clip} is out of range: at least 0")
        for name, share in (("warmup", self.warmup), *(("drops", drop) for drop in self.drops)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}: {share} is out of range: a share of all steps, below 1")

    def rate(self, done):
        """The learning rate when the share `done` of all steps is done."""
        if done < self.warmup:
            return self.lr * done / self.warmup
        if self.drops:
            return self.lr * self.factor ** sum(done >= drop for drop in self.drops)
        fallen = (done - self.warmup) / (1 - self.warmup)
        return self.lr_end + (self.lr - self.lr_end) * (1 + math.cos(math.pi * fallen)) / 2

    def make(self, module):
        """The optimizer of a module; weights decay, biases and normalisation do not."""
        weights = [p for p in module.parameters() if p.ndim > 1]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        return OPTIMIZERS[self.optimizer](groups, lr=self.lr)

    def pace(self, optimizer, done):
        """Give an optimizer the rate of its next step, when the share `done` of all steps is done."""
        for group in optimizer.param_groups:
            group["lr"] = self.rate(done)

    def pieces(self, batch):
        """A batch in `parts` of equal size, the last perhaps smaller."""
        return batch.split(math.ceil(len(batch) / self.parts))

    def shorten(self, members):
        """Clip the gradient of each member by itself, for members only train side by side."""
        if self.clip:
            for member in members:
                nn.utils.clip_grad_norm_(member.parameters(), self.clip)
