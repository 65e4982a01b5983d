"""Kill it anywhere and nothing is lost; every mistake of a user is one line that names it."""

import importlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from specialists.base import command
from tests.conftest import ROOT, edit, environment, run, stage

STAGES = {
    "base": ("san", "0", "0"),
    "specialize": ("san", "mcl_kd", "1", "0", "cells/san-mcl_kd-k1-s0"),
    "distill": ("san", "0", "cells/san-student-s0"),
}


def outputs(folder):
    kept = (path for root in ("models", "metrics") for path in (folder / root).rglob("*"))
    numbers = (p for p in sorted(kept) if p.is_file() and p.name[0] != "." and "environment" not in p.parts)
    return {p: p.read_bytes() for p in numbers}


def longer(params):
    for budget in (params["base"], params["specialize"], params["distill"]["budget"]):
        budget |= {"epochs": 12, "batch": 16}


@pytest.mark.parametrize("name", STAGES)
def test_killed_at_several_points_it_ends_in_the_same_bytes(clone, name):
    edit(clone, longer)
    before = outputs(clone)
    stage(clone, name, *STAGES[name])
    whole = {path: content for path, content in outputs(clone).items() if before[path] != content}
    for path in whole:
        path.unlink()
    words = [sys.executable, "-m", f"stages.{name}", *STAGES[name]]
    held = {"cwd": clone, "env": environment(), "stderr": subprocess.PIPE, "text": True}
    for _ in range(3):
        with subprocess.Popen(words, **held) as process:
            # Two epochs after it has started or gone on, somewhere inside the third.
            for _ in range(2):
                process.stderr.readline()
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    done = stage(clone, name, *STAGES[name])
    assert "epoch 1/12" not in done.stderr and "epoch 12/12" in done.stderr
    assert len(whole) >= 2 and outputs(clone) == before | whole
    assert not list((clone / "scratch").rglob("*.pt"))


@pytest.fixture
def blank(clone):
    """A clone in which nothing was ever computed."""
    for folder in ("models", "metrics", ".dvc/cache", "data", "code"):
        shutil.rmtree(clone / folder)
    (clone / "dvc.lock").unlink()
    return clone


