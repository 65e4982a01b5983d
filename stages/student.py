"""python -m stages.student NETWORK METHOD TEACHER SEED CELL

Train one small NETWORK as row METHOD of the students' table says: alone, by plain distillation from an
ensemble, or imitating also what that makes of each modality.

reads   params: threads, networks.NETWORK, distill.budgets, distill.methods.METHOD; data/features,
        models/teachers/TEACHER.safetensors
writes  models/CELL.safetensors, an ensemble of one; models/absent/CELL.safetensors, what stands for an absent
        modality; metrics/curves/CELL.json
"""

import time

import torch
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from specialists import environment, modalities
from specialists.data import prepared
from specialists.distillation import distill
from specialists.ensemble import Ensemble, save
from specialists.files import replacing, write_json
from specialists.networks import network as network_class
from specialists.params import read
from specialists.runtime import DEVICE, setup
from specialists.train import Budget, checkpoint, fit, mix
from stages import run


def main(network: str, method: str, teacher: str, seed: int, cell: str):
    setup(read("threads", int))
    how = read(f"distill.methods.{method}", modalities.Method)
    budget = read(f"distill.budgets.{how.budget}", Budget)
    data, teacher_file = prepared.load("data/features"), f"models/teachers/{teacher}.safetensors"
    rows = data.rows("train")
    told = load_file(teacher_file)
    teach = modalities.TEACHERS[how.teacher]
    both_NC, *only = (
        teach(logits_MNC.float(), told["specialist"]).to(DEVICE) for logits_MNC in told["logits"]
    )
    only_INC = torch.stack(only)
    if how.weights == "meta":
        if DEVICE.type == "cuda":
            raise ValueError("weights: 'meta' needs a CPU, where an LSTM can be differentiated forwards")
    else:
        weight_IN = modalities.FIXED[how.weights](modalities.saliency(both_NC, only_INC))

    torch.manual_seed(mix("weights", "student", network, seed))
    student = read(f"networks.{network}", network_class(network), *data.shape)
    senses = modalities.Senses(student, data.shape[1], how).to(DEVICE)

    def imitate(logits_BC, teacher_BC):
        return how.strength * modalities.imitation(
            logits_BC, teacher_BC, temperature=how.temperature, form=how.form
        )

    def loss(logits_VBC, label_B, position_B, generator):
        both_BC, only_IBC = both_NC[position_B], only_INC[:, position_B]
        base_B = distill(logits_VBC[0], both_BC, label_B, alpha=how.alpha, temperature=how.temperature)
        if len(logits_VBC) == 1:
            return base_B, None
        aux_IB = torch.stack([imitate(*pair) for pair in zip(logits_VBC[1:], only_IBC, strict=True)])
        if how.weights == "meta":
            inputs, _ = data.batch(rows[position_B])
            clean = torch.randint(len(rows), (len(label_B),), generator=generator, device=DEVICE).cpu()
            weight_IB = senses.weigh(base_B, aux_IB, inputs, only_IBC, imitate, *data.batch(rows[clean]))
        else:
            weight_IB = weight_IN[:, position_B]
        return base_B + (weight_IB * aux_IB).sum(0), None

    start = time.monotonic()
    scratch = checkpoint(cell, ["data/features/meta.json", teacher_file], network, method, seed)
    curve = fit(senses, data, loss, budget, mix("batches", "student", network, seed), scratch)
    save(Ensemble([student]), f"models/{cell}.safetensors")
    with replacing(f"models/absent/{cell}.safetensors") as draft:
        draft.write_bytes(to_bytes({"image": senses.absent_F.detach(), "word": torch.tensor(senses.word)}))
    write_json(f"metrics/curves/{cell}.json", {"curve": curve})
    environment.write(f"metrics/environment/{cell}.json", time.monotonic() - start)
    scratch.unlink()


if __name__ == "__main__":
    run(main)
