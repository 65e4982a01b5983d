"""The students' pipeline at smoke scale, and what is made of its numbers."""

import base64
import copy
import io
import json
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import get_model_info
from PIL import Image
from safetensors.numpy import load_file, save_file

from specialists import data as prepared
from specialists.answers import label as task
from specialists.answers.ensemble import load
from specialists.base.params import load as load_params
from specialists.base.params import read
from specialists.data.clevr import official
from specialists.eyes import extract
from specialists.networks import builder
from specialists.serving import export
from specialists.serving.answering import Onnx
from specialists.students import modalities, sight
from specialists.students.distillation import distill
from specialists.tables import students
from specialists.tracking import pipeline
from tests.conftest import ROOT, checkout, copied, edit, installed, run, stage, tool
from tests.test_pipeline import executed
from tests.test_reliability import outputs
from tests.test_verify import forge, verdict
from tools import endure
from tools.load import Server

TEACHER, STUDENT = "cells/san-mcl_kd-k1-s0", "cells/san_small-kd-s0"
PICTURE = "data/stand_in/images/val/CLEVR_val_000000.png"


@pytest.fixture
def clone(finished_students, tmp_path):
    return copied(finished_students, tmp_path)


def mlflow(folder):
    return f"sqlite:///{checkout(folder)}/mlflow.db"


def cells(top1s):
    split = {number: 0.0 for number in students.NUMBERS}
    return {name: {s: split | {"top1": value} for s in ("select", "report")} for name, value in top1s.items()}


def test_what_a_student_recovers_by_hand():
    axes = students.Axes(["alone", "kd"], [0, 1], [0, 1])
    top1s = {"san-mcl-k1-s0": 60, "san-mcl-k1-s1": 62, "small-alone-s0": 50, "small-alone-s1": 52}
    top1s |= {"small-kd-s0": 56, "small-kd-s1": 61}
    alone = {name: {s: {"image": 1.0, "question": 2.0} for s in ("select", "report")} for name in top1s}
    cost = dict.fromkeys(("parameters", "flops", "latency_1_ms", "latency_64_ms"), 1000)
    cost = {"san": cost, "small": cost}
    rows = students.table(axes, ("san", "mcl", 1), "small", cells(top1s), alone, cost)
    assert list(rows) == ["san-mcl-k1", "small-alone", "small-kd"]
    assert [row["recovered"] for row in rows.values()] == [1.0, 0.0, 0.75]
    assert rows["small-kd"]["report"]["top1"] == {"mean": 58.5, "std": pytest.approx(3.5355339)}
    lines = students.markdown(rows).splitlines()
    assert "| **58.50 ± 3.54** | 75 % | 1.00 ± 0.00 | 2.00 ± 0.00 |" in lines[-1]
    assert "| the ensemble | 61.00 ± 1.41 | 100 % |" in lines[2]


def test_a_student_that_is_not_published_is_called_by_its_name():
    assert students.Axes(["alone", "kd_of_mine"], [0], [0])
    row = {"network": "small", "method": "kd_of_mine", "k": None, "recovered": None}
    numbers = dict.fromkeys(students.MEASURED, {"mean": 1.0, "std": None})
    row |= dict.fromkeys(students.COST, 1) | {"report": numbers}
    assert "| SMALL | kd_of_mine | **1.00** |" in students.markdown({"small-kd_of_mine": row})


def test_what_the_files_answer_stands_beside_the_processor(finished_students):
    for name in ("student", "ensemble"):
        known = json.loads((finished_students / f"metrics/export/{name}.json").read_text())
        machine = json.loads((finished_students / f"metrics/environment/export/{name}.json").read_text())
        assert set(known) == {"cell", "torch", "questions"} and set(machine["answers"]) == {"fp32", "int8"}
        assert machine["answers"]["fp32"]["same_as_torch"] >= 99.9


def test_every_row_is_there_and_follows_from_its_cells(finished_students):
    rows = json.loads((finished_students / "metrics/table.json").read_text())
    assert set(rows) == {"san-mcl_kd-k1", "san_small-alone", "san_small-kd", "san_small-msd_meta"}
    for name, row in rows.items():
        one, alone = (
            json.loads((finished_students / f"metrics/{kind}/{name}-s0.json").read_text())["report"]
            for kind in ("cells", "alone/cells")
        )
        assert row["report"]["top1"]["mean"] == one["top1"]
        assert row["report"]["question_alone"]["mean"] == alone["question"]
    assert rows["san-mcl_kd-k1"]["flops"] > rows["san_small-kd"]["flops"] > 0


