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
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.models import get_model_info
from PIL import Image
from safetensors.numpy import load_file, save_file

from specialists import export, modalities, students
from specialists.answering import Onnx
from specialists.data import prepared
from specialists.distillation import distill
from specialists.ensemble import load
from specialists.networks import network
from specialists.params import read
from stages.load import Server
from tests.conftest import edit, run, stage
from tests.test_pipeline import executed
from tests.test_reliability import outputs
from tests.test_verify import forge, verdict

TEACHER, STUDENT = "cells/san-mcl_kd-k1-s0", "cells/san_small-kd-s0"
PICTURE = "data/stand_in/images/val/CLEVR_val_000000.png"


@pytest.fixture
def clone(finished_students, tmp_path):
    return run(tmp_path, "cp", "-r", str(finished_students), "specialists") and tmp_path / "specialists"


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
    client = MlflowClient(f"sqlite:///{finished_students}/mlflow.db")
    found = client.search_runs([client.get_experiment_by_name("table").experiment_id], "tags.kind = 'cell'")
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
    build = partial(read, "networks.san", network("san"), *data.shape)
    ensemble = load(f"models/{TEACHER}.safetensors", build).eval()
    (image, tokens, length), _ = data.batch(data.rows("train")[:9])
    with torch.no_grad():
        to_image = ensemble(image, torch.zeros_like(tokens[:, :1]), torch.ones_like(length))
        to_question = ensemble(torch.zeros_like(image), tokens, length)
    assert (to_image - to_question).abs().max() > 0.1
    _, *told = load_file(f"models/teachers/{TEACHER}.safetensors")["logits"][:, :, :9]
    np.testing.assert_allclose(told, torch.stack([to_image, to_question]), atol=0.02)


class Enough(Exception):
    """All that a test wanted to see of a stage."""


@pytest.mark.parametrize(("name", "cell"), [("student", "cells/other"), ("adapt", STUDENT)])
def test_each_example_is_taught_by_what_the_teacher_says_of_it(finished_students, monkeypatch, name, cell):
    monkeypatch.chdir(finished_students)
    told = torch.from_numpy(load_file(f"models/teachers/{TEACHER}.safetensors")["logits"][0]).float()
    logits, label, paid = torch.randn(1, 2, told.shape[2]), torch.tensor([0, 1]), []

    def fit(ensemble, data, loss, *others):
        paid.extend(loss(logits, label, torch.tensor([3, 1]), None)[0])
        raise Enough

    monkeypatch.setattr(f"stages.{name}.fit", fit)
    with pytest.raises(Enough):
        import_module(f"stages.{name}").main("san_small", "kd", TEACHER, 0, cell)
    kd = read("distill.methods.kd", modalities.Method)
    teacher = torch.stack([told[:, row].softmax(1).mean(0) for row in (3, 1)])
    expected = distill(logits[0], teacher, label, alpha=kd.alpha, temperature=kd.temperature)
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
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    assert len(client.search_model_versions("name = 'student'")) == 1  # an experiment registers nothing


