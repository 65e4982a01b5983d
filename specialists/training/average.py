"""Averages of weights: training wanders at its end, and the mean of its steps lies in the middle.

After Izmailov et al., 2018. Unlike theirs, the statistics of norms are averaged too, not measured again.
"""

import math
from fractions import Fraction

import torch


class Mean:
    """The mean of the members' weights, and of their buffers but counts, over the last `share` of all steps.

    `sums`, of each member, are in float64, where a sum of numbers of fp32 is all but exact. They belong to a
    checkpoint.
    """

    def __init__(self, ensemble, share, steps, sums):
        if not 0 <= share <= 1:
            raise ValueError(f"average: {share} is out of range: a share of all steps, 0 to 1")
        self.members, self.sums = ensemble.members, sums
        self.count = math.ceil(Fraction(str(share)) * steps)  # 0.1 of 30 is 3, and in floats a little more
        self.before = steps - self.count

    @torch.no_grad()
    def add(self, step):
        """The weights after so many steps, if they count."""
        if step <= self.before:
            return
        for m, member in enumerate(self.members):
            if m not in self.sums:
                self.sums[m] = [torch.zeros_like(each, dtype=torch.float64) for each in floats(member)]
            for total, now in zip(self.sums[m], floats(member), strict=True):
                total += now

    @torch.no_grad()
    def put(self):
        """In place of the weights, of members that have one."""
        for m, sums in self.sums.items():
            for now, total in zip(floats(self.members[m]), sums, strict=True):
                now.copy_(total / self.count)


def floats(module):
    return [each for each in (*module.parameters(), *module.buffers()) if each.is_floating_point()]
