"""python -m tools.compare OLD_ROW NEW_ROW

Two rows of the table, for instance san-ie_plus and san-mcl_kd-k1, on the same examples of report under the
same seeds; `cell` is the cell lane, with its one seed. The interval holds 95 % of 10,000 draws of as many
examples with replacement; an example is drawn with what both rows answer to it under every seed. A difference
whose interval leaves out 0 is *beyond* the noise of examples. That of training shows over seeds alone: mean
and standard deviation of the difference stand there, and how many seeds have its sign.

reads   dvc.lock, metrics/table.json, params: table.seeds; data/features, models/answers of both rows
writes  nothing
"""

from pathlib import Path

import numpy as np
from safetensors.torch import load_file

from specialists import data as prepared
from specialists.answers.ensemble import mean
from specialists.base.command import run
from specialists.base.files import md5, read_json
from specialists.base.params import read
from specialists.tables.table import over, shown
from specialists.tracking import cells, pipeline

DRAWS = 10_000
BRINGS = "dvc checkout data/features models/answers brings it, or dvc pull, or ./reproduce"
NUMBERS = {"top1": "top-1", "oracle": "oracle", "single": "single", "nll": "NLL"}


def main(old_row: str, new_row: str):
    lock = pipeline.stages("dvc.lock")
    files = {row: answers(row, lock) for row in (old_row, new_row)}
    seeds = [seed for seed in files[old_row] if seed in files[new_row]]
    if not seeds:
        raise ValueError(
            f"{old_row} has seeds {[*files[old_row]]}, {new_row} {[*files[new_row]]}: none in both"
        )
    paths = [files[row][seed] for row in files for seed in seeds]
    check(paths, lock)
    data = prepared.load("data/features")
    found = {row: [measured(files[row][seed], data) for seed in seeds] for row in files}
    old, new = (
        {n: np.stack([each[n] for each in found[row]]) for n in NUMBERS} for row in (old_row, new_row)
    )
    examples = old["top1"].shape[1]
    print(f"{examples} examples of report, seeds {', '.join(map(str, seeds))}\n")
    print(f"| | {old_row} | {new_row} | difference | 95 % | | over seeds |\n|---|---|---|---|---|---|---|")
    for number, title in NUMBERS.items():
        print(f"| {title} | {' | '.join(line(old[number], new[number], 3 if number == 'nll' else 2))} |")


def answers(row, lock):
    """Seed -> the file of what a row's members answered."""
    if row == "cell":
        if (lane := cells.lane(lock, pipeline.here)) is None:
            raise ValueError("ROW: 'cell': this pipeline has no cell lane")
        return {lane[3]: "models/answers/cell.safetensors"}
    known = read_json("metrics/table.json")
    if row not in known:
        raise ValueError(f"ROW: {row!r} is not in metrics/table.json; known: {', '.join(known)}, cell")
    seeds = read("table.seeds", list[int])
    return {seed: f"models/answers/cells/{row}-s{seed}.safetensors" for seed in seeds}


def check(paths, lock):
    """Refuse answers that are not there, or not those of dvc.lock, which the numbers in metrics/ are from."""
    outs = {out["path"]: out["md5"] for stage in lock.values() for out in stage.get("outs", [])}
    for path in ("data/features/meta.json", *paths):
        if not Path(path).exists():
            raise ValueError(f"{path}: not found; {BRINGS}")
        if path in paths and md5(path) != outs.get(path):
            raise ValueError(f"{path}: is not what dvc.lock says; dvc checkout {path} brings it back")


def measured(path, data):
    """Number -> what it is for each example of report; answers/metrics.py takes the mean of it."""
    rows, task = data.rows("report"), data.task
    logits_MBC, target_B = load_file(path)["report"].float(), data.targets(rows)
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
    difference_SB = new_SB - old_SB
    low, high = interval(difference_SB.mean(0))
    mean_S = difference_SB.mean(1)
    total = over(mean_S.tolist())
    sign = sum(np.sign(mean_S) == np.sign(total["mean"]))
    return [
        *(f"{each.mean():.{digits}f}" for each in (old_SB, new_SB)),
        f"{total['mean']:+.{digits}f}",
        f"{low:+.{digits}f} to {high:+.{digits}f}",
        "noise" if low <= 0 <= high else "**beyond**",
        "?" if total["std"] is None else f"{shown(total, digits)}, {sign} of {len(mean_S)}",
    ]


def interval(difference_B, draws=DRAWS, seed=0):
    """The 2.5 and 97.5 % quantiles of the mean over examples drawn with replacement.

    How often each value is drawn follows a multinomial, which is quick, for the values are few.
    """
    values, counts = np.unique(difference_B, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(difference_B), counts / len(difference_B), draws)
    return np.quantile(drawn @ values / len(difference_B), [0.025, 0.975])


if __name__ == "__main__":
    run(main)
