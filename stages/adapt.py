"""python -m stages.adapt NETWORK METHOD TEACHER SEED CELL

Let a student learn on with small eyes, by plain distillation with the teacher, alpha and temperature of
METHOD, which it has learned by; one that imitated single modalities too no longer does.

reads   params: threads, networks.NETWORK, distill.adapt, distill.methods.METHOD, distill.small_eyes,
        features.scene_cnn; data.root, data/features, models/teachers/TEACHER.safetensors,
        models/CELL.safetensors, models/small/eyes.safetensors
writes  models/small/CELL.safetensors; metrics/curves/small/CELL.json
"""

import time
from dataclasses import replace
from functools import partial

import torch
from safetensors.torch import load_file

from specialists import environment, modalities
from specialists.data import clevr, prepared
from specialists.distillation import distill
from specialists.ensemble import load, save
from specialists.files import write_json
from specialists.networks import network as network_class
from specialists.params import read
from specialists.runtime import DEVICE, setup
from specialists.train import Budget, checkpoint, fit, mix
from stages import run
from stages.imitate import seen, sight


def main(network: str, method: str, teacher: str, seed: int, cell: str):
    setup(read("threads", int))
    how, budget = read(f"distill.methods.{method}", modalities.Method), read("distill.adapt", Budget)
    data, teacher_file = prepared.load("data/features"), f"models/teachers/{teacher}.safetensors"
    told, student_file = load_file(teacher_file), f"models/{cell}.safetensors"
    teach = modalities.TEACHERS[how.teacher]
    teacher_NC = teach(told["logits"][0].float(), told["specialist"]).to(DEVICE)
    map_NRF, _ = seen(sight(small=True), clevr.read(read("data.root", str), "train").images)
    # Those of report come after them, and nobody here asks for them.
    data = replace(data, images=torch.from_numpy(map_NRF))
    student = load(student_file, partial(read, f"networks.{network}", network_class(network), *data.shape))

    def loss(logits_MBC, label_B, position_B, generator):
        told_BC = teacher_NC[position_B]
        return distill(logits_MBC[0], told_BC, label_B, alpha=how.alpha, temperature=how.temperature), None

    start = time.monotonic()
    inputs = ["data/features/meta.json", teacher_file, student_file, "models/small/eyes.safetensors"]
    scratch = checkpoint(f"{cell}-small", inputs, network, method, seed)
    curve = fit(student, data, loss, budget, mix("batches", "adapt", network, seed), scratch)
    save(student, f"models/small/{cell}.safetensors")
    write_json(f"metrics/curves/small/{cell}.json", {"curve": curve})
    environment.write(f"metrics/environment/small/{cell}.json", time.monotonic() - start)
    scratch.unlink()


if __name__ == "__main__":
    run(main)