def test_every_row_is_a_run_in_mlflow(finished_students):
    client = MlflowClient(mlflow(finished_students))
    found = client.search_runs(
        [client.get_experiment_by_name("pipelines/students").experiment_id], "tags.kind = 'cell'"
    )
    named = {each.info.run_name: each.data for each in found}
    rows = json.loads((finished_students / "metrics/table.json").read_text())
    assert set(named) == {f"{row}-s0" for row in rows}
    kd = named["san_small-kd-s0"]
    assert kd.params["distill.methods.kd.teacher"] == "mean" and kd.tags["k"] == "none"
    assert kd.metrics["question_alone"] > 0


def test_each_example_is_told_by_the_member_that_learns_it_cheapest(finished_students):
    told = load_file(finished_students / f"models/teachers/{TEACHER}.safetensors")
    columns = load_file(finished_students / "data/features/questions.safetensors")
    label_N = columns["answer"][columns["split"] == 0]
    base = [np.load(finished_students / f"models/base/san-s0/m{member}.npy") for member in range(2)]
    p_MNC, t_MNC = (np.exp(np.asarray(x, float)) for x in (told["logits"][0], base))
    p_MNC, t_MNC = (x / x.sum(2, keepdims=True) for x in (p_MNC, t_MNC))
    task_MN = -np.log(p_MNC[:, range(len(label_N)), label_N])
    other_MN = 1.8 * (t_MNC * np.log(t_MNC / p_MNC)).sum(2)
    cost_MN = np.stack([task_MN[0] + other_MN[1], task_MN[1] + other_MN[0]])
    paid_N = cost_MN[told["specialist"], range(len(label_N))]
    assert np.all(paid_N <= cost_MN.min(0) + 0.02)  # logits are kept in half precision
    assert 0 < told["specialist"].mean() < 1


def test_of_one_modality_the_teacher_says_what_it_makes_of_that_alone(finished_students, monkeypatch):
    monkeypatch.chdir(finished_students)
    data = prepared.load("data/features")
    ensemble = load(f"models/{TEACHER}.safetensors", builder("san", data.shape)).eval()
    (image, tokens, length), _ = data.batch(data.rows("train")[:9])
    with torch.no_grad():
        to_image = ensemble(image, torch.zeros_like(tokens[:, :1]), torch.ones_like(length))
        to_question = ensemble(torch.zeros_like(image), tokens, length)
    assert (to_image - to_question).abs().max() > 0.1
    _, *told = load_file(f"models/teachers/{TEACHER}.safetensors")["logits"][:, :, :9]
    np.testing.assert_allclose(told, torch.stack([to_image, to_question]), atol=0.02)


SHARED = ("stand_in", "features", "base", "specialize", "evaluate")


def test_dvc_has_computed_the_teachers_when_table1_has_run():
    """To its cache a stage is its command, inputs, params and outputs."""

    def computed(name):
        folder = ROOT / "pipelines" / name
        params = load_params(folder / "params.yaml")
        for each, entry in pipeline.resolved(pipeline.stages(folder / "dvc.yaml"), params).items():
            values = {section: pipeline.section(params, section) for section in entry.get("params", [])}
            keys = (*pipeline.paths(entry).values(), values)
            yield each.split("@")[0], entry["cmd"], json.dumps(keys, sort_keys=True)

    ours = {entry for entry in computed("students") if entry[0] in SHARED}
    assert {name for name, *_ in ours} == set(SHARED) and ours <= set(computed("table1"))


def test_who_finds_the_same_costs_leaves_the_milliseconds_in_git_as_they_are(clone):
    path, ran = (clone / f"{folder}/cost.json" for folder in ("metrics/environment", "scratch/ran"))
    before = path.read_text()
    run(clone, "dvc", "repro", "--quiet", "--force", "--single-item", "cost")
    assert path.read_text() == before != ran.read_text()
    assert executed(run(clone, "dvc", "repro", "students")) == []
    assert json.loads(ran.read_text())["latency"].keys() == {"san", "san_small"}


def test_milliseconds_of_other_costs_are_not_shown(clone):
    path = clone / "metrics/cost.json"
    path.write_text(path.read_text().replace('"words": ', '"words": 1'))
    done = stage(clone, "students", check=False)
    fault = "stages.students: metrics/environment/cost.json: was measured with another metrics/cost.json; "
    assert done.returncode == 1 and done.stderr.startswith(fault) and done.stderr.count("\n") == 1


