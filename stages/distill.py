"""python -m stages.distill NETWORK SEED CELL

Distil the ensemble of cell `distill.teacher` into one student of the same network, which starts untrained.

reads   params: compute, networks.NETWORK, distill; data/features, models/cells/TEACHER-sSEED.safetensors
writes  models/CELL.safetensors, an ensemble of one; metrics/curves/CELL.json
"""

import torch

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer, load, mean
from specialists.base.command import run
from specialists.base.params import configure, read
from specialists.base.runtime import DEVICE, Compute, setup
from specialists.networks import builder
from specialists.students import distillation
from specialists.training import checkpoint, outputs
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix


def main(network: str, seed: int, cell: str):
    setup(compute := read("compute", Compute))
    budget = read("distill.budget", Budget)
    kd = configure("distill.loss", distillation.distill)
    teacher_file = f"models/cells/{network}-{read('distill.teacher', str)}-s{seed}.safetensors"
    data = prepared.load("data/features")
    build = builder(network, data.shape)
    said_MNC = answer(load(teacher_file, build), data, data.rows("train"))
    teacher_NC = mean(said_MNC, data.task).to(DEVICE)  # at once: pieces add in other orders
    torch.manual_seed(mix("weights", "student", network, seed))
    student = Ensemble([build()])
    if compute.compile:
        student.compile()

    def loss(logits_MBC, target_B, position_B, generator):
        return kd(logits_MBC[0], teacher_NC[position_B], target_B, data.task), None

    scratch = checkpoint.place(cell, ["data/features/meta.json", teacher_file], network, seed)
    curve, seconds = fit(student, data, loss, budget, mix("batches", "student", network, seed), scratch)
    outputs.write(student, f"models/{cell}.safetensors", cell, {"curve": curve}, seconds, scratch)


if __name__ == "__main__":
    run(main)
