"""python -m stages.evaluate NETWORK CELL

Measure the members of a cell together on `select` (where choices are made) and on `report` (where tables come
from).

reads   params: threads, networks.NETWORK; data/features, models/CELL.safetensors
writes  models/answers/CELL.safetensors: every member's logits, fp16; metrics/CELL.json, and by question
        family metrics/families/CELL.json
"""

from functools import partial

from safetensors.torch import save

from specialists import metrics
from specialists.data import prepared
from specialists.ensemble import load, mean
from specialists.files import replacing, write_json
from specialists.networks import network as network_class
from specialists.params import read
from specialists.runtime import setup
from specialists.train import answer
from stages import run


def main(network: str, cell: str):
    setup(read("threads", int))
    data = prepared.load("data/features")
    build = partial(read, f"networks.{network}", network_class(network), *data.shape)
    ensemble = load(f"models/{cell}.safetensors", build)
    if read("compile", bool):
        ensemble.compile()
    logits, families, result = {}, {}, {"parameters": sum(p.numel() for p in ensemble.parameters())}
    for split in ("select", "report"):
        rows = data.rows(split)
        logits_MBC, label_B = answer(ensemble, data, rows), data.labels(rows)
        probability_BC = mean(logits_MBC)
        result[split] = metrics.accuracy(logits_MBC, label_B) | metrics.calibration(probability_BC, label_B)
        right_B = probability_BC.argmax(1) == label_B
        families[split] = metrics.by_group(right_B, data.groups(rows), data.group_names)
        logits[split] = logits_MBC.half()
    with replacing(f"models/answers/{cell}.safetensors") as draft:
        draft.write_bytes(save(logits))
    write_json(f"metrics/families/{cell}.json", families)
    write_json(f"metrics/{cell}.json", result)


if __name__ == "__main__":
    run(main)
