"""python -m stages.votes SEED

Many networks as one: the first 1, 5, ... of the base models of SEED and of more single ones. They answer by
their mean (Eq. 7), by the majority, and by voting on the type of the answer first, beside their oracle. The
type of an answer was learned on train.

reads   params: compute, networks, table.members, votes; data/features, models/base, models/more
writes  metrics/votes/NETWORK-sSEED.json: accuracy in percent on select and report, in all and by type;
        models/answers/votes/NETWORK-sSEED.safetensors: how right each is on each example of report
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
from safetensors.torch import save

from specialists import data as prepared
from specialists.answers import ballots
from specialists.answers.ensemble import answers, load, mean
from specialists.answers.said import kept
from specialists.base.command import run
from specialists.base.files import replacing, write_json
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
        rows, found = data.rows(split), defaultdict(list)
        for pieces in zip(*(answers(each, data, rows) for each in ensembles), strict=True):
            logits_MBC = torch.cat([said_MBC for _, said_MBC in pieces])
            target = data.targets(rows[pieces[0][0]])
            for size in votes.sizes:
                for how, right_B in voted(logits_MBC[:size], target, kind_C, len(kinds), data.task).items():
                    found[size, how].append(right_B)
        right = {way: torch.cat(pieces) for way, pieces in found.items()}
        kind_B, result[split] = data.kinds(rows), defaultdict(dict)
        for (size, how), right_B in right.items():
            result[split][size][how] = ballots.by_kind(right_B, kind_B, kinds)
    name = f"votes/{network}-s{seed}"
    with replacing(kept(name)) as draft:
        draft.write_bytes(save({f"{size} {how}": right_B for (size, how), right_B in right.items()}))
    write_json(f"metrics/{name}.json", result)


def voted(logits_MBC, target, kind_C, kinds, task):
    """How right the answers of each way to vote are: way -> right_B."""
    said = {
        "mean": mean(logits_MBC, task).argmax(1),
        "majority": ballots.majority(logits_MBC, task),
        "by type": ballots.by_type(logits_MBC, kind_C, kinds, task),
    }
    right = {how: task.right(answer_B, target) for how, answer_B in said.items()}
    return right | {"oracle": task.right(logits_MBC.argmax(2), target).amax(0)}


if __name__ == "__main__":
    run(main)
