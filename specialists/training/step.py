"""One step of training in two halves, and what it reads of teachers: computed at once, as a CPU does.

A GPU replays the same halves (graph.py), which is loaded by name where there is one. No list of code holds
it: a change of it makes no number of a CPU stale, and on a GPU tools/check_gpu.py says what it makes.

M members, B batch, C answers
"""

from importlib import import_module

import numpy as np
import torch

from specialists.base.runtime import DEVICE

HOMES = {"cpu": "step", "cuda": "graph"}


def home():
    """This module, or that of a GPU."""
    return import_module(f"specialists.training.{HOMES[DEVICE.type]}")


def kept(data):
    """Prepared data as training reads it: from where they are."""
    return data


class Step:
    """`learn` adds the gradient of a piece of a batch, `update` moves the weights by it.

    `sums` are those of an epoch, and stay where they are computed: the loss, how many examples chose each
    member, and which positions of train had a loss that is not finite.
    """

    def __init__(self, ranks, loss, budget, optimizer, generator, scaler):
        self.ranks, self.loss, self.budget, self.scaler = ranks, loss, budget, scaler
        self.ensemble, self.optimizer, self.generator = ranks.ensemble, optimizer, generator
        train, members = len(ranks.data.rows("train")), len(ranks.ensemble.members)
        self.sums = {
            "loss": torch.zeros((), dtype=torch.float64, device=DEVICE),
            "chosen": torch.zeros(members, dtype=torch.int64, device=DEVICE),
            "bad": torch.zeros(train, dtype=torch.bool, device=DEVICE),
        }

    def clear(self):
        for total in self.sums.values():
            total.zero_()

    def learn(self, inputs, target, position_B, of):
        """A piece of a batch of `of` examples: its gradient and its sums."""
        logits_MBC = self.ensemble(*inputs, generator=self.generator)
        loss_B, chosen_MB = self.loss(logits_MBC, target, position_B, self.generator)
        extra = sum(getattr(member, "extra", 0) for member in self.ensemble.members)
        self.scaler.scale((loss_B.sum() + len(position_B) * extra) / of).backward()
        self.sums["loss"] += loss_B.detach().double().sum()
        self.sums["bad"].index_copy_(0, position_B, ~loss_B.isfinite())
        if chosen_MB is not None:
            self.sums["chosen"] += chosen_MB.sum(1)

    def update(self):
        self.ranks.add()
        self.scaler.unscale_(self.optimizer)
        self.budget.shorten(self.ensemble.members)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.forget()

    def forget(self):
        """No gradients, and no memory for them."""
        self.optimizer.zero_grad()

    def done(self, epoch):
        """A step is done: is all well? A GPU says it at the end of an epoch, for it would have to wait."""
        self.check(epoch)

    def check(self, epoch):
        if (bad_N := self.sums["bad"].cpu()).any():
            row_N = self.ranks.data.rows("train")[bad_N]
            raise ValueError(
                f"epoch {epoch + 1}: the loss of row {row_N[0]} is not finite (of {len(row_N)} in all); "
                "a lower lr or a clip may help"
            )


class Said:
    """What models said of the training set, from files; a step reads its rows of the memory maps."""

    def __init__(self, files):
        self.maps = [np.load(file, mmap_mode="r") for file in files]

    def at(self, position_B, device):
        """logits_MBC of some positions of train."""
        said = np.stack([logits_NC[position_B.numpy()] for logits_NC in self.maps])
        return torch.from_numpy(said).to(device).float()
