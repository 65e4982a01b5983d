"""Two rows on the same examples and seeds, against the metrics of cells; for intervals see test_paired.py."""

import json
import shutil
from statistics import fmean, stdev

import numpy as np
import pytest

from tests.conftest import tool
from tools.compare import line


def test_differences_that_are_all_alike_leave_no_doubt():
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
    """But for an example or two of 120: answers are kept in half precision, in which near ones are equal."""
    told = tool(finished, "compare", "san-ie", "cell").stdout.splitlines()
    rows = {
        line.split(" | ")[0].strip("| "): line.split(" | ")[1:3] for line in told if line.startswith("| ")
    }
    for column, path in enumerate(("cells/san-ie-s0", "cell")):
        metrics = json.loads((finished / f"metrics/{path}.json").read_text())["report"]
        for title, number, near in (("top-1", "top1", 1.7), ("oracle", "oracle", 1.7), ("NLL", "nll", 1e-3)):
            assert float(rows[title][column]) == pytest.approx(metrics[number], abs=near)


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
