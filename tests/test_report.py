"""The table against numbers worked out by hand, and the one name of a cell."""

import copy
import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from specialists.tables import students
from specialists.tables import table as tables
from specialists.tables import titles as named
from specialists.tables.checked import checked
from specialists.tables.paper import published
from specialists.tables.rows import Table, cell
from specialists.tables.table import csv, markdown, table
from specialists.tables.titles import group, title, titles
from stages import report
from tests.conftest import ROOT, run

AXES = Table(["san"], [0, 1, 2], ["ie"], ["mcl", "mcl_kd"], [1, 2], [0, 1], [], [], [])
TITLES = {"ie": "IE", "mcl": "MCL", "mcl_kd": "MCL-KD", "student": "student"}
PAPER = {("san", "mcl", 1): {"top1": 42.19, "oracle": 98.67}}


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


def test_a_second_generation_has_rows_of_its_own_beside_its_controls():
    axes = Table(**vars(AXES) | {"generalists_again": ["ie"], "methods_again": ["mcl_kd"]})
    more = [("san", "ie_again", None), ("san", "mcl_kd_again", 1), ("san", "mcl_kd_again", 2)]
    assert list(axes.rows()) == [*list(AXES.rows())[:-1], *more, ("san", "student", None)]
    assert axes.controls == ["ie", "ie_again"] and AXES.controls == ["ie"]
    settings = {
        "mcl_kd": {},
        "mcl_kd_again": {"method": "mcl_kd"},
        "mean": {"method": "ie_plus", "average": 1.0},
    }
    called = {"mcl_kd": "MCL-KD", "mcl_kd_again": "MCL-KD, again", "mean": "IE+, averaged"}
    assert titles(settings) == called | {"student": "student"}


def test_mean_and_standard_deviation_over_seeds():
    """Cells 2 and 3 are MCL at k = 1: mean 2.5, and std sqrt((0.5^2 + 0.5^2) / 1)."""
    row = table(AXES, CELLS, PAPER)["san-mcl-k1"]
    assert row["n"] == 2 and row["report"]["top1"] == {"mean": 2.5, "std": pytest.approx(0.5**0.5)}
    assert row["paper"] == {"top1": 42.19, "oracle": 98.67}


def test_markdown_marks_the_best_ensemble_and_shows_the_papers_numbers():
    lines = markdown(table(AXES, CELLS, PAPER), TITLES).splitlines()
    numbers = "2.50 ± 0.71 | 1.00 ± 0.00 | 1.00 ± 0.00 | 1.000 ± 0.000 | 1.00 ± 0.00"
    assert lines[3] == f"| SAN | MCL | 1 | {numbers} | 42.19 | 98.67 |"
    assert ["**" in line for line in lines[2:]] == [False, False, False, False, True, False]


