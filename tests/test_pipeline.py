"""The pipeline as a user drives it: what runs, what does not, and that every number comes out the same."""

import ast
import json
import os
import re
import shutil
import sys
from io import StringIO

import pytest
import torch
import yaml

from specialists import data
from specialists.answers import label
from specialists.base.params import load
from specialists.base.params import read as read_params
from specialists.base.runtime import Compute
from specialists.methods import Method
from specialists.networks import builder
from specialists.students import modalities
from specialists.tables import students
from specialists.tables.rows import Table, cell, name
from specialists.tracking import code
from specialists.training.budget import Budget
from tests import ready
from tests.conftest import ROOT, checkout, edit, example, run, tool
from tools import copies, small

PIPELINES = [ROOT, *sorted(path.parent for path in ROOT.glob("pipelines/*/params.yaml"))]
SMALL = [".", "pipelines/cifar100", "pipelines/students"]


def executed(done):
    """Kinds of stages, `code` apart, which runs with every `dvc repro`."""
    found = [name.split("@")[0] for name in re.findall(r"Running stage '(.+)'", done.stdout)]
    return [kind for kind in found if kind != "code"]


def restored(done):
    return [name.split("@")[0] for name in re.findall(r"Stage '(.+)' is cached", done.stdout)]


def read(path):
    return json.loads(path.read_text())


def test_every_row_of_the_table_is_there_and_follows_from_its_cells(finished):
    axes = Table(**yaml.safe_load((finished / "params.yaml").read_text())["table"])
    rows = read(finished / "metrics/table.json")
    assert len(rows) == len(list(axes.rows())) == 6
    for row in axes.rows():
        one = read(finished / f"metrics/cells/{cell(*row, 0)}.json")
        assert rows[name(*row)]["report"]["top1"]["mean"] == one["report"]["top1"]
        assert 0 <= one["report"]["single_min"] <= one["report"]["single"] <= one["report"]["oracle"] <= 100
    pictures = {path.name for path in (finished / "metrics/figures").iterdir()}
    assert pictures == {f"families-san-{m}-k1-s0.png" for m in axes.methods}
    assert [path.name for path in (finished / "metrics/questions").iterdir()] == ["san.png"]


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


@pytest.mark.parametrize("name", ["root", "students"])
def test_every_output_has_the_bits_that_were_recorded_on_another_machine(name, request):
    place = request.getfixturevalue("finished" if name == "root" else "finished_students")
    lines = (ROOT / small.RECORDS / f"{name}.md5").read_text().splitlines()
    recorded = dict(reversed(line.split("  ")) for line in lines)
    made = dict(reversed(line.split("  ")) for line in small.digests(place).splitlines())
    assert made.keys() == recorded.keys()
    lock = yaml.safe_load((place / "dvc.lock").read_text())["stages"]
    paths = [out["path"] for entry in lock.values() for out in entry.get("outs", []) if out["path"] in made]
    differ = [path for path in paths if made[path] != recorded[path]]
    hint = "if numbers were meant to change, python -m tools.small FOLDER --record writes them down anew"
    assert not differ, f"the first is {differ[0]}; {hint}"


def test_pipelines_that_differ_in_params_alone_share_their_stages():
    """As copies: of a link in a revision DVC reads the text, and `exp show` and `metrics diff` fail."""
    for folder in copies.sharing(ROOT):
        path, more = folder / "dvc.yaml", folder / "more.yaml"
        own = more.read_text() if more.exists() else ""
        assert not path.is_symlink() and path.read_text() == (ROOT / "dvc.yaml").read_text() + own, path


@pytest.mark.parametrize("folder", [".", *(path.name for path in (ROOT / "pipelines").iterdir())])
def test_smoke_scale_runs_the_code_of_every_row(folder):
    """As tools.accept takes for granted: only numbers of networks, methods and students are smaller.

    Which of the students is the champion is no matter of code.
    """
    path = ROOT if folder == "." else ROOT / "pipelines" / folder
    params, scale = load(path / "params.yaml"), small.overlaid(path)

    def words(value):
        if isinstance(value, dict):
            return {key: words(inner) for key, inner in value.items() if key != "champion"}
        return None if type(value) in (int, float) else value

    for section in ("networks", "methods", "distill"):
        assert words(scale[section]) == words(params[section])


def test_pipelines_share_one_cache(clone):
    for folder in (clone / "pipelines").iterdir():
        told = run(folder, "dvc", "cache", "dir").stdout.strip()
        assert (folder / told).resolve() == clone / ".dvc/cache"


def test_a_folder_with_params_is_a_pipeline_that_takes_equal_stages_from_the_cache(clone):
    folder = clone / "pipelines/other"
    shutil.copytree(clone / "pipelines/table1/.dvc", folder / ".dvc")
    shutil.copy(clone / "dvc.yaml", folder)
    (folder / "params.yaml").write_text((clone / "params.yaml").read_text().replace("code: .", "code: ../.."))
    accepted = (clone / "accepted.csv").read_text()  # a new pipeline has none: it computes with new code
    rows = [row.replace(".,", "pipelines/other,", 1) for row in accepted.splitlines(True) if row[0] == "."]
    (clone / "accepted.csv").write_text(accepted + "".join(rows))
    done = run(folder, "dvc", "repro", "base@san-0-0")
    assert executed(done) == [] and restored(done) == ["stand_in", "features", "base"]
    same = "models/base/san-s0/m0.safetensors"
    assert (folder / same).read_bytes() == (clone / same).read_bytes()
    assert executed(run(clone, "dvc", "repro")) == []


