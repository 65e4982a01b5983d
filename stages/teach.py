"""python -m stages.teach NETWORK METHOD SEED CELL

What the members of an ensemble say on the training set, to both modalities and to each alone, and which
member each example is assigned to by METHOD with k = 1. Teachers are constant: no later stage runs them.

reads   params: threads, networks.NETWORK, methods.METHOD, table.members; data/features,
        models/CELL.safetensors, models/base/NETWORK-sSEED
writes  models/teachers/CELL.safetensors: logits (3, members, examples, answers) fp16, specialist (examples);
        models/absent/CELL.safetensors, what stood for the absent modality
"""

from functools import partial

import numpy as np
import torch
from safetensors.torch import save

from specialists import losses
from specialists.data import prepared
from specialists.data.text import PADDING
from specialists.ensemble import load
from specialists.files import replacing
from specialists.modalities import MODALITIES, Blind
from specialists.networks import network as network_class
from specialists.params import configure, read
from specialists.runtime import setup
from specialists.train import answer
from stages import run


def main(network: str, method: str, seed: int, cell: str):
    setup(read("threads", int))
    price = configure(f"methods.{method}", losses.METHODS[method])
    data = prepared.load("data/features")
    rows, absent_F = data.rows("train"), torch.zeros(data.shape[1])
    build = partial(read, f"networks.{network}", network_class(network), *data.shape)
    ensemble = load(f"models/{cell}.safetensors", build)
    views = [ensemble, *(Blind(ensemble, modality, absent_F, PADDING) for modality in MODALITIES)]
    logits_VMNC = torch.stack([answer(view, data, rows) for view in views])
    files = [f"models/base/{network}-s{seed}/m{member}.npy" for member in read("table.members", list[int])]
    base_MNC = torch.from_numpy(np.stack([np.load(file) for file in files])).float()
    task_MN = losses.task_loss(logits_VMNC[0], data.labels(rows))
    other_MN = price(logits_VMNC[0], base_MNC, torch.Generator().manual_seed(seed))
    _, chosen_MN = losses.oracle_loss(task_MN, other_MN, 1)
    told = {"logits": logits_VMNC.half(), "specialist": chosen_MN.int().argmax(0)}
    absent = {"image": absent_F, "word": torch.tensor(PADDING)}
    for kind, tensors in (("teachers", told), ("absent", absent)):
        with replacing(f"models/{kind}/{cell}.safetensors") as draft:
            draft.write_bytes(save(tensors))


if __name__ == "__main__":
    run(main)
