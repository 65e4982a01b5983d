"""What a reviewer reads of two tables."""

import copy
import json
import sys

import pytest

from tests.conftest import run
from tools.diff import markdown

TITLES = {
    "ie": "IE",
    "ie_plus": "IE+",
    "mcl": "MCL",
    "cmcl": "CMCL",
    "mcl_kd": "MCL-KD",
    "student": "student",
}


def row(top1, oracle, method="mcl", k=1):
    report = {"top1": {"mean": top1, "std": 0.5}, "oracle": {"mean": oracle, "std": 0.5}}
    return {"network": "san", "method": method, "k": k, "report": report}


def lines(old, new, *seeds):
    return markdown(old, new, TITLES, seeds or ({}, {})).splitlines()[2:]


def seeds(*top1):
    """Of a row `a`, whose oracle is 60 with every seed."""
    return {"a": {"top1": dict(enumerate(top1)), "oracle": dict.fromkeys(range(len(top1)), 60)}}


def diff(clone, *arguments, check=True):
    return run(clone, sys.executable, "-m", "tools.diff", *arguments, check=check)


def test_a_difference_is_noise_within_its_interval_over_seeds():
    """Differences 0.2, 0.4, 0.6: s = 0.2, s / sqrt(3) = 0.1155, and t(2) at 97.5 % is 4.3027."""
    old, new = {"a": row(50, 60)}, {"a": row(50.4, 60)}
    told = lines(old, new, seeds(49, 50, 51), seeds(49.2, 50.4, 51.6))
    assert told[0] == "| SAN MCL k = 1 | 50.00 | 50.40 | +0.40 ± 0.50 | noise | 60.00 | 60.00 | +0.00 |  |  |"
    told = lines(old, new, seeds(49, 50, 51), seeds(49.3, 50.4, 51.5))  # half of the spread
    assert "| +0.40 ± 0.25 | **beyond** |" in told[0]


@pytest.mark.parametrize("other", [(51,), (51, 51, 51), ()])
def test_of_one_seed_or_of_others_nothing_is_known(other):
    told = lines({"a": row(50, 60)}, {"a": row(51, 60)}, seeds(50), seeds(*other))
    assert told[0] == "| SAN MCL k = 1 | 50.00 | 51.00 | +1.00 | ? | 60.00 | 60.00 | +0.00 |  |  |"


def test_rows_that_come_and_go_and_stay():
    told = lines({"a": row(50, 60), "b": row(1, 2)}, {"c": row(3, 4), "a": row(50, 60)})
    assert told[0] == "| SAN MCL k = 1 |  | 3.00 |  | new |  | 4.00 |  | new |  |"
    assert told[1] == "| SAN MCL k = 1 | 1.00 |  |  | gone | 2.00 |  |  | gone |  |"
    assert told[-1] == "1 of 2 rows are the same."


def test_rows_stand_as_in_their_table():
    rows = [("student", None), ("mcl_kd", 1), ("cmcl", 2), ("ie_plus", None), ("mcl", 2), ("ie", None)]
    new = {f"{method}-{k}": row(1, 2, method=method, k=k) for method, k in rows}
    told = [line.split(" | ")[0] for line in lines({}, new)[:6]]
    assert told == [
        *(
            "| SAN IE",
            "| SAN IE+",
            "| SAN MCL-KD k = 1",
            "| SAN MCL k = 2",
            "| SAN CMCL k = 2",
            "| SAN student",
        )
    ]


def test_a_row_is_the_same_only_if_every_number_is():
    other = row(50, 60)
    other["report"]["nll"] = {"mean": 1.0, "std": 0.1}
    told = lines({"a": row(50, 60)}, {"a": other})
    assert told[0].startswith("| SAN MCL k = 1 | 50.00 | 50.00 | +0.00 |") and told[-1].startswith("0 of 1")
    assert told[0].endswith("| nll new |")
    again = copy.deepcopy(other)
    again["report"]["nll"]["mean"] = 1.5
    assert lines({"a": other}, {"a": again})[0].endswith("| nll +0.5 |")


def test_a_method_that_is_no_more_goes_by_its_name():
    assert lines({"a": row(50, 60, method="older")}, {})[0].startswith("| SAN older k = 1 | 50.00 |")


def test_between_revisions_and_the_files_as_they_are(clone):
    path = clone / "metrics/table.json"
    table = json.loads(path.read_text())
    table["san-ie"]["report"]["top1"]["mean"] += 1
    path.write_text(json.dumps(table))
    assert "| SAN IE |" in diff(clone, "HEAD", ".").stdout
    run(clone, "git", "commit", "--quiet", "--all", "--message", "one more")
    assert diff(clone, "HEAD~1", "HEAD").stdout == diff(clone, "HEAD~1", ".").stdout
    assert diff(clone, "HEAD", ".").stdout == "7 of 7 rows are the same.\n"
    run(clone, "git", "rm", "--quiet", "--cached", "metrics/table.json")
    run(clone, "git", "commit", "--quiet", "--message", "before there was a table")
    assert "1 of 7 rows are the same." in diff(clone, "HEAD", ".").stdout


def test_experiments_go_by_their_names_and_their_cells_are_compared(clone):
    one = run(clone, "git", "rev-parse", "HEAD").stdout.strip()
    path = clone / "metrics/cell.json"
    metrics = json.loads(path.read_text())
    metrics["report"]["top1"] += 2.5
    path.write_text(json.dumps(metrics))
    lock = (clone / "dvc.lock").read_text()
    (clone / "dvc.lock").write_text(
        lock.replace("specialize san mcl_kd 1 0 cell", "specialize san cmcl 1 0 cell")
    )
    kept = run(clone, "git", "stash", "create").stdout.strip()
    run(clone, "git", "update-ref", f"refs/exps/{one[:2]}/{one[2:]}/lucky-name", kept)  # as DVC keeps one
    run(clone, "git", "checkout", "--quiet", ".")
    told = diff(clone, "HEAD", "lucky-name").stdout.splitlines()
    assert told[2].startswith("| cell: SAN MCL-KD k = 1, then SAN CMCL k = 1 | ")
    assert " | +2.50 | ? | " in told[2] and told[-1] == "6 of 7 rows are the same."
    assert "lucky-name" in diff(clone, "unlucky", ".", check=False).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "."), "'nowhere' is not a revision"),
        (("", "."), "'' is not a revision"),
        (("HEAD", "--new"), "--new is unknown; known: --help"),
        (("HEAD", "HEAD~1"), "HEAD~1: its metrics/table.json: not JSON"),
    ],
)
def test_what_cannot_be_compared_is_one_line(clone, arguments, message):
    table = clone / "metrics/table.json"
    for text in (table.read_text()[:100], table.read_text()):
        table.write_text(text)
        run(clone, "git", "commit", "--quiet", "--allow-empty", "--all", "--message", "another table")
    done = diff(clone, *arguments, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"tools.diff: {message}")
