"""The table against numbers worked out by hand, and the one name of a cell."""

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from specialists import losses, report, students
from specialists.report import Table, cell, csv, markdown, table
from tests.conftest import ROOT, run

AXES = Table(["san"], [0, 1, 2], ["ie"], ["mcl", "mcl_kd"], [1, 2], [0, 1])


def metrics(top1):
    numbers = dict.fromkeys(("oracle", "single", "single_min", "single_max", "nll", "ece"), 1.0)
    return {"parameters": 7, "select": {"top1": 0.0} | numbers, "report": {"top1": top1} | numbers}


CELLS = {name: metrics(float(i)) for i, name in enumerate(AXES.cells())}


def test_rows_come_in_the_papers_order_and_cells_have_one_name():
    assert list(AXES.rows()) == [
        ("san", "ie", None), ("san", "mcl", 1), ("san", "mcl_kd", 1), ("san", "mcl", 2), ("san", "mcl_kd", 2),
        ("san", "student", None),
    ]  # fmt: skip
    assert AXES.cells()[:4] == ["san-ie-s0", "san-ie-s1", "san-mcl-k1-s0", "san-mcl-k1-s1"]


def test_mean_and_standard_deviation_over_seeds():
    """Cells 2 and 3 are MCL at k = 1: mean 2.5, and std sqrt((0.5^2 + 0.5^2) / 1)."""
    row = table(AXES, CELLS)["san-mcl-k1"]
    assert row["n"] == 2 and row["report"]["top1"] == {"mean": 2.5, "std": pytest.approx(0.5**0.5)}
    assert row["paper"] == {"top1": 42.19, "oracle": 98.67}


def test_markdown_marks_the_best_ensemble_and_shows_the_papers_numbers():
    lines = markdown(table(AXES, CELLS)).splitlines()
    numbers = "2.50 ± 0.71 | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.000 ± 0.000 | 1.00 ± 0.00"
    assert lines[3] == f"| SAN | MCL | 1 | {numbers} | 42.19 | 98.67 |"
    assert ["**" in line for line in lines[2:]] == [False, False, False, False, True, False]


def test_csv_has_a_column_for_every_number():
    header, *lines = csv(table(AXES, CELLS)).splitlines()
    first = dict(zip(header.split(","), lines[1].split(","), strict=True))
    assert (
        first["method"] == "mcl"
        and first["report_top1_mean"] == "2.5000"
        and first["report_top1_std"] == "0.7071"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ks": [1, 4]}, "ks: 4 is out of range: 1 to 3, the number of members"),
        ({"ks": [0]}, "ks: 0 is out of range"),
        (
            {"methods": ["mcl", "cmlc"]},
            "methods: 'cmlc' is unknown; known: mcl, cmcl, cmcl_fs, mcl_kd, mcl_kd_fs",
        ),
        ({"seeds": []}, "seeds: is empty; name at least one"),
        ({"seeds": [1, 0, 1]}, "seeds: 1 stands twice"),
        ({"generalists": ["mcl"]}, "generalists: 'mcl' is unknown; known: ie, ie_plus"),
    ],
)
def test_axes_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Table(**vars(AXES) | change)


def test_the_table_knows_the_methods_of_losses_and_needs_no_torch_for_that():
    assert tuple(report.GENERALISTS) == losses.GENERALISTS
    assert {*report.GENERALISTS, *report.SPECIALISTS} == {*losses.METHODS}
    code = "import sys, stages.report, stages.plots, stages.track; print('torch' in sys.modules)"
    assert run(ROOT, sys.executable, "-c", code).stdout == "False\n"


def test_dvc_yaml_names_cells_as_the_report_does():
    text = (Path(__file__).parents[1] / "dvc.yaml").read_text()
    item = {"network": "san", "method": "mcl", "k": "2", "seed": "1"}
    names = {
        re.sub(r"\$\{item\.(\w+)\}", lambda m: item[m[1]], n)
        for n in re.findall(r"metrics/cells/(\S+)\.json", text)
    }
    assert names == {cell("san", "mcl", None, 1), cell("san", "mcl", 2, 1), cell("san", "student", None, 1)}


@pytest.mark.parametrize(
    "folder", [ROOT, *(p.parents[1] for p in ROOT.glob("pipelines/*/metrics/table.json"))]
)
def test_the_committed_tables_say_what_the_committed_cells_say(folder):
    """`verify` asks the lock alone, which whoever writes a table by hand may write as well."""

    def read(path):
        return json.loads((folder / "metrics" / path).read_text())

    params = yaml.safe_load((folder / "params.yaml").read_text())
    if "students" in params["table"]:
        kind, axes = students, students.Axes(**params["table"])
        teacher, network = (params["network"], params["method"], params["k"]), params["distill"]["network"]
        rows = [teacher, *((network, student, None) for student in axes.students)]
        names = [cell(*row, seed) for row in rows for seed in axes.seeds]
        alone = {name: read(f"alone/cells/{name}.json") for name in names}
        more = (
            teacher,
            network,
            {name: read(f"cells/{name}.json") for name in names},
            alone,
            read("cost.json"),
        )
    else:
        kind, axes = report, Table(**params["table"])
        more = ({name: read(f"cells/{name}.json") for name in axes.cells()},)
    found = kind.table(axes, *more)
    assert json.loads(json.dumps(found)) == read("table.json")
    assert kind.markdown(found) == (folder / "metrics/table.md").read_text()
    assert kind.csv(found) == (folder / "metrics/table.csv").read_text()
