"""The whole pipeline at smoke scale, run once in a copy through real `dvc repro`."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
# Of other pipelines all but the numbers, and of these the tables and machines, which the pages have.
SOURCES = r"pipelines/.*/(\.dvc/.*|\.dvcignore|dvc\.yaml|params\.yaml|table\.(md|csv|json)|environment/.*)"
# Several processes that each take all cores wait for each other. Bits that are equal on a CPU need not be on
# a GPU.
os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
os.environ |= {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
for name in ("MLFLOW_TRACKING_URI", "PYTHONPATH"):
    os.environ.pop(name, None)


def small(params):
    """params.yaml at a scale where every stage is over in a second or two."""
    params["world"] |= {"train_images": 40, "val_images": 10, "width": 160, "height": 120}
    params["features"]["scene_cnn"] |= {"rows": 3, "columns": 4, "channels": 16, "width": 4, "steps": 10}
    for settings in params["networks"].values():
        settings |= {"width": 4, "embedding": 8, "lstm": 8}
    distill = params["distill"]
    for budget in (params["base"], params["specialize"], *distill.get("budgets", distill).values()):
        if isinstance(budget, dict) and "epochs" in budget:
            budget |= {"epochs": 2, "batch": 64}
    params["table"] |= {"members": [0, 1], "ks": [1]}
    return params


def small_images(params):
    """The same of pipelines/cifar100_small, in the folder of the root."""
    params["code"] = "."
    params["world"] |= {"train_images": 300, "test_images": 100}
    params["data"]["select"] = 1
    params["features"]["whiten"] = "standard"
    params["networks"]["resnet20"]["width"] = 2
    for budget in (params["base"], params["specialize"], params["distill"]["budget"]):
        budget |= {"epochs": 1, "batch": 64}
    axes = {
        "generalists": ["ie", "ie_plus_fs"],
        "methods": ["cmcl", "mcl_kd_fs"],
        "members": [0, 1],
        "ks": [1],
    }
    params["table"] |= axes
    return params


def small_students(params):
    """The same of pipelines/students."""
    small(params)
    params["code"] = "."
    params["distill"]["small_eyes"] |= {"width": 4, "steps": 10}
    params["distill"]["adapt"] |= {"epochs": 1, "batch": 64}
    params["table"] = {"students": ["alone", "kd", "msd_meta"], "members": [0, 1], "seeds": [0]}
    return params


# `python -m NAME ARGUMENTS`, which then writes what files it has loaded, and sections of params.yaml read.
WITNESS = f"""#!{sys.executable}
import json, os, runpy, sys
sys.path[0] = os.getcwd()
from specialists import params
read, sections = params._section, []
params._section = lambda section, path: (sections.append(section), read(section, path))[1]
sys.argv[:2] = []
seen = os.environ["LOADED"] + "/" + " ".join(sys.argv).replace("/", ":") + ".json"
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
json.dump([files, sections], open(seen, "w"))
"""


def run(folder, *command, check=True, **environment):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=os.environ | environment)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def stage(folder, name, *arguments, check=True):
    return run(folder, sys.executable, "-m", f"stages.{name}", *arguments, check=check)


def edit(folder, change):
    """Change params.yaml in place: `change` gets the tree."""
    path = folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    change(tree)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A clone whose pipeline has run at smoke scale; tests that change something take `clone`."""
    return once(tmp_path_factory, "finished", small)


@pytest.fixture(scope="session")
def finished_cifar(tmp_path_factory):
    """The same for the pipeline of images."""
    return once(tmp_path_factory, "images", small_images, "cifar100", "cifar100_small")


@pytest.fixture(scope="session")
def finished_students(tmp_path_factory):
    """The same for the pipeline of students."""
    return once(tmp_path_factory, "students", small_students, "students", "students")


FIRST_HALF = ("test_students.py", "test_docs.py", "test_track.py")  # about half of the time


def pytest_collection_modifyitems(items):
    """Two processes begin with one half each: each half has tests of pipelines first and quick ones last.

    So one process makes one pipeline while the other makes another, and what they take from each other in the
    end is small.
    """
    slow = [item for item in items if any(name.startswith("finished") for name in item.fixturenames)]
    quick = [item for item in items if item not in slow]
    ours = [item for name in FIRST_HALF for item in slow if item.path.name == name]
    room = max(0, len(items) // 2 - len(ours))
    items[:] = ours + quick[:room] + [item for item in slow if item not in ours] + quick[room:]


def once(tmp_path_factory, name, *arguments):
    """A `reproduced` folder that one of the test processes makes for all of them; who comes second waits."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, made = shared / name / "specialists", shared / f"{name}.made"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            reproduced(folder, *arguments)
            made.touch()
    return folder


def reproduced(folder, shrink, pipeline=None, params=None):
    """A copy of the repository in which the pipeline of the root has run, or another in its place.

    What each stage has loaded is in loaded/ beside it.
    """
    files = run(ROOT, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout.split(
        "\0"
    )
    for name in filter(None, files):
        ours = name.startswith(("metrics/", "pipelines/")) or name == "dvc.lock"
        if (ROOT / name).exists() and (not ours or re.fullmatch(SOURCES, name)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    if pipeline:
        shutil.copy(ROOT / "pipelines" / pipeline / "dvc.yaml", folder)
        shutil.copy(ROOT / "pipelines" / params / "params.yaml", folder)
    edit(folder, shrink)
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "tests")
    run(folder, "git", "config", "user.email", "tests@localhost")
    witness, loaded = folder.parent / "bin/python", folder.parent / "loaded"
    for made in (witness.parent, loaded):
        made.mkdir()
    witness.write_text(WITNESS)
    witness.chmod(0o755)
    path = f"{witness.parent}:{os.environ['PATH']}"
    run(folder, "dvc", "repro", "--quiet", PATH=path, LOADED=str(loaded))
    if not pipeline:
        stage(folder, "pages")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "smoke scale")
    return folder


@pytest.fixture
def clone(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "specialists", symlinks=True)
