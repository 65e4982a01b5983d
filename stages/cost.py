"""python -m stages.cost NETWORK CELL OTHER_NETWORK OTHER_CELL

What one answer of two cells costs, given the features of the image: parameters, floating-point operations of
the longest question, and the milliseconds of a batch of 1 and of 64 on a CPU, measured in one run: of all
numbers of this repository the only ones that are others when their stage runs again.

reads   params: threads, networks; data/features, models/CELL.safetensors
writes  metrics/cost.json, by network
"""

from functools import partial

from specialists import cost
from specialists.data import prepared
from specialists.ensemble import load
from specialists.files import write_json
from specialists.networks import network as network_class
from specialists.params import read
from specialists.runtime import setup
from stages import run


def main(network: str, cell: str, other_network: str, other_cell: str):
    setup(read("threads", int))
    data, result = prepared.load("data/features"), {}
    rows = data.rows("report")
    longest = rows[data.questions["length"][rows].argsort(descending=True, stable=True)]
    one, many = ([each.cpu() for each in data.batch(longest[:size])[0]] for size in (1, 64))
    for name, each in ((network, cell), (other_network, other_cell)):
        build = partial(read, f"networks.{name}", network_class(name), *data.shape)
        ensemble = load(f"models/{each}.safetensors", build).cpu().eval()
        result[name] = {
            "parameters": cost.parameters(ensemble),
            "flops": cost.flops(ensemble, *one),
            "words": one[1].shape[1],
            "latency_1_ms": cost.latency(ensemble, *one),
            "latency_64_ms": cost.latency(ensemble, *many),
        }
    write_json("metrics/cost.json", result)


if __name__ == "__main__":
    run(main)