def test_csv_has_a_column_for_every_number():
    header, *lines = csv(table(AXES, CELLS, PAPER)).splitlines()
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
        ({"seeds": []}, "seeds: is empty; name at least one"),
        ({"seeds": [1, 0, 1]}, "seeds: 1 stands twice"),
        ({"pictured": ["mlp"]}, "pictured: 'mlp' is not in networks; known: san"),
    ],
)
def test_axes_out_of_range_are_named(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Table(**vars(AXES) | change)


PARAMS = {
    "networks": {"san": {}, "mlp": {}, "san_wide": {"network": "san"}, "lost": {"network": "lots"}},
    "methods": {
        **{"ie": {}, "mcl": {}, "mcl_kd": {}, "mcl_far": {"method": "mcl_kdd"}},
        **{"mcl_again": {"method": "mcl"}, "mcl_kd_again": {"method": "mcl_kd", "beta": 2.0}},
    },
    "table": vars(AXES),
    "data": {"format": "clevr"},
    "distill": {"teacher": "mcl_kd-k1"},
    "seed": 0,
    "network": "san",
    "method": "mcl",
    "k": 3,
}


def test_params_that_name_what_there_is_are_handed_on():
    for change in ({}, {"k": "all"}, STUDENTS):
        assert checked(PARAMS | change) == PARAMS | change


STUDENTS = {
    "table": {"students": ["alone", "kd"], "members": [0, 1], "seeds": [0]},
    "distill": {
        "network": "mlp",
        "champion": "kd",
        "budgets": {"long": {}},
        "methods": {"alone": {"budget": "long"}, "kd": {"budget": "long"}},
    },
    "k": 2,
}


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("distill.network", "sann", "distill.network: 'sann' is not a row of networks; known: san, mlp"),
        ("distill.champion", "msd", "distill.champion: 'msd' is not among table.students; known: alone, kd"),
        (
            "distill.methods.kd.budget",
            "short",
            "distill.methods.kd.budget: 'short' is not among the rows of ",
        ),
        ("table.students", ["alone", "msd"], "table.students: 'msd' is not a row of distill.methods; known"),
    ],
)
def test_a_name_of_nothing_among_students_is_one_line_too(place, value, message):
    tree = copy.deepcopy(PARAMS | STUDENTS)
    *sections, key = place.split(".")
    inner = tree
    for section in sections:
        inner = inner[section]
    inner[key] = value
    with pytest.raises(ValueError, match=re.escape(f"params.yaml: {message}")):
        checked(tree)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("table.methods", ["cmlc"], "table.methods: 'cmlc' is not a row of methods; known: ie, mcl"),
        ("table.generalists", ["ei"], "table.generalists: 'ei' is not a row of methods; known: ie, mcl"),
        ("table.networks", ["sans"], "table.networks: 'sans' is not a row of networks; known: san, mlp"),
        ("table.networks", ["lost"], "networks.lost: there is no specialists/networks/lots.py"),
        ("table.methods", ["mcl_far"], "methods.mcl_far: there is no specialists/methods/mcl_kdd.py"),
        ("table.generalists", ["mcl"], "table.generalists: the loss of 'mcl' takes k; it belongs to "),
        ("table.methods", ["ie"], "table.methods: the loss of 'ie' takes no k; it belongs to "),
        ("table.ks", None, "table.ks: None is NoneType, expected list"),
        ("network", "mlp", "network: 'mlp' is not among table.networks, which have base models; known: san"),
        ("network", "tiny", "network: 'tiny' is not a row of networks; known: san, mlp, san_wide, lost"),
        ("table.methods_again", ["cmcl"], "table.methods_again: 'cmcl' is not a row of "),
        ("table.methods_again", ["ie"], "table.methods_again: 'ie' is not in table.methods; "),
        ("table.generalists_again", ["ie"], "table.generalists_again: 'ie_again' is not a row of "),
        ("table.methods_again", ["mcl_kd"], "methods.mcl_kd_again: {'method': 'mcl_kd', 'beta': 2.0}, "),
        ("table.methods", ["mcl", "mcl_again"], "table.methods: 'mcl_again' is a second generation; table.m"),
        ("method", "mcl_again", "method: 'mcl_again' is a second generation; table.methods_again or "),
        ("method", "clmc", "method: 'clmc' is not a row of methods; known: ie"),
        ("seed", 2, "seed: 2 is not among table.seeds, which have base models; known: 0, 1"),
        ("k", 4, "k: 4 is not among the numbers of table.members; known: all, 1, 2, 3"),
        ("methods.ie", None, "methods.ie: None is NoneType, expected settings, or {} for none"),
        ("table.members", [0], "table.members: name two at least, an ensemble"),
        ("data.format", "vqa", "data.format: 'vqa' is not among the folders of specialists/data; known: "),
        ("distill.teacher", "mcl-k3", "distill.teacher: 'mcl-k3' is not among the rows of table; "),
    ],
)  # fmt: skip
def test_a_name_of_nothing_is_one_line_before_anything_trains(place, value, message):
    tree = copy.deepcopy(PARAMS)
    *sections, key = place.split(".")
    (tree[sections[0]] if sections else tree)[key] = value
    with pytest.raises(ValueError, match=re.escape(f"params.yaml: {message}")):
        checked(tree)


def test_the_params_of_every_pipeline_name_what_there_is():
    for path in [ROOT / "params.yaml", *ROOT.glob("pipelines/*/params.yaml")]:
        checked(yaml.safe_load(path.read_text()))


def test_a_title_is_what_the_docstring_of_the_method_begins_with(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "ROOM", tmp_path)
    (tmp_path / "methods").mkdir()
    texts = {"soft_mcl": '"""Soft-MCL: all learn: a little.\n\nMore: no.\n"""', "bare_one": "x = 1"}
    texts |= {"ie_plus": '"""IE+: longer."""', "told": '"""Without one.\n\nLater: no.\n"""'}
    for file, text in texts.items():
        (tmp_path / f"methods/{file}.py").write_text(text)
    assert [title(file, {}) for file in texts] == ["Soft-MCL", "BARE-ONE", "IE+", "TOLD"]
    assert title("soft_fs", {"method": "soft_mcl", "sharing": 0.7}) == "Soft-MCL+FS"
    assert title("ie_plus_fs", {"method": "ie_plus", "sharing": 0.7}) == "IE+FS"
    rows = {"soft_mcl": {}, "hot": {"method": "soft_mcl", "beta": 9.0}}
    assert titles(rows) == {"soft_mcl": "Soft-MCL", "hot": "Soft-MCL (hot)", "student": "student"}
    with pytest.raises(ValueError, match=r"^specialists/methods/gone.py: cannot be read"):
        title("gone", {})


