"""python -m stages.blind NETWORK CELL

What a cell still gets right when it sees one modality alone.

reads   params: threads, networks.NETWORK; data/features; CELL.safetensors in models and models/absent
writes  metrics/alone/CELL.json: top-1 in percent by split, of the image alone and of the question alone
"""

from functools import partial

from safetensors.torch import load_file

from specialists import metrics
from specialists.data import prepared
from specialists.ensemble import load
from specialists.files import write_json
from specialists.modalities import MODALITIES, Blind
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
    absent = load_file(f"models/absent/{cell}.safetensors")
    views = {name: Blind(ensemble, name, absent["image"], absent["word"].item()) for name in MODALITIES}
    result = {}
    for split in ("select", "report"):
        rows = data.rows(split)
        answers = {name: answer(view, data, rows) for name, view in views.items()}
        label_B = data.labels(rows)
        result[split] = {name: metrics.accuracy(logits, label_B)["top1"] for name, logits in answers.items()}
    write_json(f"metrics/alone/{cell}.json", result)


if __name__ == "__main__":
    run(main)
