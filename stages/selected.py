"""python -m stages.selected NETWORK

Train a selector for every row and seed of a network: it weighs the members, learns from `select` and is
measured on `report`, against the mean of the same members.

reads   params: compute, table, selector; data/features, models/answers
writes  metrics/selected/NETWORK.json: by row, top-1 in percent, and by how many points the selector is
        better, with an interval of 95 %
"""

from pathlib import Path

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer
from specialists.answers.said import kept, right, said
from specialists.answers.selector import Answers, Selector
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.tables import paired
from specialists.tables.rows import Table, cell, name
from specialists.training import checkpoint
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix, plain


def main(network: str):
    setup(read("compute", Compute))
    axes, budget, data = read("table", Table), read("selector", Budget), prepared.load("data/features")
    found = {}
    for row in (each for each in axes.rows() if each[0] == network and each[1] != "student"):
        both = [compared(f"cells/{cell(*row, seed)}", data, budget, seed) for seed in axes.seeds]
        chosen_SB, mean_SB = zip(*both, strict=True)
        gain = paired.gain(chosen_SB, mean_SB)
        found[name(*row)] = gain | {"top1": round(100 * paired.mean([*map(paired.mean, chosen_SB)]), 3)}
    write_json(f"metrics/selected/{network}.json", found)


def compared(place, data, budget, seed):
    """How right the selector is on each example of report, and how right the mean is."""
    task = data.task
    select, report = (answers(place, data, split) for split in ("select", "report"))
    _, members, count = select.distribution_NMC.shape
    selector = Ensemble([Selector(members, count, task)])
    scratch = checkpoint.place(f"selector-{Path(place).name}", [kept(place)], place)
    fit(selector, select, plain(task), budget, mix("selector", place, seed), scratch)
    scratch.unlink()
    said_BC = answer(selector, report, report.rows("train"))[0]
    return [right(each_BC, data) for each_BC in (said_BC, report.distribution_NMC.mean(1))]


def answers(place, data, split):
    distribution_MNC = data.task.distribution(said(place, split))
    return Answers(distribution_MNC.transpose(0, 1), data.targets(data.rows(split)), data.task)


if __name__ == "__main__":
    run(main)