def test_of_generalists_the_one_that_is_surest_of_the_answer_is_the_specialist():
    logits_MNC, label_N = torch.randn(3, 6, 4), torch.arange(6) % 4
    everybody = SimpleNamespace(generalist=True)
    chosen_MN = import_module("stages.teachers").assigned(everybody, logits_MNC, None, label_N, task, 0)
    for n, label in enumerate(label_N):
        surest = max(range(3), key=lambda m: logits_MNC[m, n].softmax(0)[label])
        assert chosen_MN[:, n].tolist() == [m == surest for m in range(3)]


class Enough(Exception):
    """All that a test wanted to see of a stage."""


@pytest.mark.parametrize(("small", "cell"), [(False, "cells/other"), (True, STUDENT)])
def test_each_example_is_taught_by_what_the_teacher_says_of_it(finished_students, monkeypatch, small, cell):
    monkeypatch.chdir(finished_students)
    told = torch.from_numpy(load_file(f"models/teachers/{TEACHER}.safetensors")["logits"][0]).float()
    logits, label, paid = torch.randn(1, 2, told.shape[2]), torch.tensor([0, 1]), []

    def fit(ensemble, data, loss, *others):
        paid.extend(loss(logits, label, torch.tensor([3, 1]), None)[0])
        raise Enough

    monkeypatch.setattr("stages.student.fit", fit)
    with pytest.raises(Enough):
        import_module("stages.student").main("san_small", "kd", TEACHER, 0, cell, small=small)
    kd = read("distill.methods.kd", modalities.Method)
    teacher = torch.stack([told[:, row].softmax(1).mean(0) for row in (3, 1)])
    expected = distill(logits[0], teacher, label, task, alpha=kd.alpha, temperature=kd.temperature)
    assert torch.allclose(torch.stack(paid), expected)


def test_a_file_that_does_not_answer_as_pytorch_is_not_written(clone, monkeypatch):
    monkeypatch.chdir(clone)
    before = outputs(clone)

    def exported(model, example):
        other = copy.deepcopy(model)
        for parameter in other.members.parameters():
            parameter.data.neg_()
        return export.exported(other, example)

    monkeypatch.setattr("stages.export.exported", exported)
    with pytest.raises(ValueError, match="in ONNX it does not answer as in PyTorch"):
        import_module("stages.export").main("san_small", STUDENT, "student", small=True)
    assert outputs(clone) == before


def test_without_weight_modalities_are_plain_distillation_to_the_last_bit(clone):
    def change(params):
        kd = params["distill"]["methods"]["kd"]
        params["distill"]["methods"]["msd_instance"] = kd | {"weights": "instance", "strength": 0.0}

    edit(clone, change)
    stage(clone, "student", "san_small", "msd_instance", TEACHER, "0", "cells/other")
    stage(clone, "student", "san_small", "kd", TEACHER, "0", "cells/kd")
    weights = [(clone / f"models/cells/{name}.safetensors").read_bytes() for name in ("other", "kd")]
    assert weights[0] == weights[1] == (clone / f"models/{STUDENT}.safetensors").read_bytes()


