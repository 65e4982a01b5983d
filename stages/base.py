"""python -m stages.base NETWORK MEMBER SEED

Train one base model (a generalist, phi_m of Eq. 4) on the whole training set, and write its logits on it: the
teacher is a constant, so no later stage runs it.

reads   params: threads, compile, networks.NETWORK, base; data/features
writes  models/base/NETWORK-sSEED/mMEMBER.safetensors, and .npy: its logits on train, fp16;
        metrics/curves/NETWORK-...
"""

import time

import numpy as np
import torch

from specialists import environment
from specialists.data import prepared
from specialists.ensemble import Ensemble, save
from specialists.files import replacing, write_json
from specialists.losses import task_loss
from specialists.networks import network as network_class
from specialists.params import read
from specialists.runtime import setup
from specialists.train import Budget, answer, checkpoint, fit, mix
from stages import run


def main(network: str, member: int, seed: int):
    setup(read("threads", int))
    budget = read("base", Budget)
    data = prepared.load("data/features")
    torch.manual_seed(mix("weights", network, member, seed))
    ensemble = Ensemble([read(f"networks.{network}", network_class(network), *data.shape)])

    def loss(logits_MBC, label_B, position_B, generator):
        return task_loss(logits_MBC, label_B)[0], None

    if read("compile", bool):
        ensemble.compile()
    start, name = time.monotonic(), f"{network}-m{member}-s{seed}"
    scratch = checkpoint(name, ["data/features/meta.json"], network, member, seed)
    curve = fit(ensemble, data, loss, budget, mix("batches", network, member, seed), scratch)
    folder = f"models/base/{network}-s{seed}"
    save(ensemble, f"{folder}/m{member}.safetensors")
    with replacing(f"{folder}/m{member}.npy") as draft, open(draft, "wb") as file:
        np.save(file, answer(ensemble, data, data.rows("train"))[0].half().numpy())
    write_json(f"metrics/curves/base/{name}.json", {"curve": curve})
    environment.write(f"metrics/environment/base/{name}.json", time.monotonic() - start)
    scratch.unlink()


if __name__ == "__main__":
    run(main)
