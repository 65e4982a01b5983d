"""python -m stages.specialize NETWORK METHOD K SEED CELL

Specialise the base models: each example is learned by the K members for which that is cheapest, and the rest
pay what METHOD asks of them. METHOD `ie` is the base models as they are; `ie_plus` trains them on for the
same budget, all on everything. For these two, K is the number of members whatever is given; K may be `all`.

reads   params: threads, networks.NETWORK, methods.METHOD, specialize, table.members; data/features,
        models/base/NETWORK-sSEED
writes  models/CELL.safetensors; metrics/curves/CELL.json: a record per epoch, and how many training examples
        of each question family the final members are assigned
"""

import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from specialists import environment, losses, metrics
from specialists.data import prepared
from specialists.ensemble import Ensemble, load, save
from specialists.files import write_json
from specialists.networks import network as network_class
from specialists.params import configure, read
from specialists.runtime import setup
from specialists.train import Budget, answer, checkpoint, fit, mix
from stages import run


def main(network: str, method: str, k: str, seed: int, cell: str):
    setup(read("threads", int))
    if method not in losses.METHODS:
        raise ValueError(f"METHOD: {method!r} is unknown; known: {', '.join(losses.METHODS)}")
    price = configure(f"methods.{method}", losses.METHODS[method])
    budget = read("specialize", Budget)
    data = prepared.load("data/features")
    folder = Path(f"models/base/{network}-s{seed}")
    files = [folder / f"m{member}.safetensors" for member in read("table.members", list[int])]
    build = partial(read, f"networks.{network}", network_class(network), *data.shape)
    members = [load(file, build).members[0] for file in files]
    ensemble = Ensemble(members, read("sharing", float) if method.endswith("_fs") else None)
    if read("compile", bool) and method != "ie":
        ensemble.compile()
    teacher_MNC = [np.load(file.with_suffix(".npy"), mmap_mode="r") for file in files]
    imitates = losses.METHODS[method] is losses.mcl_kd
    k = len(files) if k == "all" or method in losses.GENERALISTS else chosen(k, len(files))

    def loss(logits_MBC, label_B, position_B, generator):
        teacher_MBC = None
        if imitates:
            taught = np.stack([logits_NC[position_B.numpy()] for logits_NC in teacher_MNC])
            teacher_MBC = torch.from_numpy(taught).to(logits_MBC.device).float()
        other_MB = price(logits_MBC, teacher_MBC, generator)
        return losses.oracle_loss(losses.task_loss(logits_MBC, label_B), other_MB, k)

    start, record = time.monotonic(), {"curve": []}
    scratch = checkpoint(cell, ["data/features/meta.json", *files], network, method, k, seed)
    if method != "ie":
        record["curve"] = fit(ensemble, data, loss, budget, mix("batches", network, seed), scratch)
    if method not in losses.GENERALISTS:
        count_FM = assigned(ensemble, data, loss)
        record |= {"families": count_FM.tolist(), "entropy": metrics.entropy(count_FM.sum(0))}
    save(ensemble, f"models/{cell}.safetensors")
    write_json(f"metrics/curves/{cell}.json", record)
    environment.write(f"metrics/environment/{cell}.json", time.monotonic() - start)
    scratch.unlink(missing_ok=True)


def chosen(k, members):
    if not k.isdecimal() or not 1 <= int(k) <= members:
        raise ValueError(f"K: {k!r} is out of range: 1 to {members}, the number of members")
    return int(k)


def assigned(ensemble, data, loss):
    """How many training examples of each group every member is chosen for: a list of groups x members."""
    rows = data.rows("train")
    logits_MBC = answer(ensemble, data, rows)
    _, chosen_MB = loss(
        logits_MBC, data.labels(rows), torch.arange(len(rows)), torch.Generator().manual_seed(0)
    )
    counts = [
        torch.bincount(data.groups(rows)[chosen_B], minlength=len(data.group_names)) for chosen_B in chosen_MB
    ]
    return torch.stack(counts, 1)


if __name__ == "__main__":
    run(main)
