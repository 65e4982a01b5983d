"""python -m stages.cost NETWORK CELL

What one answer of a cell costs, given the features of the image: parameters, floating-point operations of a
question of the longest kind, and, measured, the milliseconds of a batch of 1 and of 64.

reads   params: threads, networks.NETWORK; data/features, models/CELL.safetensors
writes  metrics/cost/NETWORK.json
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


def main(network: str, cell: str):
    setup(read("threads", int))
    data = prepared.load("data/features")
    build = partial(read, f"networks.{network}", network_class(network), *data.shape)
    ensemble = load(f"models/{cell}.safetensors", build).eval()
    rows = data.rows("report")
    longest = rows[data.questions["length"][rows].argsort(descending=True, stable=True)]
    one, many = (data.batch(longest[:size])[0] for size in (1, 64))
    result = {"parameters": cost.parameters(ensemble), "flops": cost.flops(ensemble, *one)}
    result |= {"words": one[1].shape[1], "latency_1_ms": cost.latency(ensemble, *one)}
    write_json(f"metrics/cost/{network}.json", result | {"latency_64_ms": cost.latency(ensemble, *many)})


if __name__ == "__main__":
    run(main)
