"""python -m tools.compare OLD_ROW NEW_ROW

Two rows, example by example, with an interval: for instance san-ie_plus and san-mcl_kd-k1, on the same
examples of report under the same seeds; `cell` is the cell lane, with its one seed. The interval of 95 % is
for other examples and, with several seeds, for other seeds (specialists/tables/paired.py). A difference whose
interval leaves out 0 is *beyond* noise. With one seed that is the noise of examples alone, not that of
training. Last stand mean and standard deviation over seeds, and how many seeds have the sign of the mean.

reads   dvc.lock, metrics/table.json, params: table.seeds; data/features, models/answers of both rows
writes  nothing
"""

from pathlib import Path

import numpy as np

from specialists import data as prepared
from specialists.answers.ensemble import mean
from specialists.answers.said import kept, said
from specialists.base.command import run
from specialists.base.files import md5, read_json
from specialists.base.params import read
from specialists.tables.paired import interval
from specialists.tables.table import over, shown
from specialists.tracking import cells, pipeline
from tools.diff import verdict

BRINGS = "dvc checkout data/features models/answers brings it, after dvc fetch, or ./reproduce"
NUMBERS = {"top1": "top-1", "oracle": "oracle", "single": "single", "nll": "NLL"}


def main(old_row: str, new_row: str):
    lock = pipeline.stages("dvc.lock")
    places = {row: answers(row, lock) for row in (old_row, new_row)}
    seeds = [seed for seed in places[old_row] if seed in places[new_row]]
    if not seeds:
        raise ValueError(
            f"{old_row} has seeds {[*places[old_row]]}, {new_row} {[*places[new_row]]}: none in both"
        )
    check([kept(places[row][seed]) for row in places for seed in seeds], lock)
    data = prepared.load("data/features")
    found = {row: [measured(places[row][seed], data) for seed in seeds] for row in places}
    old, new = (
        {n: np.stack([each[n] for each in found[row]]) for n in NUMBERS} for row in (old_row, new_row)
    )
    examples = old["top1"].shape[1]
    print(f"{examples} examples of report, seeds {', '.join(map(str, seeds))}; answers kept in fp16, so a")
    print("mean may differ from the table's by a few hundredths\n")
    print(f"| | {old_row} | {new_row} | difference | 95 % | | over seeds |\n|---|---|---|---|---|---|---|")
    for number, title in NUMBERS.items():
        print(f"| {title} | {' | '.join(line(old[number], new[number], 3 if number == 'nll' else 2))} |")


def answers(row, lock):
    """Seed -> the place of what a row's members answered."""
    if row == "cell":
        if (lane := cells.lane(lock, pipeline.here)) is None:
            raise ValueError("ROW: 'cell': this pipeline has no cell lane")
        return {lane[3]: "cell"}
    known = read_json("metrics/table.json")
    if row not in known:
        raise ValueError(f"ROW: {row!r} is not in metrics/table.json; known: {', '.join(known)}, cell")
    seeds = read("table.seeds", list[int])
    return {seed: f"cells/{row}-s{seed}" for seed in seeds}


def check(paths, lock):
    """Refuse answers that are not there, or not those of dvc.lock, which the numbers in metrics/ are from."""
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}
    for path in ("data/features/meta.json", *paths):
        if not Path(path).exists():
            raise ValueError(f"{path}: not found; {BRINGS}")
        if path in paths and md5(path) != outs.get(path):
            raise ValueError(f"{path}: is not what dvc.lock says; dvc checkout {path} brings it back")


def measured(place, data):
    """Number -> what it is for each example of report; answers/metrics.py takes the mean of it."""
    rows, task = data.rows("report"), data.task
    logits_MBC, target_B = said(place), data.targets(rows)
    right_MB = task.right(logits_MBC.argmax(2), target_B).double()
    probability_BC = mean(logits_MBC, task)
    found = {
        "top1": 100 * task.right(probability_BC.argmax(1), target_B).double(),
        "oracle": 100 * right_MB.amax(0),
        "single": 100 * right_MB.mean(0),
        "nll": task.nll(probability_BC, target_B).double(),
    }
    return {number: each_B.numpy() for number, each_B in found.items()}


def line(old_SB, new_SB, digits):
    """Both means, their difference, its interval, a verdict, and what is known over seeds."""
    middle, half, mean_S = interval((new_SB - old_SB).tolist())
    sign = sum(np.sign(mean_S) == np.sign(middle))
    return [
        *(f"{each.mean():.{digits}f}" for each in (old_SB, new_SB)),
        f"{middle:+.{digits}f}",
        f"{middle - half:+.{digits}f} to {middle + half:+.{digits}f}",
        verdict(middle, half),
        f"{shown(over(mean_S), digits)}, {sign} of {len(mean_S)}" if len(mean_S) > 1 else "?",
    ]


if __name__ == "__main__":
    run(main)
