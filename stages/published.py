"""python -m stages.published

What networks of the published sizes cost with random weights, about one picture: multiplications by our own
count, operations as torch counts them, and the milliseconds of an answer. These differ from run to run, so
they stand beside the machine, where they stay as long as the costs that do not differ.

reads   params: compute, networks, published
writes  metrics/published.json, by network and by how many groups are active; metrics/environment/
        published.json: `latency`, alike
"""

import time

import torch

from specialists import networks
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import load, read
from specialists.base.runtime import Compute, setup
from specialists.tables import cost

WORDS, ANSWERS, LONGEST, REPEATS = 100, 28, 14, 5


def main():
    setup(read("compute", Compute), convolutions=True)
    start, result, latency = time.monotonic(), {}, {}
    for row, how in load()["published"].items():
        result[row], latency[row] = {}, {}
        for active in how["active"]:
            result[row][str(active)], latency[row][str(active)] = measured(row, how["pixels"], active)
    write_json("metrics/published.json", result)
    environment.write("published", time.monotonic() - start, "metrics/published.json", latency=latency)


def measured(row, pixels, active):
    """(what metrics/published.json holds, milliseconds) of a row of `networks` with so many active groups."""
    settings = {"network": row} | load()["networks"][row] | {"active": active}
    settings["balance"] = settings["balance"] if active else 0.0
    torch.manual_seed(0)
    made = networks.network(settings.pop("network"))((pixels, pixels), WORDS, ANSWERS, **settings)
    made = made.eval().to(memory_format=torch.channels_last)
    image_1HW3 = torch.randint(256, (1, pixels, pixels, 3), dtype=torch.uint8)
    asked = image_1HW3, torch.randint(2, WORDS, (1, LONGEST)), torch.tensor([LONGEST])
    convolutions, gates = made.multiplications()
    found = {
        "parameters": cost.parameters(made),
        "multiplications": {"convolutions": convolutions, "gates": gates},
        "flops": cost.flops(made, *asked),
    }
    return found, cost.latency(made, *asked, repeats=REPEATS)


if __name__ == "__main__":
    run(main)
