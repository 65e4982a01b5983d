"""python -m stages.cost NETWORK CELL OTHER_NETWORK OTHER_CELL

What one answer of two cells costs, given the features of the image: parameters, floating-point operations of
the longest question, and the milliseconds of a batch of 1 and of 64, measured in one run. Milliseconds differ
from run to run, so they are kept beside the machine, until one of the other costs changes.

reads   params: compute, networks.NETWORK, networks.OTHER_NETWORK; data/features, models/CELL.safetensors,
        models/OTHER_CELL.safetensors
writes  metrics/cost.json, by network; metrics/environment/cost.json: `latency`, by network
"""

import time

from specialists import data as prepared
from specialists.answers.ensemble import load
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.tables import cost


def main(network: str, cell: str, other_network: str, other_cell: str):
    setup(read("compute", Compute))
    start, data = time.monotonic(), prepared.load("data/features")
    rows, result, latency = data.rows("report"), {}, {}
    longest = rows[data.questions["length"][rows].argsort(descending=True, stable=True)]
    one, many = ([each.cpu() for each in data.batch(longest[:size])[0]] for size in (1, 64))
    for name, each in ((network, cell), (other_network, other_cell)):
        ensemble = load(f"models/{each}.safetensors", builder(name, data.shape)).cpu().eval()
        result[name] = {
            "parameters": cost.parameters(ensemble),
            "flops": cost.flops(ensemble, *one),
            "words": one[1].shape[1],
        }
        latency[name] = {
            "latency_1_ms": cost.latency(ensemble, *one),
            "latency_64_ms": cost.latency(ensemble, *many),
        }
    write_json("metrics/cost.json", result)
    environment.write("cost", time.monotonic() - start, "metrics/cost.json", latency=latency)


if __name__ == "__main__":
    run(main)
