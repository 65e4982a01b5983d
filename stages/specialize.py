"""python -m stages.specialize NETWORK METHOD K SEED CELL [--start FOLDER]

Specialise the base models: the K members that learn an example most cheaply learn it, and the rest pay what
METHOD asks of them (Eq. 4). Generalists leave nobody out: K is the number of members, whatever is given. They
are IE, the base models as they are, and IE+, which trains them on. K may be `all`. With --start, base models
are those of another FOLDER, such as the members of a cell (stages/elders.py): a second generation.

reads   params: compute, networks.NETWORK, methods.METHOD, specialize, table.members; data/features,
        models/base/NETWORK-sSEED, or FOLDER/NETWORK-sSEED
writes  models/CELL.safetensors; metrics/curves/CELL.json: a record per epoch, and how many training examples
        of each group the final members are assigned
"""

from pathlib import Path

import torch

from specialists import data as prepared
from specialists.answers import metrics
from specialists.answers.ensemble import Ensemble, answers, load
from specialists.base.command import run
from specialists.base.params import read
from specialists.base.runtime import DEVICE, Compute, setup
from specialists.methods import Method
from specialists.networks import builder
from specialists.training import checkpoint, outputs
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix
from specialists.training.step import home


def main(network: str, method: str, k: str, seed: int, cell: str, *, start: str = "models/base"):
    setup(compute := read("compute", Compute))
    how = Method(method)
    budget = read("specialize", Budget)
    data = prepared.load("data/features")
    folder = Path(f"{start}/{network}-s{seed}")
    files = [folder / f"m{member}.safetensors" for member in read("table.members", list[int])]
    members = [load(file, builder(network, data.shape)).members[0] for file in files]
    ensemble = Ensemble(members, how.sharing)
    if compute.compile and how.trains:
        ensemble.compile()
    said = home().Said([file.with_suffix(".npy") for file in files]) if how.taught else None
    done = torch.zeros((), dtype=torch.float64, device=DEVICE)
    k = len(files) if k == "all" or how.generalist else chosen(k, len(files))

    def loss(logits_MBC, target_B, position_B, generator):
        return how.loss(
            task_MB=data.task.loss(logits_MBC, target_B),
            logits_MBC=logits_MBC,
            teacher_MBC=said.at(position_B, logits_MBC.device) if how.taught else None,
            k=k,
            generator=generator,
            task=data.task,
            done=done.to(logits_MBC.device),
        )

    record, seconds = {"curve": []}, 0.0
    scratch = checkpoint.place(cell, ["data/features/meta.json", *files], network, method, k, seed)
    if how.trains:
        order, more = mix("batches", network, seed), {"average": how.average, "done": done}
        record["curve"], seconds = fit(ensemble, data, loss, budget, order, scratch, **more)
    if not how.generalist:
        count_FM = assigned(ensemble, data, loss)
        record |= {"families": count_FM.tolist(), "entropy": metrics.entropy(count_FM.sum(0))}
    outputs.write(ensemble, f"models/{cell}.safetensors", cell, record, seconds, scratch)


def chosen(k, members):
    if not k.isdecimal() or not 1 <= int(k) <= members:
        raise ValueError(f"K: {k!r} is out of range: 1 to {members}, the number of members")
    return int(k)


def assigned(ensemble, data, loss):
    """How many training examples of each group every member is chosen for: a list of groups x members."""
    rows, generator = data.rows("train"), torch.Generator().manual_seed(0)
    count_FM = torch.zeros(len(data.group_names), len(ensemble.members), dtype=torch.int64)
    for position_B, logits_MBC in answers(ensemble, data, rows):
        some = rows[position_B]
        _, chosen_MB = loss(logits_MBC, data.targets(some), position_B, generator)
        count_FM.index_add_(0, data.groups(some), chosen_MB.T.long())
    return count_FM


if __name__ == "__main__":
    run(main)