def test_the_methods_and_groups_go_by_their_papers_names_and_need_no_torch():
    files = {"ie": "IE", "ie_plus": "IE+", "mcl": "MCL", "cmcl": "CMCL", "mcl_kd": "MCL-KD"}
    assert {file: title(file, {}) for file in files} == files
    assert (group("clevr"), group("cifar100")) == ("question family", "superclass")
    stages = "stages.report, stages.plots, stages.track, tools.diff, tools.pages"
    code = f"import sys, specialists.tables.checked, {stages}; print('torch' in sys.modules)"
    assert run(ROOT, sys.executable, "-c", code).stdout == "False\n"


def test_without_published_numbers_there_are_no_columns_for_them(tmp_path):
    assert published(tmp_path / "paper.csv") == {}
    lines = markdown(table(AXES, CELLS, {("mlp", "mcl", 1): PAPER["san", "mcl", 1]}), TITLES).splitlines()
    assert lines[0] == "| network | method | k | top-1 | oracle | single | NLL | ECE |"
    assert {line.count("|") for line in lines} == {9}


def test_published_numbers_are_read_by_row(tmp_path):
    path = tmp_path / "paper.csv"
    path.write_text("network,method,k,top1,oracle\nsan,mcl,1,42.19,98.67\nsan,ie,,85.23,94.93\n")
    assert published(path) == PAPER | {("san", "ie", None): {"top1": 85.23, "oracle": 94.93}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected network,method,k,top1,oracle"),
        ("network,method\n", "line 1: expected network,method,k,top1,oracle"),
        ("{head}san,ie,1\n", "line 2: 'san,ie,1': 3 fields, expected 5: network,method,k,top1,oracle"),
        ("{head}san,ie,,1,2\n\n", "line 3: '': 0 fields, expected 5"),
        ("{head}san,ie,zero,1,2\n", "line 2: 'san,ie,zero,1,2': k: 'zero' is neither empty nor a number"),
        ("{head}san,ie,0,1,2\n", "line 2: 'san,ie,0,1,2': k: '0' is neither empty nor a number of members"),
        ("{head}san,ie,,85.23,much\n", "line 2: 'san,ie,,85.23,much': oracle: 'much' is no percentage"),
        ("{head}san,ie,,nan,2\n", "line 2: 'san,ie,,nan,2': top1: 'nan' is no percentage"),
        ("{head}san,ie,,101,2\n", "line 2: 'san,ie,,101,2': top1: '101' is no percentage"),
        ("{head}san,ie,,1,2\nsan,ie,,1,2\n", "line 3: 'san,ie,,1,2': its row stands twice"),
    ],
)
def test_published_numbers_that_cannot_be_read_are_one_line(text, message, tmp_path):
    path = tmp_path / "paper.csv"
    path.write_text(text.format(head="network,method,k,top1,oracle\n"))
    with pytest.raises(ValueError, match=re.escape(f"{path}: {message}")):
        published(path)


def test_pipelines_agree_on_what_was_published():
    papers = [published(path) for path in [ROOT / "paper.csv", *ROOT.glob("pipelines/*/paper.csv")]]
    every = {row: numbers for paper in papers for row, numbers in paper.items()}
    assert all(every[row] == numbers for paper in papers for row, numbers in paper.items())
    assert every["san", "mcl_kd", 3] == {"top1": 88.16, "oracle": 96.12}
    assert every["resnet20", "mcl_kd_fs", 1] == {"top1": 66.72, "oracle": 81.07}


def test_counts_of_another_data_set_leave_the_table_as_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = {"table": vars(AXES), "methods": {"ie": {}, "mcl": {}, "mcl_kd": {}}}
    params["data"] = {"format": "clevr"}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    files = {f"metrics/cells/{name}.json": content for name, content in CELLS.items()}
    files |= {f"metrics/curves/cells/{name}.json": {"families": [[1, 2, 3]]} for name in CELLS}
    files["data/features/meta.json"] = {"families": ["one", "two"]}
    for path, content in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(json.dumps(content))
    Path("metrics/table.md").write_text("as it was")
    with pytest.raises(ValueError, match="metrics/curves/cells/san-mcl-k1-s0.json: families: found"):
        report.main()
    assert Path("metrics/table.md").read_text() == "as it was"
    assert not Path("metrics/table.json").exists() and not Path("metrics/figures").exists()


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
            {
                each: cost | read("environment/cost.json")["latency"][each]
                for each, cost in read("cost.json").items()
            },
        )
    else:
        kind, axes = tables, Table(**params["table"])
        metrics = {name: read(f"cells/{name}.json") for name in axes.cells()}
        more = (metrics, published(folder / "paper.csv"))
    found = kind.table(axes, *more)
    called = [titles(params["methods"])] if kind is tables else []
    assert json.loads(json.dumps(found)) == read("table.json")
    assert kind.markdown(found, *called) == (folder / "metrics/table.md").read_text()
    assert kind.csv(found) == (folder / "metrics/table.csv").read_text()
