"""Two rows on the same examples and seeds, against draws made one by one and against the metrics of cells."""

import json
import random
import shutil
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.conftest import tool
from tools.compare import interval, line


def draws(difference, count=2000):
    """The quantiles of means over examples drawn with replacement, one by one."""
    rng = random.Random(1)
    means = sorted(fmean(rng.choices(difference, k=len(difference))) for _ in range(count))
    return means[round(0.025 * count)], means[round(0.975 * count)]


@pytest.mark.parametrize("values", [[-100.0, 0.0, 100.0], [-100.0, -50.0, 0.0, 50.0], [0.3, 0.1, -1.7]])
def test_the_interval_is_that_of_draws_made_one_by_one(values):
    difference = random.Random(0).choices(values, k=150)
    error = stdev(difference) / len(difference) ** 0.5
    assert interval(np.array(difference)) == pytest.approx(draws(difference), abs=0.2 * error)


def test_of_examples_that_all_differ_alike_it_is_a_point():
    assert interval(np.full(9, 2.0)) == pytest.approx([2, 2])


def test_an_example_is_drawn_with_all_its_seeds():
    old, new = np.zeros((2, 400)), np.tile(np.repeat([-100.0, 100.0], 200), (2, 1))
    new[1] *= -1  # under the second seed each example makes up for what it did under the first
    assert line(old, new, 2)[3:5] == ["+0.00 to +0.00", "noise"]
    assert line(old, np.abs(new), 2)[2:] == [
        "+100.00",
        "+100.00 to +100.00",
        "**beyond**",
        "100.00 ± 0.00, 2 of 2",
    ]


def test_over_seeds_stand_mean_deviation_and_how_many_agree():
    old, new = np.zeros((3, 2)), np.array([[1.0, 3.0], [-1.0, 0.0], [4.0, 6.0]])
    assert line(old, new, 2)[-1] == f"{fmean([2, -0.5, 5]):.2f} ± {stdev([2, -0.5, 5]):.2f}, 2 of 3"
    assert line(old[:1], new[:1], 2)[-1] == "?"


def test_a_row_and_the_cell_have_the_means_of_their_metrics(finished):
    told = tool(finished, "compare", "san-ie", "cell").stdout.splitlines()
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:3] for line in told if line.startswith("| ")
    }
    for column, path in enumerate(("cells/san-ie-s0", "cell")):
        metrics = json.loads((finished / f"metrics/{path}.json").read_text())["report"]
        for title, number, digits in (("top-1", "top1", 2), ("oracle", "oracle", 2), ("NLL", "nll", 3)):
            assert float(rows[title][column]) == pytest.approx(metrics[number], abs=1.1 * 10**-digits)


def said(folder, *rows):
    done = tool(folder, "compare", *rows, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    return done.stderr


def test_what_cannot_be_compared_is_one_line(clone):
    assert "ROW: 'san-mcl' is not in metrics/table.json; known: san-cmcl-k1, " in said(
        clone, "san-ie", "san-mcl"
    )
    (clone / "models/answers/cells/san-ie-s0.safetensors").write_bytes(b"others")
    assert "is not what dvc.lock says; dvc checkout models/" in said(clone, "san-ie", "cell")
    shutil.rmtree(clone / "models")
    assert "san-ie-s0.safetensors: not found; dvc checkout data/features models" in said(
        clone, "san-ie", "cell"
    )
