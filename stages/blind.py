"""python -m stages.blind NETWORK CELL

What a cell still gets right when it sees one modality alone.

reads   params: compute, networks.NETWORK; data/features; CELL.safetensors in models and models/absent
writes  metrics/alone/CELL.json: top-1 in percent by split, of the image alone and of the question alone
"""

from safetensors.torch import load_file

from specialists import data as prepared
from specialists.answers import metrics
from specialists.answers.ensemble import answer, load
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.students import MODALITIES
from specialists.students.modalities import Blind


def main(network: str, cell: str):
    setup(read("compute", Compute))
    data = prepared.load("data/features")
    ensemble = load(f"models/{cell}.safetensors", builder(network, data.shape))
    absent = load_file(f"models/absent/{cell}.safetensors")
    views = {name: Blind(ensemble, name, absent["image"], absent["word"].item()) for name in MODALITIES}
    result = {}
    for split in ("select", "report"):
        rows = data.rows(split)
        answers = {name: answer(view, data, rows) for name, view in views.items()}
        right = data.targets(rows), data.task
        result[split] = {name: metrics.accuracy(said, *right)["top1"] for name, said in answers.items()}
    write_json(f"metrics/alone/{cell}.json", result)


if __name__ == "__main__":
    run(main)
