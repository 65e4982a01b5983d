"""python -m stages.drawn NETWORK

Of rows that share features, draw the masks in evaluation too: the mean of the members' distributions over
`masks.draws` draws, against the same members with the masks' expectation, as they are evaluated elsewhere.

reads   params: compute, networks.NETWORK, table, masks; data/features, models/cells
writes  metrics/drawn/NETWORK.json: by row, top-1 in percent, and by how many points drawing is better, with
        an interval of 95 %
"""

import torch
from torch import nn

from specialists import data as prepared
from specialists.answers.ensemble import answer, load, mean, share
from specialists.answers.said import right
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import DEVICE, Compute, precision, setup
from specialists.networks import builder
from specialists.tables import paired
from specialists.tables.rows import Table, cell, name
from specialists.training.loop import mix


def main(network: str):
    setup(read("compute", Compute))
    axes, draws = read("table", Table), read("masks.draws", int)
    if draws < 1:
        raise ValueError(f"params.yaml: masks.draws: {draws} is out of range: at least 1")
    data, found = prepared.load("data/features"), {}
    build = builder(network, data.shape)
    for row in (each for each in axes.rows() if each[0] == network):
        if load(path(cell(*row, axes.seeds[0])), build).keep is None:
            continue
        both = [compared(cell(*row, seed), build, data, draws) for seed in axes.seeds]
        drawn_SB, whole_SB = zip(*both, strict=True)
        gain = paired.gain(drawn_SB, whole_SB)
        found[name(*row)] = gain | {"top1": round(100 * paired.mean([*map(paired.mean, drawn_SB)]), 3)}
    write_json(f"metrics/drawn/{network}.json", found)


def path(name):
    return f"models/cells/{name}.safetensors"


def compared(name, build, data, draws):
    """How right a cell is on each example of report with masks that are drawn, and how right as it is."""
    ensemble, rows = load(path(name), build), data.rows("report")
    generator = torch.Generator(DEVICE).manual_seed(mix("masks", name))
    drawn_MBC = answer(Drawn(ensemble, draws), data, rows, generator=generator)
    return [right(mean(each_MBC, data.task), data) for each_MBC in (drawn_MBC, answer(ensemble, data, rows))]


class Drawn(nn.Module):
    """An ensemble that shares features, with members for each draw of its masks."""

    def __init__(self, ensemble, draws):
        super().__init__()
        self.ensemble, self.draws = ensemble, draws

    def forward(self, *inputs, generator):
        members, chance = self.ensemble.members, self.ensemble.chance
        with precision():
            features = [member.lower(*inputs) for member in members]
            drawn = [share(features, chance, generator) for _ in range(self.draws)]
            said = [m.upper(x) for shared in drawn for m, x in zip(members, shared, strict=True)]
            return torch.stack(said).float()


if __name__ == "__main__":
    run(main)