def stale(folder):
    return set(json.loads(run(folder, "dvc", "status", "--json").stdout)) - {"code"}


SEEN = ("question@san", "specialties@san", "paired@san")  # what looks at the cells of a network


def test_a_new_method_is_one_file_and_its_params_and_makes_no_number_stale(clone):
    (clone / "specialists/methods/soft.py").write_text(example("README.md", "Soft: "))
    edit(clone, lambda params: params["methods"].update(soft={"sharpness": 2.0}))
    edit(clone, lambda params: params["table"]["methods"].append("soft"))
    run(clone, "dvc", "repro", "code")
    new = {"specialize@san-soft-1-0", "evaluate@san-soft-1-0"}
    assert stale(clone) == new | {"report", *SEEN, "plots", "track"}
    run(clone, "dvc", "repro", "--quiet", "report")
    assert "| SAN | Soft | 1 |" in (clone / "metrics/table.md").read_text()


def test_a_new_network_is_one_file_and_its_params_and_makes_no_number_stale(clone):
    (clone / "specialists/networks/bag.py").write_text(example("README.md", "Bag: "))
    edit(clone, lambda params: params["networks"].update(bag={"size": 8}))
    edit(clone, lambda params: params["table"]["networks"].append("bag"))
    run(clone, "dvc", "repro", "code")
    assert {each for each in stale(clone) if "bag" not in each} == {"report", *SEEN, "plots", "track"}
    run(clone, "dvc", "repro", "--quiet", "base@bag-0-0", "evaluate_generalists@bag-ie-0")
    assert read(clone / "metrics/cells/bag-ie-s0.json")["report"]["top1"] > 0