def test_dvc_killed_between_and_inside_stages_goes_on(finished, blank):
    """The whole group is killed, as by a power cut, at several moments of `dvc repro`."""
    target = "evaluate@san-mcl_kd-1-0"
    for moment, seconds in (("stage 'features'", 1), ("stage 'base@san-0-0'", 0), ("stage 'specialize@", 2)):
        held = {"cwd": blank, "env": environment(), "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(["dvc", "repro", target], start_new_session=True, **held) as process:
            assert any(moment in line for line in process.stdout), "it was over before it could be killed"
            time.sleep(seconds)
            os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
    run(blank, "dvc", "repro", "--quiet", target)
    before, after = (yaml.safe_load((f / "dvc.lock").read_text())["stages"] for f in (finished, blank))
    assert target in after and after.items() <= before.items()
    made, whole = outputs(blank), outputs(finished)
    assert made and all(whole[finished / path.relative_to(blank)] == made[path] for path in made)


def test_a_full_disk_is_one_line_and_leaves_no_half_written_file(clone):
    target = clone / "models/base/san-s0/m0.safetensors"
    target.unlink()

    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    words = [sys.executable, "-m", "stages.base", *STAGES["base"]]
    env = environment(PYTHONDONTWRITEBYTECODE="1")  # which would be cut short too
    done = subprocess.run(words, cwd=clone, env=env, capture_output=True, text=True, preexec_fn=full)
    assert done.returncode == 1
    assert one_line(done.stderr).endswith("could not be written: File too large")
    assert not target.exists() and not list(target.parent.glob(".*"))


def one_line(text):
    """The last line, after lines of progress, which must be the only one that is not progress."""
    lines = [line for line in text.splitlines() if line and not re.match(r"\S+  epoch ", line)]
    assert len(lines) == 1, text
    return lines[0]


def poison(clone):
    path = clone / "data/features/images.npy"
    images = np.load(path, mmap_mode="r+")
    images[3] = np.nan
    images.flush()


def corrupt_questions(clone):
    path = clone / "data/features/questions.safetensors"
    path.write_bytes(path.read_bytes()[:100])


def no_split(clone):
    path = clone / "data/features/questions.safetensors"
    columns = load_file(path)
    save_file(columns | {"split": np.full_like(columns["split"], 1)}, path)


def other_vocabulary(clone):
    """Weights of another network: one word more than these have."""
    path = clone / "models/cells/san-ie-s0.safetensors"
    weights = load_file(path)
    name = "members.0.question.embedding.weight"
    save_file(weights | {name: np.append(weights[name], weights[name][:1], axis=0)}, path)


def change(*keys, to):
    def apply(clone):
        def inside(params):
            for key in keys[:-1]:
                params = params[key]
            params[keys[-1]] = to

        edit(clone, inside)

    return apply


def write(path, text):
    return lambda clone: (clone / path).write_text(text)


MISTAKES = {
    "misspelt method": (
        None,
        ("specialize", "san", "mckd", "1", "0", "cell"),
        "params.yaml: methods.mckd: missing; found beside it: ie, ie_plus, mcl,",
    ),
    "a method without a file": (
        change("methods", "mcl", to={"method": "mlc"}),
        ("specialize", "san", "mcl", "1", "0", "cell"),
        "method: 'mlc' is not a file of specialists/methods; known: cmcl, ie, ",
    ),
    "misspelt network": (
        None,
        ("base", "sam", "0", "0"),
        "params.yaml: networks.sam: missing; found beside it: mlp, san",
    ),
    "a network without a file": (
        change("networks", "san", "network", to="sam"),
        ("base", "san", "0", "0"),
        "network: 'sam' is not a file of specialists/networks; known: ban, box_san, butd, cti, mlp, "
        "question_only, relation, resnet20, resnet8, resnext101, san, vgg17",
    ),
    "mode unknown": (
        change("compute", "mode", to="fats"),
        ("base", "san", "0", "0"),
        "params.yaml: compute: mode: 'fats' is unknown; known: portable, fast",
    ),
    "compiled and portable": (
        change("compute", "compile", to=True),
        ("base", "san", "0", "0"),
        "params.yaml: compute: compile: true generates code for this processor; portable needs false",
    ),
    "format unknown": (
        change("data", "format", to="clever"),
        ("features",),
        "params.yaml: data.format: 'clever' is unknown; known: cifar100, clevr, clevr_pixels, pictures, vqa2",
    ),
    "a student of nobody": (
        change("distill", "teacher", to="mcl-k2"),
        ("code",),
        "params.yaml: distill.teacher: 'mcl-k2' is not among the rows of table; known: ie, ie_plus, mcl-k1",
    ),
    "a generalist among specialists": (
        change("table", "methods", to=["ie_plus"]),
        ("code",),
        "params.yaml: table.methods: the loss of 'ie_plus' takes no k; it belongs to table.generalists",
    ),
    "k too large": (None, ("specialize", "san", "mcl", "3", "0", "cell"), "K: '3' is out of range: 1 to 2"),
    "k not a number": (
        None,
        ("specialize", "san", "mcl", "one", "0", "cell"),
        "K: 'one' is out of range: 1 to 2",
    ),
    "argument missing": (None, ("base", "san", "0"), "2 arguments, expected 3: NETWORK MEMBER SEED"),
    "argument mistyped": (None, ("base", "san", "x", "0"), "MEMBER: 'x' is not int"),
    "param misspelt": (
        change("base", "epoch", to=3),
        ("base", "san", "0", "0"),
        "params.yaml: base.epoch: unknown key; known: epochs, ",
    ),
    "param mistyped": (
        change("base", "lr", to="5e-4"),
        ("base", "san", "0", "0"),
        "base.lr: '5e-4' is str, expected float",
    ),
    "param out of range": (
        change("base", "epochs", to=0),
        ("base", "san", "0", "0"),
        "base: epochs 0 and batch 32 must be at least 1",
    ),
    "method's param missing": (
        change("methods", "cmcl", to={"form": "exact"}),
        ("specialize", "san", "cmcl", "1", "0", "cell"),
        "params.yaml: methods.cmcl.beta: missing; known: beta, form",
    ),
    "form unknown": (
        change("methods", "cmcl", "form", to="exactly"),
        ("specialize", "san", "cmcl", "1", "0", "cell"),
        "params.yaml: methods.cmcl: form: 'exactly' is unknown; known: exact, stochastic",
    ),
    "no params": (lambda clone: (clone / "params.yaml").unlink(), ("report",), "params.yaml: not found in "),
    "features not finite": (poison, ("base", "san", "0", "0"), "the loss of row "),
    "features cut short": (
        corrupt_questions,
        ("base", "san", "0", "0"),
        "data/features: features cannot be read",
    ),
    "questions of no split": (
        no_split,
        ("specialize", "san", "mcl", "1", "0", "cell"),
        "data/features: no row is in train; run the features stage again",
    ),
    "weights of another network": (
        other_vocabulary,
        ("evaluate", "san", "cells/san-ie-s0"),
        "models/cells/san-ie-s0.safetensors: not weights of this network",
    ),
    "weights missing": (
        None,
        ("evaluate", "san", "cells/none"),
        "models/cells/none.safetensors: cannot be read",
    ),
    "metrics cut short": (
        write("metrics/cells/san-ie-s0.json", '{"a": '),
        ("report",),
        "metrics/cells/san-ie-s0.json: not JSON, perhaps cut short",
    ),
    "metrics of another shape": (
        write("metrics/cells/san-ie-s0.json", '{"parameters": 3, "select": []}'),
        ("report",),
        "metrics/cells/san-ie-s0.json: select.top1: found None, expected a number",
    ),
    "metrics that are no numbers": (
        write("metrics/cells/san-ie-s0.json", '{"parameters": NaN}'),
        ("report",),
        "metrics/cells/san-ie-s0.json: parameters: found nan, expected a number",
    ),
    "more right than all": (
        write("metrics/cells/san-ie-s0.json", '{"parameters": 3, "select": {"top1": 100.5}}'),
        ("report",),
        "metrics/cells/san-ie-s0.json: select.top1: found 100.5, expected a number from 0 to 100",
    ),
    "fewer than no parameters": (
        write("metrics/cells/san-ie-s0.json", '{"parameters": -3}'),
        ("report",),
        "metrics/cells/san-ie-s0.json: parameters: found -3, expected a number of at least 0",
    ),
    "curves of another shape": (
        write("metrics/curves/cells/san-mcl-k1-s0.json", "{}"),
        ("report",),
        "metrics/curves/cells/san-mcl-k1-s0.json: families: found None, expected counts for 90 families",
    ),
    "answers cut short": (
        write("models/answers/cells/san-mcl-k1-s0.safetensors", "x"),
        ("question", "san"),
        "models/answers/cells/san-mcl-k1-s0.safetensors: cannot be read",
    ),
    "a size that no network has": (
        change("networks", "san", "embedding", to=-1),
        ("base", "san", "0", "0"),
        "RuntimeError at specialists/networks/parts.py:",
    ),
    "a layer without units": (
        change("networks", "san", "hidden", to=0),
        ("base", "san", "0", "0"),
        "params.yaml: networks.san: attention 128, glimpses 2, hidden 0: expected 1 or more",
    ),
    "a layer of nothing": (
        change("networks", "san", "lstm", to=0),
        ("base", "san", "0", "0"),
        "params.yaml: networks.san: ",
    ),
    "fewer than no blocks": (
        change("networks", "san", "blocks", to=-1),
        ("base", "san", "0", "0"),
        "params.yaml: networks.san: blocks -1 and width ",
    ),
    "no glimpse": (
        change("networks", "san", "glimpses", to=0),
        ("base", "san", "0", "0"),
        "params.yaml: networks.san: attention 128, glimpses 0, hidden ",
    ),
    "a rate that changes its sign": (
        change("base", "factor", to=-1.0),
        ("base", "san", "0", "0"),
        "params.yaml: base: weight_decay 0.0 and factor -1.0 must be at least 0",
    ),
    "a member twice": (
        change("table", "members", to=[0, 0]),
        ("report",),
        "params.yaml: table: members: 0 stands twice",
    ),
    "a share without end": (
        change("data", "select", to=float("inf")),
        ("features",),
        "params.yaml: data.select: expected a finite number",
    ),
    "a billion rows of cells": (
        change("features", "scene_cnn", "rows", to=10**9),
        ("features",),
        "params.yaml: features.scene_cnn: rows: 1000000000 is out of range: 1 to 64",
    ),
    "a question of a billion words": (
        change("features", "longest", to=10**9),
        ("features",),
        "params.yaml: features: longest: 1000000000 is out of range: 1 to 1000",
    ),
    "a member below the first": (None, ("base", "san", "-1", "0"), "MEMBER -1 and SEED 0 must be at least 0"),
    "a decay that grows": (
        change("base", "weight_decay", to=-1.0),
        ("base", "san", "0", "0"),
        "params.yaml: base: weight_decay -1.0 and factor 0.1 must be at least 0",
    ),
    "more in a batch than there can be": (
        change("base", "batch", to=10**30),
        ("base", "san", "0", "0"),
        f"params.yaml: base: epochs 2 or batch {10**30} is beyond all data",
    ),
    "a cell elsewhere": (
        None,
        ("specialize", "san", "mcl", "1", "0", "../../../x"),
        "CELL: '../../../x': expected a name such as cells/NAME",
    ),
    "a cell without a name": (None, ("evaluate", "san", ""), "CELL: '': expected a name such as cells/NAME"),
    "a FIFO among the pictures": (
        lambda clone: os.mkfifo(clone / "data/stand_in/images/val/a.png"),
        ("features",),
        "data/stand_in/images/val/a.png: a FIFO, a socket or a device; expected a file",
    ),
    "a FIFO among the numbers": (
        lambda clone: os.mkfifo(clone / "metrics/cells/new.json"),
        ("report",),
        "metrics/cells/new.json: a FIFO, a socket or a device; expected a file",
    ),
    "a device for weights, before DVC reads it": (
        change("features", "weights", to="/dev/zero"),
        ("code",),
        "/dev/zero: a FIFO, a socket or a device; expected a file",
    ),
    "counts that no examples have": (
        write("metrics/curves/cells/san-mcl-k1-s0.json", json.dumps({"families": [[10**400, 0]] * 90})),
        ("report",),
        "metrics/curves/cells/san-mcl-k1-s0.json: families: found [[1000",
    ),
    "what nobody foresaw names what was read": (
        write("metrics/table.json", "{}"),
        ("plots",),
        "not foreseen: the last file read was metrics/table.json; TRACEBACK=1",
    ),
    "a seed twice": (
        change("table", "seeds", to=[0, 0]),
        ("report",),
        "params.yaml: table: seeds: 0 stands twice",
    ),
    "nothing held out": (
        change("data", "select", to=0.0),
        ("features",),
        "select: 0.0 of 110 train images is 0: nothing is left",
    ),
}


def called(name, *arguments):
    """A command line in this process, which is quicker; what a process does more, other tests see."""
    module = importlib.import_module(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *arguments])
        command.run(module.main)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(clone, mistake, monkeypatch, capsys):
    spoil, (name, *arguments), message = MISTAKES[mistake]
    if spoil:
        spoil(clone)
    before = outputs(clone)
    monkeypatch.chdir(clone)
    with pytest.raises(SystemExit) as ended:
        called(f"stages.{name}", *arguments)
    line = one_line(capsys.readouterr().err)
    assert ended.value.code == 1 and line.startswith(f"stages.{name}: ") and message in line
    assert outputs(clone) == before


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("params.yaml", os.mkfifo, "params.yaml: a FIFO, a socket or a device; expected a file or a folder"),
        ("paper.csv", os.mkfifo, "paper.csv: a FIFO, a socket or a device; expected a file or a folder"),
        ("params.yaml", lambda path: path.write_text("[" * 5000), "params.yaml: not YAML: maximum recursion"),
    ],
)
def test_params_are_spoilt_before_a_stage_is_imported(tmp_path, file, spoil, message):
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / file).unlink(missing_ok=True)
    spoil(tmp_path / file)
    done = subprocess.run(
        [sys.executable, "-m", "stages.report"],
        cwd=tmp_path,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and one_line(done.stderr).startswith(f"stages.report: {message}")


def test_what_nobody_foresaw_is_shown_whole_on_demand(clone, monkeypatch):
    change("networks", "san", "embedding", to=-1)(clone)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("TRACEBACK", "1")
    with pytest.raises(RuntimeError, match="-1"):
        called("stages.base", "san", "0", "0")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [(KeyboardInterrupt(), 130, "interrupted\n"), (MemoryError(), 1, "MemoryError at stages/report.py:")],
)
def test_an_interrupt_and_too_little_memory_are_one_line(error, code, message, monkeypatch, capsys):
    def fail(*_):
        raise error

    monkeypatch.setattr("stages.report.read", fail)
    with pytest.raises(SystemExit) as ended:
        called("stages.report")
    line = capsys.readouterr().err
    assert ended.value.code == code and line.startswith(f"stages.report: {message}") and line.count("\n") == 1


