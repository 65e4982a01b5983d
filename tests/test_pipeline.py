"""The pipeline as a user drives it: what runs, what does not, and that every number comes out the same."""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
import yaml

from specialists import modalities, students
from specialists.data.world import World
from specialists.losses import METHODS
from specialists.networks import network as network_class
from specialists.params import configure, load
from specialists.params import read as read_params
from specialists.report import Table, cell
from specialists.train import Budget
from stages import stand_in_cifar
from tests.conftest import ROOT, edit, run

# Files that a stage loads and that cannot change what it computes: the command line, the record of the
# machine, and packages that only say what they hold.
HARMLESS = {
    *("stages/__init__.py", "specialists/environment.py"),
    *("specialists/__init__.py", "specialists/data/__init__.py"),
}


def executed(done):
    return [name.split("@")[0] for name in re.findall(r"Running stage '(.+)'", done.stdout)]


def read(path):
    return json.loads(path.read_text())


def test_every_row_of_the_table_is_there_and_follows_from_its_cells(finished):
    axes = Table(**yaml.safe_load((finished / "params.yaml").read_text())["table"])
    rows = read(finished / "metrics/table.json")
    assert len(rows) == len(list(axes.rows())) == 6
    for network, method, k in axes.rows():
        one = read(finished / f"metrics/cells/{cell(network, method, k, 0)}.json")
        name = cell(network, method, k, 0).removesuffix("-s0")
        assert rows[name]["report"]["top1"]["mean"] == one["report"]["top1"]
        assert 0 <= one["report"]["single_min"] <= one["report"]["single"] <= one["report"]["oracle"] <= 100
    pictures = {path.name for path in (finished / "metrics/figures").iterdir()}
    assert pictures == {f"families-san-{m}-k1-s0.png" for m in axes.methods}
    assert [path.name for path in (finished / "metrics/questions").iterdir()] == ["san-k1-s0.png"]


def test_what_was_promised_and_kept_by_confidence_adds_up_to_top1_and_ece(finished):
    for path in (finished / "metrics/cells").iterdir():
        for split, bins in read(finished / f"metrics/families/cells/{path.name}")["confidence"].items():
            said, total = read(path)[split], sum(each["examples"] for each in bins)
            top1 = sum(each["examples"] * each["top1"] for each in bins) / total
            ece = sum(each["examples"] * abs(each["confidence"] - each["top1"]) for each in bins) / total
            assert (top1, ece) == (pytest.approx(said["top1"]), pytest.approx(said["ece"]))


def test_ie_is_the_base_models_and_every_training_example_is_assigned_k_times(finished):
    curves = finished / "metrics/curves/cells"
    assert read(curves / "san-ie-s0.json") == {"curve": []}
    examples = read(finished / "data/features/meta.json")["splits"]["train"]["questions"]
    for method in ("mcl", "cmcl", "mcl_kd"):
        record = read(curves / f"san-{method}-k1-s0.json")
        assert sum(map(sum, record["families"])) == examples
        assert all(sum(epoch["chosen"]) == examples for epoch in record["curve"])


def test_with_nothing_to_do_nothing_runs(clone):
    (clone / "models/base/san-s0/.m0.npy.1.tmp").write_bytes(b"left by a write that was killed")
    assert executed(run(clone, "dvc", "repro")) == []


@pytest.mark.parametrize(
    ("copy", "of"),
    [("table1", "../.."), ("cifar100_small", "../cifar100"), ("cifar100_vgg17", "../cifar100")],
)
def test_pipelines_that_differ_in_params_alone_share_their_stages(copy, of):
    """As copies: of a link in a revision DVC reads the text, and `exp show` and `metrics diff` fail."""
    folder = ROOT / "pipelines" / copy
    assert not (folder / "dvc.yaml").is_symlink()
    assert (folder / "dvc.yaml").read_bytes() == (folder / of / "dvc.yaml").read_bytes()


def test_a_folder_with_params_is_a_pipeline_of_the_same_stages(clone):
    folder = clone / "pipelines/other"
    folder.mkdir(parents=True)
    shutil.copy(clone / "dvc.yaml", folder)
    (folder / "params.yaml").write_text((clone / "params.yaml").read_text().replace("code: .", "code: ../.."))
    done = run(folder, "dvc", "repro", "base@san-0-0")
    assert executed(done) == ["stand_in", "features", "base"]
    same = "models/base/san-s0/m0.safetensors"
    assert (folder / same).read_bytes() == (clone / same).read_bytes()
    assert executed(run(clone, "dvc", "repro")) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["method=cmcl"], ["specialize_cell", "evaluate_cell", "track"]),
        (["method=mcl", "k=2"], ["specialize_cell", "evaluate_cell", "track"]),
        (
            ["methods.mcl_kd.beta=3.0"],
            # One cell of the table, the chosen cell, and the student, whose teacher the first is.
            "specialize evaluate specialize_cell evaluate_cell distill evaluate_student".split()
            + ["report", "question", "plots", "track"],
        ),
    ],
)
def test_an_experiment_runs_what_it_must_and_no_more(clone, changes, expected):
    arguments = [word for change in changes for word in ("-S", change)]
    done = run(clone, "dvc", "exp", "run", *arguments)
    assert sorted(executed(done)) == sorted(expected)
    diff = run(clone, "git", "diff", "--stat", "params.yaml").stdout
    assert re.search(rf"{len(changes)} insertions?\(\+\), {len(changes)} deletions?\(-\)", diff)


