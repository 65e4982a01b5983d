"""python -m stages.tactics

Compare networks that train alone by a tactic, as `singles.rivals` pairs them: by how many points the answers
to `report` are better, in all and by type of answer, paired over examples and seeds, with an interval of
95 %.

reads   params: singles; data/features, models/answers/singles
writes  metrics/tactics.json
"""

import torch

from specialists import data as prepared
from specialists.answers.said import right, said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.tactics import Singles


def main():
    singles, data, gains = read("singles", Singles), prepared.load("data/features"), {}
    kind_B = data.kinds(data.rows("report"))
    parts = {"overall": kind_B >= 0} | {name: kind_B == kind for kind, name in enumerate(data.kind_names)}
    right_SB = {
        each: torch.tensor([right(said(f"singles/{each}-s{seed}")[0], data) for seed in singles.seeds])
        for each in sorted({each for pair in singles.rivals for each in pair})
    }
    for one, other in singles.rivals:
        gains.setdefault(one, {})[other] = {
            kind: gain(right_SB[one][:, of_B].tolist(), right_SB[other][:, of_B].tolist())
            for kind, of_B in parts.items()
        }
    write_json("metrics/tactics.json", gains)


if __name__ == "__main__":
    run(main)