def rewrite(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_after_a_better_docstring_no_number_is_computed_again(clone):
    rewrite(clone / "specialists/training/loop.py", '"""The one loop', '"""The only loop')
    assert executed(run(clone, "dvc", "repro")) == [] and stale(clone) == set()


def test_a_changed_line_runs_again_what_can_run_it_and_what_follows(clone):
    rewrite(clone / "specialists/methods/cmcl.py", "return beta * exact_MB", "return 2 * beta * exact_MB")
    done = re.findall(r"Running stage '(.+)'", run(clone, "dvc", "repro").stdout)
    cells = ["specialize@san-cmcl-1-0", "evaluate@san-cmcl-1-0"]
    assert sorted(done) == sorted(["code", *cells, "report", *SEEN, "plots", "track"])


@pytest.mark.parametrize("axis", ["methods", "networks"])
def test_an_unknown_name_in_the_table_is_one_line_before_anything_trains(clone, axis):
    edit(clone, lambda params: params["table"][axis].append("sam"))
    edit(clone, lambda params: params["base"].update(epochs=1))
    done = run(clone, "dvc", "repro", check=False)
    assert done.returncode and executed(done) == []
    said = [line for line in done.stderr.splitlines() if line.startswith("stages.code: ")]
    assert len(said) == 1 and f"params.yaml: table.{axis}: 'sam' is not a row of {axis}; known: " in said[0]


def test_an_experiment_runs_what_it_must_and_no_more(clone):
    """One cell of the table, the chosen cell, and the student, whose teacher the first is.

    tests/test_track.py has an experiment that changes the chosen cell alone.
    """
    done = run(clone, "dvc", "exp", "run", "-S", "methods.mcl_kd.beta=3.0")
    cells = "specialize evaluate specialize_cell evaluate_cell distill evaluate_student".split()
    seen = [name.split("@")[0] for name in SEEN]
    assert sorted(executed(done)) == sorted([*cells, "report", *seen, "plots", "track"])
    changed_in_one_line(clone)


def changed_in_one_line(clone):
    diff = run(clone, "git", "diff", "--stat", "params.yaml").stdout
    assert "1 insertion(+), 1 deletion(-)" in diff


@pytest.mark.parametrize("pipeline", ["finished", "finished_cifar", "finished_students", "finished_pictures"])
def test_every_stage_declares_the_code_it_loads_and_the_params_it_reads(pipeline, request):
    """Of one stage of every kind, as seen while the pipeline ran."""
    folder = request.getfixturevalue(pipeline)
    top, lock = checkout(folder), yaml.safe_load((folder / "dvc.lock").read_text())["stages"]
    lists = code.lists(top, load(folder / "params.yaml"))
    kinds = {name.split("@")[0]: name for name in lock}
    kinds.pop("code")  # which reads all sources and params
    for kind in kinds.values():
        files, sections = ready.noted(top.parent / "loaded", lock[kind]["cmd"])
        own = f"{lock[kind]['cmd'].split()[2].replace('.', '/')}.py"
        inside = {os.path.relpath(file, top) for file in files if file and file.startswith(f"{top}/")}
        loaded = {path for path in inside if code.meaning((top / path).read_text())} - code.HARMLESS | {own}
        deps = [dep["path"] for dep in lock[kind]["deps"] if dep["path"].startswith("code/")]
        named = [path.removeprefix("code/").removesuffix(".txt") for path in deps]
        assert loaded == set().union(*(lists[each][1] for each in named)), kind
        if kind == "track":  # shows all that is in the file
            continue
        params = set(lock[kind].get("params", {}).get("params.yaml", {}))
        assert all(any(f"{s}.".startswith(f"{p}.") for p in params) for s in sections), (kind, sections)
        params.discard("compute")  # its mode is read in stages/__init__.py
        assert all(any(f"{s}.".startswith(f"{p}.") for s in sections) for p in params), (kind, sections)


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


MLFLOW = [f"specialists/{name}.py" for name in ("tracking/store", "serving/served", "serving/bounded")]


def test_three_modules_alone_import_mlflow():
    for path in [*ROOT.glob("stages/*.py"), *ROOT.glob("tools/*.py"), *ROOT.glob("specialists/**/*.py")]:
        trees = ast.walk(ast.parse(path.read_text()))
        named = {
            getattr(node, "module", None) or node.names[0].name
            for node in trees
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        imported = any(name.startswith("mlflow") for name in named if name)
        assert not imported or path.relative_to(ROOT).as_posix() in MLFLOW, path


def test_params_yaml_is_in_the_form_that_dvc_writes():
    """`-S` rewrites the file through ruamel: in canonical form, the change is one line."""
    from ruamel.yaml import YAML

    for folder in PIPELINES:
        yaml_, written = YAML(), StringIO()
        text = (folder / "params.yaml").read_text()
        yaml_.dump(yaml_.load(text), written)
        assert written.getvalue() == text


@pytest.mark.parametrize("folder", PIPELINES, ids=lambda folder: folder.name)
def test_the_params_of_every_pipeline_bind(folder, monkeypatch):
    monkeypatch.chdir(folder)
    bind()


@pytest.mark.parametrize("folder", SMALL)
def test_what_makes_a_pipeline_small_binds(folder, tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(small.overlaid(ROOT / folder)))
    monkeypatch.chdir(tmp_path)
    bind()


def test_what_is_laid_over_the_params_for_real_data_binds(tmp_path, monkeypatch):
    for file in ("params.yaml", "real.yaml"):
        shutil.copy(ROOT / "pipelines/vqa2" / file, tmp_path)
    tool(ROOT, "lay", str(tmp_path / "real.yaml"))
    monkeypatch.chdir(tmp_path)
    bind()
    params, real = load("params.yaml"), load("real.yaml")
    known = load(ROOT / "pipelines/vqa2/params.yaml")
    assert params.keys() == known.keys() and params["world"] == known["world"]
    assert params["networks"].keys() == known["networks"].keys() == real["networks"].keys()
    assert params["networks"]["ban"] == known["networks"]["ban"] | real["networks"]["ban"]
    assert "&" not in (tmp_path / "params.yaml").read_text()


def bind():
    """Bind every section of params.yaml here to what reads it."""
    tree = load()
    kind, distill = tree["data"]["format"], tree["distill"]
    shapes = {"clevr": [[3, 4], 8, 11, 5], "cifar100": [100], "clevr_pixels": [[64, 64], 11, 5]}
    shape = shapes.get(kind, [8, 11, 5])
    read_params("compute", Compute)
    read_params("world", data.part(kind, "stand_in").World)
    read_params("data", data.part(kind, "prepare").Data)
    read_params("features", data.part(kind, "prepare").Settings)
    read_params("table", students.Axes if "methods" in distill else Table)
    for row in distill.get("methods", []):
        read_params(f"distill.methods.{row}", modalities.Method)
    budgets = [f"distill.budgets.{each}" for each in distill.get("budgets", [])] or ["distill.budget"]
    budgets += [f"budgets.{each}" for each in tree.get("budgets", [])]
    for section in ("base", "specialize", *budgets):
        read_params(section, Budget)
    for row in tree["networks"]:
        with torch.device("meta"):  # where the published sizes take no memory
            builder(row, shape, told=row == tree.get("singles", {}).get("teacher"))()
    logits = torch.zeros(2, 1, 5)
    given = {"task_MB": logits[..., 0], "logits_MBC": logits, "teacher_MBC": logits, "k": 1}
    given |= {"generator": None, "task": label, "done": torch.zeros(())}
    for method in map(Method, tree["methods"]):
        assert not method.trains or method.loss(**given)[1].shape == (2, 1)


def test_a_new_seed_or_member_is_a_new_model(clone):
    edit(clone, lambda params: params["base"].update(epochs=1))
    for member, seed in ((0, 0), (1, 0), (0, 1)):
        run(clone, sys.executable, "-m", "stages.base", "san", str(member), str(seed))
    weights = [
        (clone / f"models/base/san-s{s}/m{m}.safetensors").read_bytes() for m, s in ((0, 0), (1, 0), (0, 1))
    ]
    assert len(set(weights)) == 3
