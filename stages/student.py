"""python -m stages.student NETWORK METHOD TEACHER SEED CELL [--small]

Train one small NETWORK as row METHOD of the students' table says: alone, by plain distillation from an
ensemble, or by imitating what the ensemble makes of each modality, too. With --small the student of CELL
learns on from what small eyes see. Then it learns by plain distillation, with the teacher, alpha and
temperature of METHOD, whatever METHOD is.

reads   params: compute, networks.NETWORK, distill.methods.METHOD, distill.budgets; data/features,
        models/teachers/TEACHER.safetensors; with --small distill.adapt instead of distill.budgets,
        data/small instead of data/features, and models/CELL.safetensors
writes  models/CELL.safetensors, an ensemble of one; models/absent/CELL.safetensors, what stands for an absent
        modality; metrics/curves/CELL.json; with --small the same of small/CELL
"""

from dataclasses import replace

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, load
from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import read
from specialists.base.runtime import DEVICE, Compute, setup
from specialists.networks import builder
from specialists.students import modalities
from specialists.students.lessons import Lesson
from specialists.training import checkpoint, outputs
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix


def main(network: str, method: str, teacher: str, seed: int, cell: str, *, small: bool = False):
    setup(read("compute", Compute))
    how = read(f"distill.methods.{method}", modalities.Method)
    data = prepared.load(folder := "data/small" if small else "data/features")
    inputs = [f"{folder}/meta.json", f"models/teachers/{teacher}.safetensors"]
    build, told = builder(network, data.shape), load_file(inputs[1])
    if small:
        how, budget = replace(how, weights="none"), read("distill.adapt", Budget)
        inputs.append(f"models/{cell}.safetensors")
        student, cell = load(inputs[2], build).members[0], f"small/{cell}"
    else:
        budget = read(f"distill.budgets.{how.budget}", Budget)
        torch.manual_seed(mix("weights", "student", network, seed))
        student = build()
    senses = modalities.Senses(student, data.shape[1], how).to(DEVICE)
    if how.weights == "meta" and budget.parts > 1:
        raise ValueError(
            f"distill.budgets.{how.budget}.parts: {budget.parts}; learned weights need whole batches, 1"
        )
    lesson = Lesson(how, told, senses, data)
    scratch = checkpoint.place(cell, inputs, network, method, seed, small)
    batches = mix("batches", "adapt" if small else "student", network, seed)
    curve, seconds = fit(senses, data, lesson.loss, budget, batches, scratch)
    absent = {"image": senses.absent_F.detach(), "word": torch.tensor(senses.word)}
    with replacing(f"models/absent/{cell}.safetensors") as draft:
        draft.write_bytes(to_bytes(absent))
    outputs.write(Ensemble([student]), f"models/{cell}.safetensors", cell, {"curve": curve}, seconds, scratch)


if __name__ == "__main__":
    run(main)
