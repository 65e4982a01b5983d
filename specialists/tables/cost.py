"""What an answer costs: parameters, floating-point operations, time."""

import time
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

from specialists.networks.portable import plain


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def flops(module, *inputs):
    """Operations of one forward pass: two for each multiplication of a matrix product or convolution."""
    with plain(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


@torch.no_grad()
def latency(module, *inputs, repeats=50):
    """Milliseconds of one forward pass: the median of many, after a few to warm up."""
    times = []
    for _ in range(repeats + 5):
        start = time.perf_counter()
        module(*inputs)
        times.append(time.perf_counter() - start)
    return 1000 * median(times[5:])