def test_forced_again_every_output_is_the_same_to_the_bit(clone):
    before = (clone / "dvc.lock").read_text()
    for target in (
        "stand_in",
        "features",
        "base@san-0-0",
        "specialize@san-mcl_kd-1-0",
        "distill@san-0",
        "report",
    ):
        assert len(executed(run(clone, "dvc", "repro", "--force", "--single-item", target))) == 1
    assert (clone / "dvc.lock").read_text() == before


@pytest.mark.parametrize("pipeline", ["finished", "finished_cifar", "finished_students"])
def test_every_stage_declares_the_code_it_loads_and_the_params_it_reads(pipeline, request):
    """Of one stage of every kind, as seen while the pipeline ran."""
    folder = request.getfixturevalue(pipeline)
    lock = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    kinds = {name.split("@")[0]: name for name in lock}
    for name in kinds.values():
        _, module, *words = lock[name]["cmd"].split()[2:]
        seen = " ".join([module, *words]).replace("/", ":")
        files, sections = read(folder.parent / f"loaded/{seen}.json")
        loaded = {
            Path(file).relative_to(folder).as_posix()
            for file in files
            if file and file.startswith(str(folder))
        } | {f"{module.replace('.', '/')}.py"}
        declared = {str(Path(dep["path"])) for dep in lock[name]["deps"]}
        if name == "track":
            loaded.discard("specialists/params.py")  # loaded by the witness alone
        assert loaded - HARMLESS <= declared, name
        assert {path for path in declared if path.endswith(".py")} <= loaded | {
            "specialists/networks/resnet101.py"
        }, name
        if name == "track":  # shows all that is in the file
            continue
        params = set(lock[name].get("params", {}).get("params.yaml", {}))
        if name == "specialize_cell":  # its method may be one that shares, this one does not
            params -= {"sharing"}
        assert all(any(f"{s}.".startswith(f"{p}.") for p in params) for s in sections), (name, sections)
        assert all(any(f"{s}.".startswith(f"{p}.") for s in sections) for p in params), (name, sections)


def test_a_pipeline_of_images_has_the_rows_of_its_table(finished_cifar):
    rows = read(finished_cifar / "metrics/table.json")
    names = ("ie", "ie_plus_fs", "cmcl-k1", "mcl_kd_fs-k1", "student")
    assert set(rows) == {f"resnet20-{name}" for name in names}
    parameters = {name: row["parameters"] for name, row in rows.items()}
    assert parameters["resnet20-ie"] == parameters["resnet20-mcl_kd_fs-k1"]
    assert parameters["resnet20-ie"] == 2 * parameters["resnet20-student"]
    shared = read(finished_cifar / "metrics/curves/cells/resnet20-mcl_kd_fs-k1-s0.json")
    images = read(finished_cifar / "data/features/meta.json")["splits"]["train"]["images"]
    assert sum(map(sum, shared["families"])) == images and len(shared["families"]) == 20


def test_two_modules_alone_import_mlflow():
    for path in [*ROOT.glob("stages/*.py"), *ROOT.glob("specialists/**/*.py")]:
        trees = ast.walk(ast.parse(path.read_text()))
        named = {
            getattr(node, "module", None) or node.names[0].name
            for node in trees
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        imported = any(name.startswith("mlflow") for name in named if name)
        assert not imported or path.name in ("tracking.py", "served.py"), path


def test_params_yaml_is_in_the_form_that_dvc_writes():
    """`-S` rewrites the file through ruamel: in canonical form, the change is one line."""
    from ruamel.yaml import YAML

    for path in [ROOT / "params.yaml", *ROOT.glob("pipelines/*/params.yaml")]:
        yaml_ = YAML()
        with open(path) as file:
            tree = yaml_.load(file)
        from io import StringIO

        written = StringIO()
        yaml_.dump(tree, written)
        assert written.getvalue() == path.read_text()


@pytest.mark.parametrize("folder", [ROOT, *(path.parent for path in ROOT.glob("pipelines/*/params.yaml"))])
def test_the_params_of_every_pipeline_bind(folder):
    path = folder / "params.yaml"
    cifar = folder.name.startswith("cifar100")
    shape = [100] if cifar else [[3, 4], 8, 11, 5]
    read_params("world", stand_in_cifar.World if cifar else World, path=path)
    distill = load(path)["distill"]
    read_params("table", students.Axes if "methods" in distill else Table, path=path)
    for name in distill.get("methods", []):
        read_params(f"distill.methods.{name}", modalities.Method, path=path)
    budgets = [f"distill.budgets.{name}" for name in distill.get("budgets", [])] or ["distill.budget"]
    for section in ("base", "specialize", *budgets):
        read_params(section, Budget, path=path)
    for name in load(path)["networks"]:
        read_params(f"networks.{name}", network_class(name), *shape, path=path)
    logits = torch.zeros(2, 1, 5)
    for name in load(path)["methods"]:
        assert configure(f"methods.{name}", METHODS[name], path=path)(logits, logits, None).shape == (2, 1)


def test_a_new_seed_or_member_is_a_new_model(clone):
    edit(clone, lambda params: params["base"].update(epochs=1))
    for member, seed in ((0, 0), (1, 0), (0, 1)):
        run(clone, sys.executable, "-m", "stages.base", "san", str(member), str(seed))
    weights = [
        (clone / f"models/base/san-s{s}/m{m}.safetensors").read_bytes() for m, s in ((0, 0), (1, 0), (0, 1))
    ]
    assert len(set(weights)) == 3
