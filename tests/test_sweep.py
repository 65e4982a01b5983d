"""What a queue of experiments computed, in a table made by hand, and from git."""

import json
import sys
from statistics import mean, stdev

import pytest

from specialists.tables.table import NUMBERS
from tests.conftest import ROOT, edit, run, tool
from tools.sweep import markdown, varying


def row(top1, n=1, std=None):
    numbers = {each: {"mean": top1, "std": std} for each in NUMBERS}
    return {"n": n, "select": numbers, "report": numbers}


def test_lines_are_combinations_of_params_with_mean_and_deviation_over_seeds():
    params = {
        f"{method}-{seed}": {"method": method, "k": 1, "seed": seed}
        for method in ("ie", "mcl")
        for seed in (0, 1)
    }
    rows = dict(zip(params, map(row, (50, 52, 60, 63)), strict=True))
    title, _, first, second = markdown(params, rows).splitlines()
    assert title == "| method | select top-1 | top-1 | oracle | single | NLL | ECE | n |"
    assert first.startswith(f"| mcl | {mean([60, 63]):.2f} ± {stdev([60, 63]):.2f} | ") and first.endswith(
        "| 2 |"
    )
    assert second.startswith("| ie | 51.00 ± 1.41 | ")


def test_the_same_experiment_twice_counts_once_and_the_newer():
    params = {name: {"method": "ie", "seed": 0} for name in ("older", "newer")}
    told = markdown(params, {"older": row(1), "newer": row(2)}).splitlines()
    assert told[2].startswith("| ie | 2.00 | 2.00 | ") and told[2].endswith("| 1 |") and len(told) == 3


def test_a_row_of_the_table_brings_its_own_seeds():
    told = markdown({"one": {"seed": 0}}, {"one": row(50, n=3, std=0.25)}).splitlines()
    assert told[2].startswith("| 50.00 ± 0.25 | ") and told[2].endswith("| 3 |")


def test_where_nothing_varies_the_cell_is_named():
    trees = [{"network": "san", "method": "ie", "k": 1, "seed": seed, "lr": 0.1} for seed in (0, 1)]
    assert varying(trees) == varying(trees[:1]) == ["network", "method", "k"]


def test_a_param_that_only_some_have_varies_and_the_seed_does_not():
    assert varying([{"a": 1, "seed": 0, "b": [1]}, {"a": 1, "seed": 1, "b": [1], "c": 2}]) == ["c"]


def test_experiments_of_head_in_git(clone):
    assert "no experiment on HEAD" in tool(clone, "sweep", check=False).stderr
    head, path = run(clone, "git", "rev-parse", "HEAD").stdout.strip(), clone / "metrics/cell.json"
    metrics = json.loads(path.read_text())
    for k, seed in ((2, 0), (2, 1), (3, 0)):
        metrics["report"]["top1"] = metrics["select"]["top1"] = 10.0 * k + seed
        path.write_text(json.dumps(metrics))
        edit(clone, lambda tree, k=k, seed=seed: tree.update(k=k, seed=seed))
        kept = run(clone, "git", "stash", "create").stdout.strip()
        place = f"refs/exps/{head[:2]}/{head[2:]}/e{k}{seed}"  # where DVC keeps one
        run(clone, "git", "update-ref", place, kept)
    told = tool(clone, "sweep").stdout.splitlines()
    assert told[0].startswith("| k | select top-1 | ")
    assert told[2].startswith("| 3 | 30.00 | 30.00 | ")
    assert told[3].startswith("| 2 | 20.50 ± 0.71 | 20.50 ± 0.71 | ")
    assert tool(clone, "sweep", "--row", "san-ie").stdout.count("\n") == 4
    assert (
        "ROW: 'san-mcl' is not in experiment" in tool(clone, "sweep", "--row", "san-mcl", check=False).stderr
    )
    other = clone / "pipelines/table1"
    (other / "dvc.lock").touch()
    assert "no experiment on HEAD" in tool(other, "sweep", check=False).stderr


@pytest.mark.parametrize("package", ["stages", "tools"])
def test_a_package_lists_its_commands_each_with_a_whole_sentence(package):
    told = run(ROOT, sys.executable, "-m", package, COLUMNS="100").stdout.splitlines()
    files = (ROOT / package).glob("[!_]*.py")
    names = {path.stem for path in files if "\n    run(main)\n" in path.read_text()}
    assert {line.split()[0] for line in told[:-2] if line[0] != " "} == names
    assert all(len(line) <= 100 and not line.endswith("...") for line in told[:-2])
    assert all(len(line.split()) > 3 for line in told[:-2] if line[0] != " ")
