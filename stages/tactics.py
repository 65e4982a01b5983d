"""python -m stages.tactics

Compare rows of the tables of the slides, as `rivals` pairs them: by how many points the answers to `report`
are better, in all and by type of answer, paired over examples and seeds, with an interval of 95 %.

reads   params: rivals, singles, votes, table.seeds; data/features, models/answers/singles,
        models/answers/votes
writes  metrics/tactics.json
"""

import torch
from safetensors.torch import load_file

from specialists import data as prepared
from specialists.answers.said import kept, right, said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.tactics import Singles, ensembles, paired


def main():
    singles, data, gains = read("singles", Singles), prepared.load("data/features"), {}
    voting = ensembles(read("votes.sizes", list[int]))
    rivals = paired(read("rivals", list[list[str]]), singles.rows(), voting)
    kind_B = data.kinds(data.rows("report"))
    parts = {"overall": kind_B >= 0} | {name: kind_B == kind for kind, name in enumerate(data.kind_names)}
    right_SB = {
        row: voted(row) if row in voting else alone(row, singles.seeds, data)
        for row in sorted({row for pair in rivals for row in pair})
    }
    for one, other in rivals:
        gains.setdefault(one, {})[other] = {
            kind: gain(right_SB[one][:, of_B].tolist(), right_SB[other][:, of_B].tolist())
            for kind, of_B in parts.items()
        }
    write_json("metrics/tactics.json", gains)


def alone(row, seeds, data):
    return torch.tensor([right(said(f"singles/{row}-s{seed}")[0], data) for seed in seeds])


def voted(row):
    network, seeds = read("votes.network", str), read("table.seeds", list[int])
    return torch.stack([load_file(kept(f"votes/{network}-s{seed}"))[row] for seed in seeds]).double()


if __name__ == "__main__":
    run(main)
