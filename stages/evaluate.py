"""python -m stages.evaluate NETWORK CELL

Measure the members of a cell together on `select` (where choices are made) and on `report` (where tables come
from).

reads   params: compute, networks.NETWORK; data/features, models/CELL.safetensors
writes  models/answers/CELL.safetensors: every member's logits, fp16; metrics/CELL.json, and in
        metrics/families/CELL.json top-1 by group and by confidence
"""

from safetensors.torch import save

from specialists import data as prepared
from specialists.answers import metrics
from specialists.answers.ensemble import answer, load, mean
from specialists.base.command import run
from specialists.base.files import named, replacing, write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder


def main(network: str, cell: str):
    named(cell)
    setup(compute := read("compute", Compute))
    data = prepared.load("data/features")
    ensemble = load(f"models/{cell}.safetensors", builder(network, data.shape))
    if compute.compile:
        ensemble.compile()
    logits, families = {}, {"confidence": {}}
    result = {"parameters": sum(p.numel() for p in ensemble.parameters())}
    for split in ("select", "report"):
        rows = data.rows(split)
        logits_MBC, target_B = answer(ensemble, data, rows), data.targets(rows)
        probability_BC = mean(logits_MBC, data.task)
        result[split] = metrics.accuracy(logits_MBC, target_B, data.task)
        result[split] |= metrics.calibration(probability_BC, target_B, data.task)
        right_B = data.task.right(probability_BC.argmax(1), target_B)
        families[split] = metrics.by_group(right_B, data.groups(rows), data.group_names)
        families["confidence"][split] = metrics.by_confidence(probability_BC.amax(1), right_B)
        logits[split] = logits_MBC.half()
    with replacing(f"models/answers/{cell}.safetensors") as draft:
        draft.write_bytes(save(logits))
    write_json(f"metrics/families/{cell}.json", families)
    write_json(f"metrics/{cell}.json", result)


if __name__ == "__main__":
    run(main)
