"""python -m tools.bench_sparse

The time of a gated block that runs only the chosen groups, as a share of the plain block's in the same run:
for blocks of the Relation Network and of a ResNeXt-101 (32 groups), for one question and for 64 of which all,
a few, or no two choose the same groups. The last column is the share that the gate itself takes.

reads   nothing
writes  nothing
"""

import time
from statistics import median

import torch

from specialists.base.command import run
from specialists.networks.modular import Block, Gate
from specialists.networks.portable import plain

TURNS, QUESTION, ATTENTION = 11, 128, 64
BLOCKS = {  # channels, groups, width of a group, cells each way
    "relation, 32 x 32": (48, 12, 4, 32),
    "relation, 8 x 8": (48, 12, 4, 8),
    "ResNeXt 32x4d, 28 x 28": (512, 32, 8, 28),
    "ResNeXt 32x4d, 14 x 14": (1024, 32, 16, 14),
    "ResNeXt 32x16d, 14 x 14": (1024, 32, 64, 14),
}
CHOICES = {"1": (1, 1), "64, one choice": (64, 1), "64, 4 choices": (64, 4), "64, each its own": (64, 64)}


class Given(torch.nn.Module):
    """A gate that has chosen already."""

    def __init__(self, active, groups, questions, choices):
        super().__init__()
        sets = [torch.randperm(groups)[:active].sort().values for _ in range(choices)]
        self.chosen_BK = torch.stack([sets[i % choices] for i in range(questions)])
        self.weight_BG = torch.zeros(questions, groups).scatter_(1, self.chosen_BK, 1 / active)

    def forward(self, map_BCHW, question_BQ):
        return self.weight_BG, self.chosen_BK


@torch.no_grad()
def main():
    with plain():
        measured()


def measured():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print("| block | questions | plain, ms | 100 % | 50 % | 25 % | gate |\n|---|---|---|---|---|---|---|")
    for name, (channels, groups, width, side) in BLOCKS.items():
        plain_block = Block(channels, channels, groups, width).eval().to(memory_format=torch.channels_last)
        gated = Block(channels, channels, groups, width).eval().to(memory_format=torch.channels_last)
        gate = Gate(channels, side * side, QUESTION, ATTENTION, groups, groups, "batch")
        for how, (questions, choices) in CHOICES.items():
            map_BCHW = torch.randn(questions, channels, side, side)
            map_BCHW = map_BCHW.contiguous(memory_format=torch.channels_last)
            inputs = map_BCHW, torch.zeros(questions, QUESTION)
            ways = [(plain_block, None)]
            ways += [(gated, Given(groups // part, groups, questions, choices)) for part in (1, 2, 4)]
            ways += [(gate, None)]
            times = [[] for _ in ways]
            for turn in range(TURNS + 1):
                for (module, given), found in zip(ways, times, strict=True):
                    if given:
                        module.gate = given
                    start = time.perf_counter()
                    module(*inputs)
                    found += [1000 * (time.perf_counter() - start)] if turn else []
            whole, *others = map(median, times)
            shares = " | ".join(f"{each / whole:.2f}" for each in others)
            print(f"| {name} | {how} | {whole:.2f} | {shares} |", flush=True)


if __name__ == "__main__":
    run(main)
