"""python -m stages.told NETWORK SEED

Train a teacher that is told the answer to each question, beside image and question. What it says is no
result: it is written for the training set alone, and is never computed for the other splits.

reads   params: compute, networks.NETWORK, budgets.told; data/features
writes  models/told/NETWORK-sSEED.npy: its logits on train, fp16; metrics/curves/told/NETWORK-sSEED.json: its
        loss on train by epoch
"""

from dataclasses import dataclass

import numpy as np
import torch

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import replacing, write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.training import checkpoint
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix, plain


@dataclass(frozen=True)
class Told:
    """Data whose inputs hold the answer; there is no split but train."""

    data: object

    @property
    def task(self):
        return self.data.task

    def rows(self, split):
        return self.data.rows(split) if split == "train" else torch.empty(0, dtype=torch.int64)

    def order(self, batch, generator):
        return self.data.order(batch, generator)

    def batch(self, rows):
        if not torch.isin(rows, self.rows("train")).all():
            raise ValueError("a question that is not of train: its answer is told to nobody")
        inputs, target = self.data.batch(rows)
        return (*inputs, target), target


def main(network: str, seed: int):
    setup(read("compute", Compute))
    budget, asked = read("budgets.told", Budget), prepared.load("data/features")
    data = Told(asked)
    torch.manual_seed(mix("weights", network, "told", seed))
    teacher = Ensemble([builder(network, asked.shape, told=True)()])
    scratch = checkpoint.place(f"told-{network}-s{seed}", ["data/features/meta.json"], network, seed)
    curve, seconds = fit(
        teacher, data, plain(data.task), budget, mix("batches", network, "told", seed), scratch
    )
    said_NC = answer(teacher, data, data.rows("train"), torch.float16)[0].numpy()
    with replacing(logits := f"models/told/{network}-s{seed}.npy") as draft, open(draft, "wb") as file:
        np.save(file, said_NC)
    write_json(f"metrics/curves/told/{network}-s{seed}.json", {"curve": curve})
    environment.write(f"told/{network}-s{seed}", seconds, logits)
    scratch.unlink(missing_ok=True)


if __name__ == "__main__":
    run(main)
