"""python -m stages.elders NETWORK CELL FOLDER

Lay out the members of a cell as base models are, with their logits on the training set: a second generation
starts from them and is taught by them (stages/specialize.py, --start).

reads   params: compute, networks.NETWORK, table.members; data/features, models/CELL.safetensors
writes  FOLDER/mMEMBER.safetensors, and .npy: its logits on train, fp16
"""

import numpy as np
import torch

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer, load, save
from specialists.base.command import run
from specialists.base.files import named, replacing
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder


def main(network: str, cell: str, folder: str):
    named(cell)
    setup(read("compute", Compute))
    data = prepared.load("data/features")
    ensemble = load(f"models/{cell}.safetensors", builder(network, data.shape))
    logits_MNC = answer(ensemble, data, data.rows("train"), torch.float16)
    places = read("table.members", list[int])
    for m, one, logits_NC in zip(places, ensemble.members, logits_MNC.numpy(), strict=True):
        save(Ensemble([one]), f"{folder}/m{m}.safetensors")
        with replacing(f"{folder}/m{m}.npy") as draft, open(draft, "wb") as file:
            np.save(file, logits_NC)


if __name__ == "__main__":
    run(main)
