"""python -m stages.votes SEED

Many networks as one: the first 1, 5, ... of the base models of SEED and of more single ones. They answer by
their mean (Eq. 7), by the majority, and by voting on the type of the answer first, beside their oracle. The
type of an answer was learned on train.

reads   params: compute, networks, table.members, votes; data/features, models/base, models/more
writes  metrics/votes/NETWORK-sSEED.json: accuracy in percent on select and report, in all and by type
"""

from dataclasses import dataclass

import torch

from specialists import data as prepared
from specialists.answers import ballots
from specialists.answers.ensemble import answer, load, mean
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder


@dataclass(frozen=True)
class Votes:
    """The section `votes`: seeds of more single networks, and the numbers of networks that vote."""

    network: str
    more: list[int]
    sizes: list[int]


def main(seed: int):
    setup(read("compute", Compute))
    votes, data = read("votes", Votes), prepared.load("data/features")
    network, members = votes.network, read("table.members", list[int])
    kinds = data.kind_names
    kind_C = torch.tensor([kinds.index(kind) for kind in data.meta["kinds"]])
    files = [f"models/base/{network}-s{seed}/m{member}.safetensors" for member in members]
    files += [f"models/more/{network}-s{more}.safetensors" for more in votes.more]
    ensembles = [load(file, builder(network, data.shape)) for file in files]
    result = {}
    for split in ("select", "report"):
        rows = data.rows(split)
        target, kind_B = data.targets(rows), data.kinds(rows)
        logits_MBC = torch.cat([answer(each, data, rows) for each in ensembles])
        result[split] = {}
        for size in votes.sizes:
            some_MBC = logits_MBC[:size]
            said = {
                "mean": mean(some_MBC, data.task).argmax(1),
                "majority": ballots.majority(some_MBC, data.task),
                "by type": ballots.by_type(some_MBC, kind_C, len(kinds), data.task),
            }
            right = {how: data.task.right(answer_B, target) for how, answer_B in said.items()}
            right["oracle"] = data.task.right(some_MBC.argmax(2), target).amax(0)
            result[split][size] = {how: ballots.by_kind(each, kind_B, kinds) for how, each in right.items()}
    write_json(f"metrics/votes/{network}-s{seed}.json", result)


if __name__ == "__main__":
    run(main)