def test_who_reads_no_further_is_told_nothing(clone):
    done = run(clone, "sh", "-c", f"{sys.executable} -m tools.verify --help | true")
    assert not done.stderr


def test_where_nobody_can_be_told_nothing_else_is_said(tmp_path):
    for closed in ("2>&-", ">&-", ">&- 2>&-"):
        done = run(tmp_path, "sh", "-c", f"{sys.executable} -m tools.verify {closed}", check=False)
        assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr


def test_features_that_begin_like_a_zip_are_one_line(clone):
    (clone / "data/features/images.npy").write_bytes(b"PK\x03\x04" + bytes(200))
    done = stage(clone, "base", "san", "0", "0", check=False)
    assert "data/features: features cannot be read (File is not a zip file)" in one_line(done.stderr)


def test_a_mistake_ends_the_process_with_one_line(clone):
    done = stage(clone, "base", "san", "0", check=False)
    assert done.returncode == 1
    assert one_line(done.stderr) == "stages.base: 2 arguments, expected 3: NETWORK MEMBER SEED"


FILES = [*ROOT.glob("stages/*.py"), *ROOT.glob("tools/*.py")]
COMMANDS = sorted(f"{path.parent.name}.{path.stem}" for path in FILES if "\ndef main(" in path.read_text())


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_the_first_page_of_a_command(name, capsys):
    called(name, "--help")
    page = capsys.readouterr().out
    assert page.startswith(f"python -m {name}") and "writes  " in page


def test_written_json_is_never_nan(clone):
    for path in (clone / "metrics").rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)
