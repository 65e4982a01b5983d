"""python -m stages.teachers NETWORK METHOD SEED CELL

Write what the members of an ensemble say on the training set, to both modalities and to each alone, and the
member to which METHOD with k = 1 assigns each example. Teachers are constant: no later stage runs them.

reads   params: compute, networks.NETWORK, methods.METHOD, table.members; data/features,
        models/CELL.safetensors, models/base/NETWORK-sSEED
writes  models/teachers/CELL.safetensors: logits (3, members, examples, answers) fp16, specialist (examples);
        models/absent/CELL.safetensors, what stood for the absent modality
"""

import numpy as np
import torch
from safetensors.torch import save

from specialists import data as prepared
from specialists.answers.assignment import assign
from specialists.answers.ensemble import answer, load
from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.data.text import PADDING
from specialists.methods import Method
from specialists.networks import builder
from specialists.students import MODALITIES
from specialists.students.modalities import Blind


def main(network: str, method: str, seed: int, cell: str):
    setup(read("compute", Compute))
    how = Method(method)
    data = prepared.load("data/features")
    rows, absent_F = data.rows("train"), torch.zeros(data.shape[1])
    ensemble = load(f"models/{cell}.safetensors", builder(network, data.shape))
    views = [ensemble, *(Blind(ensemble, modality, absent_F, PADDING) for modality in MODALITIES)]
    logits_VMNC = torch.stack([answer(view, data, rows) for view in views])
    files = [f"models/base/{network}-s{seed}/m{member}.npy" for member in read("table.members", list[int])]
    base_MNC = torch.from_numpy(np.stack([np.load(file) for file in files])).float()
    chosen_MN = assigned(how, logits_VMNC[0], base_MNC, data.targets(rows), data.task, seed)
    told = {"logits": logits_VMNC.half(), "specialist": chosen_MN.int().argmax(0)}
    absent = {"image": absent_F, "word": torch.tensor(PADDING)}
    for kind, tensors in (("teachers", told), ("absent", absent)):
        with replacing(f"models/{kind}/{cell}.safetensors") as draft:
            draft.write_bytes(save(tensors))


def assigned(how, logits_MNC, base_MNC, target_N, task, seed):
    """chosen_MN; generalists are all chosen, so here it is the one that is surest of the answer."""
    task_MN = task.loss(logits_MNC, target_N)
    if how.generalist:
        return assign(task_MN, 1)
    generator = torch.Generator().manual_seed(seed)
    given = {"task_MB": task_MN, "logits_MBC": logits_MNC, "teacher_MBC": base_MNC, "task": task}
    return how.loss(**given, k=1, generator=generator, done=torch.ones(()))[1]


if __name__ == "__main__":
    run(main)
