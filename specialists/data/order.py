"""The order of questions: alike in length within a batch, because a network computes the padding too."""

import math

import torch

POOL = 16


def by_length(length_N, batch, generator):
    """Positions for one epoch: shuffled, and sorted inside pools of batches, which halves the padding."""
    pools = torch.randperm(len(length_N), generator=generator).split(POOL * batch)
    *full, last = torch.cat([pool[length_N[pool].argsort(stable=True)] for pool in pools]).split(batch)
    return torch.cat([*(full[i] for i in torch.randperm(len(full), generator=generator)), last])


def padded(longest, multiple):
    """The least multiple that holds the longest question."""
    return math.ceil(longest / multiple) * multiple
