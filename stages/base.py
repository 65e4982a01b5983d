"""python -m stages.base NETWORK MEMBER SEED

Train one base model (a generalist, phi_m of Eq. 4) on the whole training set, and write its logits on that
set. The teacher is a constant, so no later stage runs it.

reads   params: compute, networks.NETWORK, base; data/features
writes  models/base/NETWORK-sSEED/mMEMBER.safetensors, and .npy: its logits on train, fp16;
        metrics/curves/base/NETWORK-mMEMBER-sSEED.json
"""

import numpy as np
import torch

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer
from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.training import checkpoint, outputs
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix, plain


def main(network: str, member: int, seed: int):
    if min(member, seed) < 0:
        raise ValueError(f"MEMBER {member} and SEED {seed} must be at least 0")
    setup(compute := read("compute", Compute))
    budget = read("base", Budget)
    data = prepared.load("data/features")
    torch.manual_seed(mix("weights", network, member, seed))
    ensemble = Ensemble([builder(network, data.shape)()])

    if compute.compile:
        ensemble.compile()
    name = f"{network}-m{member}-s{seed}"
    scratch = checkpoint.place(name, ["data/features/meta.json"], network, member, seed)
    curve, seconds = fit(
        ensemble, data, plain(data.task), budget, mix("batches", network, member, seed), scratch
    )
    weights = f"models/base/{network}-s{seed}/m{member}.safetensors"
    with replacing(weights.replace(".safetensors", ".npy")) as draft, open(draft, "wb") as file:
        np.save(file, answer(ensemble, data, data.rows("train"), torch.float16)[0].numpy())
    outputs.write(ensemble, weights, f"base/{name}", {"curve": curve}, seconds, scratch)


if __name__ == "__main__":
    run(main)