def test_the_table_has_the_modalities_that_are_measured():
    assert students.MODALITIES == modalities.MODALITIES


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
        ((PICTURE, "how many zebras are there"), "stages.ask: question: unknown words zebras; known: "),
        ((PICTURE, ""), "stages.ask: question: '' has no words"),
        (("README.md", "how many cubes are there"), "stages.ask: image: expected a PNG, found "),
        (("nowhere.png", "how many cubes are there"), "nowhere.png"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(finished_students, arguments, message):
    done = stage(finished_students, "ask", *arguments, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr


@pytest.mark.parametrize(
    ("section", "switches", "message"),
    [
        ("features.scene_cnn", [], "models/eyes.safetensors: not eyes of features.scene_cnn"),
        ("distill.small_eyes", ["--small"], "models/small/eyes.safetensors: not eyes of distill.small_eyes"),
    ],
)
def test_eyes_of_another_size_are_one_line(clone, section, switches, message):
    above, below = section.split(".")
    edit(clone, lambda params: params[above][below].update(width=8))
    done = stage(clone, "export", "san_small", STUDENT, "student", *switches, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and message in done.stderr


def test_the_student_to_be_used_looks_at_half_as_many_pixels_each_way(finished_students):
    sizes = [
        Onnx(finished_students / f"models/onnx/{name}.onnx").about["size"] for name in ("ensemble", "student")
    ]
    assert sizes == [[96, 128], [48, 64]]
    cost = json.loads((finished_students / "metrics/small_eyes.json").read_text())
    assert cost["small"]["flops"] < cost["wide"]["flops"] / 4


def test_a_student_learns_on_with_what_the_small_eyes_see_and_its_teacher_says(clone):
    path, arguments = clone / f"models/small/{STUDENT}.safetensors", ("kd", TEACHER, "0", STUDENT)
    before = path.read_bytes()
    stage(clone, "adapt", "san_small", *arguments)
    assert path.read_bytes() == before
    for file, change in [
        ("models/small/eyes.safetensors", lambda name, x: x[:, ::-1] if x.ndim == 4 else x),
        (f"models/teachers/{TEACHER}.safetensors", lambda name, x: x[..., ::-1] if name == "logits" else x),
    ]:
        kept = (clone / file).read_bytes()
        told = {name: np.ascontiguousarray(change(name, x)) for name, x in load_file(clone / file).items()}
        save_file(told, clone / file)
        stage(clone, "adapt", "san_small", *arguments)
        assert path.read_bytes() != before
        (clone / file).write_bytes(kept)
    # What learned otherwise, with the teacher, alpha and temperature of kd, learns on as that does.
    stage(clone, "adapt", "san_small", "msd_meta", *arguments[1:])
    assert path.read_bytes() == before


def test_the_speeds_of_the_readme_come_in_one_table(finished_students):
    few = "from stages import load; load.SECONDS, load.NAMES = 0.5, ('student-int8',); load.main()"
    lines = run(finished_students, sys.executable, "-c", few).stdout.splitlines()
    head, rule, row = (line.split("|")[1:-1] for line in lines)
    assert len(head) == len(rule) == len(row) == 10 and row[0].strip() == "student-int8"
    assert all(float(number) > 0 for number in row[1:])


def test_asked_on_the_command_line_student_and_ensemble_answer(finished_students):
    question = "How many red cubes are there?"
    lines = stage(finished_students, "ask", PICTURE, question).stdout.splitlines()
    assert len(lines) == 3 and all("%" in line for line in lines)
    lines = stage(finished_students, "ask", PICTURE, question, "--ensemble").stdout.splitlines()
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
    """As in the README: `mlflow models serve -m models:/student@champion`, over HTTP."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{finished_students}/mlflow.db")
    whole = (finished_students / PICTURE).read_bytes()
    asked = {"image": text(whole), "question": "How many red cubes are there?"}
    with Server("models:/student@champion") as port:
        status, said = ask(port, {"inputs": asked})
        assert status == 200
        (answer,) = said["predictions"]
        assert set(answer) == {"answer", "probability", "runners_up"} and len(answer["runners_up"]) == 3
        told = stage(finished_students, "ask", PICTURE, asked["question"]).stdout.splitlines()
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


def test_reproduce_fills_an_mlflow_that_is_empty_though_nothing_is_to_be_computed(clone):
    (clone / "mlflow.db").unlink()
    (clone / ".venv").mkdir()  # which then is not made
    (clone / ".venv/requirements.txt").write_bytes((clone / "requirements.txt").read_bytes())
    done = run(clone, "./reproduce")
    assert executed(done) == [] and "models:/student@champion is version 1" in done.stdout
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    cells = client.search_runs([client.get_experiment_by_name("table").experiment_id], "tags.kind = 'cell'")
    assert len(cells) == 4 and run(clone, "git", "status", "--porcelain", "metrics").stdout == ""


def test_the_same_file_is_registered_once(clone):
    client = MlflowClient(f"sqlite:///{clone}/mlflow.db")
    before = client.get_model_version_by_alias("student", "champion").version
    assert f"is version {before}" in stage(clone, "register", "student").stdout
    assert len(client.search_model_versions("name = 'student'")) == 1
    path = clone / "models/onnx/student-int8.onnx"
    path.write_bytes(export.described(path.read_bytes(), Onnx(path).about | {"cell": "another"}))
    assert "is version 2" in stage(clone, "register", "student").stdout
    assert int(client.get_model_version_by_alias("student", "champion").version) == 2


def test_whoever_loads_the_champion_is_told_what_to_ask_and_what_to_install(finished_students, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{finished_students}/mlflow.db")
    info = get_model_info("models:/student@champion")
    assert info.signature.inputs.input_names() == ["image", "question"]
    assert info.signature.outputs.input_names() == ["answer", "probability", "runners_up"]
    folder = Path(download_artifacts(info.model_uri))
    assert "red cubes" in (folder / info.saved_input_example_info["artifact_path"]).read_text()
    installed = (folder / "requirements.txt").read_text()
    assert "onnxruntime==" in installed and "torch" not in installed