def test_killed_while_it_learns_weights_it_ends_in_the_same_bytes(clone):
    edit(clone, lambda params: params["distill"]["budgets"]["taught"].update(epochs=6, batch=16))
    arguments = ("san_small", "msd_meta", TEACHER, "0", "cells/killed")
    stage(clone, "student", *arguments)
    whole = outputs(clone)
    for path in clone.rglob("killed*"):
        path.unlink()
    command = [sys.executable, "-m", "stages.student", *arguments]
    with subprocess.Popen(command, cwd=clone, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(3):
            process.stderr.readline()
        process.send_signal(signal.SIGKILL)
    done = stage(clone, "student", *arguments)
    assert "epoch 1/6" not in done.stderr and outputs(clone) == whole


def test_another_teacher_or_weighting_is_another_student_and_no_other_stage(clone):
    done = run(clone, "dvc", "exp", "run", "-S", "distill.methods.kd.teacher=choice")
    expected = ["student", "evaluate_student", "blind_student", "students", "track"]
    expected += ["adapt", "export", "register"]
    assert sorted(executed(done)) == sorted(expected)
    client = MlflowClient(mlflow(clone))
    assert len(client.search_model_versions("name = 'student'")) == 1  # an experiment registers nothing


def test_a_table_of_students_that_its_cells_do_not_say_is_found(clone):
    fault = "metrics/table.json: is not what its cells say"
    assert fault not in verdict(clone)[1]
    forge(clone)
    assert fault in verdict(clone)[1]


def test_another_form_and_what_stands_for_the_absent_are_params(clone):
    change = ["-S", "distill.methods.msd_meta.form=mse", "-S", "distill.methods.msd_meta.absent=learned"]
    run(clone, "dvc", "exp", "run", *change, "blind_student@msd_meta-0")
    absent = load_file(clone / "models/absent/cells/san_small-msd_meta-s0.safetensors")
    assert absent["image"].any() and absent["word"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((PICTURE, "how many zebras are there"), "tools.ask: question: unknown words zebras; known: "),
        ((PICTURE, ""), "tools.ask: question: '' has no words"),
        (("params.yaml", "how many cubes are there"), "tools.ask: image: expected a PNG, found "),
        (("nowhere.png", "how many cubes are there"), "nowhere.png"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(finished_students, arguments, message):
    done = tool(finished_students, "ask", *arguments, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr


@pytest.mark.parametrize(
    ("section", "switches", "message"),
    [
        ("features.scene_cnn", [], "data/features/eyes.safetensors: not eyes of features.scene_cnn"),
        ("distill.small_eyes", ["--small"], "data/small/eyes.safetensors: not eyes of distill.small_eyes"),
    ],
)
def test_eyes_of_another_size_are_one_line(clone, section, switches, message):
    above, below = section.split(".")
    edit(clone, lambda params: params[above][below].update(width=8))
    done = stage(clone, "export", "san_small", STUDENT, "student", *switches, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr


def test_eyes_that_have_a_file_of_weights_are_not_exported(clone):
    change = {"eyes": "resnet101", "weights": "resnet101.pth"}
    edit(clone, lambda params: params["features"].update(change))
    done = stage(clone, "export", "san", TEACHER, "ensemble", check=False)
    assert done.returncode == 1 and done.stderr == (
        "stages.export: features.eyes: 'resnet101' has a weights file; scene_cnn alone learns\n"
    )


def test_the_student_to_be_used_looks_at_half_as_many_pixels_each_way(finished_students):
    sizes = [
        Onnx(finished_students / f"models/onnx/{name}.onnx").about["size"] for name in ("ensemble", "student")
    ]
    assert sizes == [[96, 128], [48, 64]]
    cost = json.loads((finished_students / "metrics/small_eyes.json").read_text())
    assert cost["small"]["flops"] < cost["wide"]["flops"] / 4


def test_a_student_learns_on_with_what_the_small_eyes_see_and_its_teacher_says(clone):
    path, arguments = clone / f"models/small/{STUDENT}.safetensors", (TEACHER, "0", STUDENT, "--small")
    before = path.read_bytes()
    stage(clone, "student", "san_small", "kd", *arguments)
    assert path.read_bytes() == before
    seen, said = clone / "data/small/images.npy", clone / f"models/teachers/{TEACHER}.safetensors"
    told = load_file(said) | {"logits": np.ascontiguousarray(load_file(said)["logits"][..., ::-1])}
    for file, change in [
        (seen, lambda: np.save(seen, np.load(seen)[:, ::-1])),
        (said, lambda: save_file(told, said)),
    ]:
        kept = file.read_bytes()
        change()
        stage(clone, "student", "san_small", "kd", *arguments)
        assert path.read_bytes() != before
        file.write_bytes(kept)
    # What learned otherwise, with the teacher, alpha and temperature of kd, learns on as that does.
    stage(clone, "student", "san_small", "msd_meta", *arguments)
    assert path.read_bytes() == before


def test_what_the_small_eyes_see_is_what_their_weights_see(finished_students, monkeypatch):
    monkeypatch.chdir(finished_students)
    data, eyes = prepared.load("data/small"), sight.small()
    pictures = official.read("data/stand_in", "val").images[:3]
    with torch.no_grad():
        map_NRF = eyes(extract.load(pictures, eyes.size)[0]).flatten(1, 2)
    first = data.questions["image"][data.rows("report")].min()
    np.testing.assert_allclose(data.images[first : first + 3].float(), map_NRF, atol=1e-2)
    assert data.meta["words"] == prepared.load("data/features").meta["words"]


def test_the_speeds_of_the_readme_come_in_one_table(finished_students):
    few = "from tools import load; load.SECONDS, load.NAMES = 2, ('student-int8',); load.main()"
    lines = run(finished_students, sys.executable, "-c", few).stdout.splitlines()
    head, rule, row = (line.split("|")[1:-1] for line in lines)
    assert len(head) == len(rule) == len(row) == 10 and row[0].strip() == "student-int8"
    assert all(float(number) > 0 for number in row[1:])


def test_asked_on_the_command_line_student_and_ensemble_answer(finished_students):
    question = "How many red cubes are there?"
    lines = tool(finished_students, "ask", PICTURE, question).stdout.splitlines()
    assert len(lines) == 3 and all("%" in line for line in lines)
    lines = tool(finished_students, "ask", PICTURE, question, "--ensemble").stdout.splitlines()
    assert [line.split(":")[0] for line in lines[3:]] == ["member 0", "member 1"]
    marked = {"specialist" in line: float(re.search(r"([\d.]+)%", line)[1]) for line in lines[3:]}
    assert marked[True] >= marked[False]


def text(picture):
    return base64.b64encode(picture).decode()


def huge():
    Image.new("L", (4097, 1)).save(file := io.BytesIO(), "PNG")
    return file.getvalue()


def ask(port, body):
    address, kind = f"http://127.0.0.1:{port}/invocations", {"Content-Type": "application/json"}
    request = urllib.request.Request(address, json.dumps(body).encode(), kind)
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_champion_answers_from_the_registry_and_refuses_in_one_line(finished_students, monkeypatch):
    """As in docs/serving.md: `python -m tools.serve models:/student@champion`, over HTTP."""
    monkeypatch.chdir(finished_students)
    whole = (finished_students / PICTURE).read_bytes()
    asked = {"image": text(whole), "question": "How many red cubes are there?"}
    server = Server("models:/student@champion")
    with server as port:
        status, said = ask(port, {"inputs": asked})
        assert status == 200
        (answer,) = said["predictions"]
        assert set(answer) == {"answer", "probability", "runners_up"} and len(answer["runners_up"]) == 3
        told = tool(finished_students, "ask", PICTURE, asked["question"]).stdout.splitlines()
        assert told[0].split() == [f"{answer['probability']:.1%}", answer["answer"]]
        in_lines = base64.encodebytes(whole).decode()
        assert ask(port, {"inputs": asked | {"image": in_lines}})[1] == said
        for change, message in [
            ({"question": "how many zebras"}, "question: unknown words zebras; known: "),
            ({"question": ""}, "question: '' has no words"),
            ({"question": None}, "question: is missing, expected text"),
            ({"image": None}, "image: is missing, expected text"),
            ({"image": "?"}, "image: not base64"),
            ({"image": "\u00e9"}, "image: not base64"),
            ({"image": text(b"GIF89a")}, "image: expected a PNG, found 6 bytes"),
            ({"image": text(whole[:200])}, "image: expected a PNG, but "),
            ({"image": text(huge())}, "image: expected a PNG, but 4097 x 1 pixels, the limit is 4096"),
        ]:
            status, said = ask(port, {"inputs": asked | change})
            assert status == 400 and said["message"].startswith(message) and "Traceback" not in str(said)
        for missing in asked:
            status, said = ask(port, {"inputs": {k: v for k, v in asked.items() if k != missing}})
            assert status == 400 and said["message"] == f"{missing}: is missing, expected text"
        pictures = [(path, asked["question"]) for path in sorted(Path(PICTURE).parent.iterdir())]
        assert not endure.endured(port, psutil.Process(server.process.pid), pictures, 400, seed=0)


def test_reproduce_fills_an_mlflow_that_is_empty_though_nothing_is_to_be_computed(clone):
    top = checkout(clone)
    (top / "mlflow.db").unlink()
    installed(top)
    done = run(top, "./reproduce", "pipelines/students")
    assert executed(done) == [] and "models:/student@champion is version 1" in done.stdout
    client = MlflowClient(mlflow(clone))
    cells = client.search_runs(
        [client.get_experiment_by_name("pipelines/students").experiment_id], "tags.kind = 'cell'"
    )
    assert len(cells) == 4 and run(clone, "git", "status", "--porcelain", "metrics").stdout == ""


def test_the_same_file_is_registered_once(clone):
    client = MlflowClient(mlflow(clone))
    before = client.get_model_version_by_alias("student", "champion").version
    assert f"is version {before}" in stage(clone, "register", "student").stdout
    assert len(client.search_model_versions("name = 'student'")) == 1
    path = clone / "models/onnx/student-int8.onnx"
    path.write_bytes(export.described(path.read_bytes(), Onnx(path).about | {"cell": "another"}))
    assert "is version 2" in stage(clone, "register", "student").stdout
    assert int(client.get_model_version_by_alias("student", "champion").version) == 2


def test_whoever_loads_the_champion_is_told_what_to_ask_and_what_to_install(finished_students, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow(finished_students))
    info = get_model_info("models:/student@champion")
    assert info.signature.inputs.input_names() == ["image", "question"]
    assert info.signature.outputs.input_names() == ["answer", "probability", "runners_up"]
    folder = Path(download_artifacts(info.model_uri))
    assert "red cubes" in (folder / info.saved_input_example_info["artifact_path"]).read_text()
    needed = (folder / "requirements.txt").read_text()
    assert "onnxruntime==" in needed and "torch" not in needed
