"""python -m stages.evaluate NETWORK CELL

Measure the members of a cell together on `select` (where choices are made) and on `report` (where tables come
from).

reads   params: threads, networks.NETWORK; data/features, models/CELL.safetensors
writes  models/answers/CELL.safetensors: every member's logits, fp16; metrics/CELL.json, and in
        metrics/families/CELL.json top-1 by question family and by confidence
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
    logits, families = {}, {"confidence": {}}
    result = {"parameters": sum(p.numel() for p in ensemble.parameters())}
    for split in ("select", "report"):
        rows = data.rows(split)
        logits_MBC, label_B = answer(ensemble, data, rows), data.labels(rows)
        probability_BC = mean(logits_MBC)
        result[split] = metrics.accuracy(logits_MBC, label_B) | metrics.calibration(probability_BC, label_B)
        right_B = probability_BC.argmax(1) == label_B
        families[split] = metrics.by_group(right_B, data.groups(rows), data.group_names)
        families["confidence"][split] = by_confidence(probability_BC.amax(1), right_B)
        logits[split] = logits_MBC.half()
    with replacing(f"models/answers/{cell}.safetensors") as draft:
        draft.write_bytes(save(logits))
    write_json(f"metrics/families/{cell}.json", families)
    write_json(f"metrics/{cell}.json", result)


def by_confidence(confidence_B, right_B, bins=15):
    """What the mean promises and what it keeps, in percent: a point for each bin of ECE that has examples."""
    bin_B = (confidence_B * bins).long().clamp_max(bins - 1)
    promised, kept = (metrics.by_group(each_B, bin_B, range(bins)) for each_B in (confidence_B, right_B))
    count = bin_B.bincount(minlength=bins).tolist()
    return [{"confidence": promised[b], "top1": kept[b], "examples": count[b]} for b in promised]


if __name__ == "__main__":
    run(main)
