"""python -m stages.question NETWORK

Draw the paper's Figure 4: what each member answers to one question, under each method, for the first k and
seed of the table. A frame marks the member that pays least: the specialist, as MCL has it.

reads   params: table, data.root, and titles from methods; data/features, models/answers, and the questions
        and pictures of data.root
writes  metrics/questions/NETWORK.png
"""

import torch

from specialists import data
from specialists.answers.ensemble import mean
from specialists.answers.said import said
from specialists.base.command import run
from specialists.base.params import load, read
from specialists.data import png
from specialists.tables import figures
from specialists.tables.rows import Table, cell
from specialists.tables.titles import titles


def main(network: str):
    axes, called = read("table", Table), titles(load()["methods"])
    k, seed, prepared = axes.ks[0], axes.seeds[0], data.load("data/features")
    logits = {f"{called[m]}, k = {k}": said(f"cells/{cell(network, m, k, seed)}") for m in axes.methods}
    place, (row, target) = clearest(logits, prepared)
    picture = data.part(read("data.format", str), "picture")
    ((text, path),) = picture.shown(read("data.root", str), prepared, [row])
    shown, right = distributions(logits, place, target, prepared)
    image_HW3, _ = png.read(path, None, ("PNG", "JPEG"))
    drawn = figures.distributions(shown, prepared.meta["answers"], right, text, image_HW3)
    figures.save(drawn, f"metrics/questions/{network}.png")


def clearest(logits, prepared):
    """(place in report, (row, target)) of the question on which the last method most clearly says what the
    others do not."""
    rows, task = prepared.rows("report"), prepared.task
    target_B = prepared.targets(rows)
    *others, last = ((-task.nll(mean(each, task), target_B)).exp() for each in logits.values())
    place = (last - torch.stack(others).amax(0) if others else last).argmax().item()
    return place, (rows[place].item(), target_B[place : place + 1])


def distributions(logits, place, target_1, prepared):
    """(title -> (what each member says, the surest member, what their mean says), the right answer)"""
    task, answers, shown = prepared.task, prepared.meta["answers"], {}
    for title, logits_MBC in logits.items():
        one_M1C = logits_MBC[:, place : place + 1]
        surest = task.loss(one_M1C, target_1).argmin().item()
        best = answers[mean(one_M1C, task)[0].argmax()]
        shown[title] = (task.distribution(one_M1C[:, 0]).numpy(), surest, best)
    every_C = torch.arange(len(answers))
    right_C = task.right(every_C, target_1.expand(len(answers), *target_1.shape[1:]))
    return shown, answers[right_C.int().argmax() if right_C.dtype == torch.bool else right_C.argmax()]


if __name__ == "__main__":
    run(main)
