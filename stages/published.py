"""python -m stages.published ROW

What a network of the published sizes costs with random weights, about one picture: multiplications by our own
count, operations as torch counts them, and the milliseconds of an answer and of 64. Milliseconds differ from
run to run, so they are kept beside the machine, until one of the other costs changes.

reads   params: compute, networks.ROW, published.ROW
writes  metrics/published/ROW.json, by how many groups are active; metrics/environment/published/
        ROW.json: `latency`, alike
"""

import time
from dataclasses import dataclass

import torch

from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import configure, optional, read
from specialists.base.runtime import Compute, setup
from specialists.networks import network
from specialists.networks.portable import plain
from specialists.tables import cost

WORDS, ANSWERS, LONGEST, REPEATS, MANY = 100, 28, 14, 5, 64


@dataclass(frozen=True)
class Sizes:
    """A row of the section `published`: pixels each way, and numbers of active groups, 0 for no gates."""

    pixels: int
    active: list[int]


def main(row: str):
    setup(read("compute", Compute), convolutions=True)
    start, how = time.monotonic(), read(f"published.{row}", Sizes)
    found = {str(active): measured(row, how.pixels, active) for active in how.active}
    path = f"metrics/published/{row}.json"
    write_json(path, {active: costs for active, (costs, _) in found.items()})
    latency = {active: times for active, (_, times) in found.items()}
    environment.write(f"published/{row}", time.monotonic() - start, path, latency=latency)


def measured(row, pixels, active):
    """(what metrics/published holds, milliseconds) of a row of `networks` with so many active groups."""
    section = f"networks.{row}"
    build = configure(section, network(optional(section, "network", str, row)), beside=("network",))
    given = {} if active else {"balance": 0.0}
    torch.manual_seed(0)
    made = build((pixels, pixels), WORDS, ANSWERS, active=active, **given).eval()
    made = made.to(memory_format=torch.channels_last)
    one, many = asked(pixels, 1), asked(pixels, MANY)
    convolutions, gates = made.multiplications()
    found = {
        "parameters": cost.parameters(made),
        "multiplications": {"convolutions": convolutions, "gates": gates},
        "flops": cost.flops(made, *one),
    }
    with plain():  # portable.py's layers are slow with more than 512 inputs
        torch.backends.mkldnn.enabled = True
        times = {"latency_1_ms": cost.latency(made, *one, repeats=REPEATS)}
        return found, times | {f"latency_{MANY}_ms": quickest(made, *many)}


def asked(pixels, pictures):
    image_BHW3 = torch.randint(256, (pictures, pixels, pixels, 3), dtype=torch.uint8)
    return image_BHW3, torch.randint(2, WORDS, (pictures, LONGEST)), torch.tensor([LONGEST] * pictures)


@torch.no_grad()
def quickest(module, *inputs):
    """Milliseconds of the fastest forward pass of two seconds, or of the only one."""
    times = []
    while sum(times) < 2:
        start = time.perf_counter()
        module(*inputs)
        times.append(time.perf_counter() - start)
    return 1000 * min(times)


if __name__ == "__main__":
    run(main)
