"""python -m stages.distill NETWORK SEED CELL

Distil the ensemble of cell `distill.teacher` into one student of the same network, trained from its own
start.

reads   params: threads, networks.NETWORK, distill; data/features, models/cells/TEACHER-sSEED.safetensors
writes  models/CELL.safetensors, an ensemble of one; metrics/curves/CELL.json
"""

import time
from functools import partial

import torch

from specialists import distillation, environment
from specialists.data import prepared
from specialists.ensemble import Ensemble, load, mean, save
from specialists.files import write_json
from specialists.networks import network as network_class
from specialists.params import configure, read
from specialists.runtime import DEVICE, setup
from specialists.train import Budget, answer, checkpoint, fit, mix
from stages import run


def main(network: str, seed: int, cell: str):
    setup(read("threads", int))
    budget = read("distill.budget", Budget)
    kd = configure("distill.loss", distillation.distill)
    teacher_file = f"models/cells/{network}-{read('distill.teacher', str)}-s{seed}.safetensors"
    data = prepared.load("data/features")
    build = partial(read, f"networks.{network}", network_class(network), *data.shape)
    teacher_NC = mean(answer(load(teacher_file, build), data, data.rows("train")))
    torch.manual_seed(mix("weights", "student", network, seed))
    student = Ensemble([build()])
    if read("compile", bool):
        student.compile()

    def loss(logits_MBC, label_B, position_B, generator):
        return kd(logits_MBC[0], teacher_NC[position_B].to(DEVICE), label_B), None

    start = time.monotonic()
    scratch = checkpoint(cell, ["data/features/meta.json", teacher_file], network, seed)
    curve = fit(student, data, loss, budget, mix("batches", "student", network, seed), scratch)
    save(student, f"models/{cell}.safetensors")
    write_json(f"metrics/curves/{cell}.json", {"curve": curve})
    environment.write(f"metrics/environment/{cell}.json", time.monotonic() - start)
    scratch.unlink()


if __name__ == "__main__":
    run(main)
