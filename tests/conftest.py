"""Every pipeline at smoke scale, each run once in a copy through real `dvc repro`."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from specialists.base import portable

# Before numpy and torch load, for tests that call stages in this process. `run` leaves it to those it starts.
assert not {"numpy", "torch"} & sys.modules.keys(), "loaded before tests/conftest.py, by a plugin of pytest?"
os.environ |= portable.VARIABLES
# Several processes that each take all cores wait for each other. Bits that are equal on a CPU need not be on
# a GPU.
os.environ |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
os.environ |= {"DVC_NO_ANALYTICS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
for name in ("MLFLOW_TRACKING_URI", "PYTHONPATH", "JOBS"):
    os.environ.pop(name, None)

import pytest  # noqa: E402
import yaml  # noqa: E402

from specialists.base.runtime import HAS_BF16  # noqa: E402
from tests import ready  # noqa: E402
from tests.ready import environment  # noqa: E402
from tests.shapes import shapes, table  # noqa: E402
from tools import small  # noqa: E402

ROOT = Path(__file__).parents[1]
needs_bf16 = pytest.mark.skipif(not HAS_BF16, reason="in bf16, torch has no LSTM without AVX-512")


def blocks(page, language):
    """The code of a page, README.md or one of docs/."""
    text = (ROOT / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def example(page, word):
    """The Python of a page in which a word stands."""
    (found,) = (block for block in blocks(page, "python") if word in block)
    return found


def installed(folder):
    """Let the scripts of a clone find that nothing needs to be installed."""
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/dvc").symlink_to(shutil.which("dvc"))
    (folder / ".venv/made-from").write_text(
        (folder / "requirements.txt").read_text() + (folder / "pyproject.toml").read_text()
    )


def run(folder, *command, check=True, **more):
    if command[0] in ("dvc", "python"):
        more = {"PATH": ready.path(folder)} | more
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment(**more))
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def stage(folder, name, *arguments, check=True):
    return run(folder, "python", "-m", f"stages.{name}", *arguments, check=check)


def tool(folder, name, *arguments, check=True):
    return run(folder, sys.executable, "-m", f"tools.{name}", *arguments, check=check)


def edit(folder, change):
    """Change params.yaml in place: `change` gets the tree."""
    path = folder / "params.yaml"
    tree = yaml.safe_load(path.read_text())
    change(tree)
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


@pytest.fixture(autouse=True)
def as_it_was():
    """How a stage that ran in this process has it compute is forgotten after the test."""
    yield
    if runtime := sys.modules.get("specialists.base.runtime"):
        runtime._mode = None


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A clone whose pipeline has run at smoke scale; tests that change something take `clone`."""
    return once(tmp_path_factory, "finished", ".")


@pytest.fixture(scope="session")
def finished_cifar(tmp_path_factory):
    """The same for the pipeline of images: its folder in a clone."""
    return once(tmp_path_factory, "images", "pipelines/cifar100")


@pytest.fixture(scope="session")
def finished_students(tmp_path_factory):
    """The same for the pipeline of students."""
    return once(tmp_path_factory, "students", "pipelines/students")


@pytest.fixture(scope="session")
def finished_pictures(tmp_path_factory):
    """The same for the pipeline of one's own pictures, about drawn ones."""
    return once(tmp_path_factory, "pictures", "pipelines/pictures", own)


def own(place):
    """A folder ~/zoo, taken in by the README's lines, and settings for so few pictures."""
    top = checkout(place)
    home = top.parent / "home"
    (home / "zoo").mkdir(parents=True)
    table(home / "zoo/train.csv", shapes(home / "zoo"))
    (lines,) = (block for block in blocks("README.md", "sh") if "~/zoo" in block)
    *taken, last = lines.strip().splitlines()
    assert last.startswith("./reproduce pipelines/pictures")
    run(top, "bash", "-euc", "\n".join(taken), HOME=str(home))

    def change(params):
        assert params["data"]["root"] == "data/zoo"
        params["table"] |= {"methods": ["mcl_kd"]}
        params["features"]["eyes"] |= {"width": 8, "steps": 400, "batch": 32, "lr": 0.01}
        for budget in (params["base"], params["specialize"], params["distill"]["budget"]):
            budget |= {"epochs": 15, "batch": 32}

    edit(place, change)


@pytest.fixture
def clone(finished, tmp_path):
    return copied(finished, tmp_path)


def copied(place, folder):
    """A clone's copy in `folder`, and there the same place; what DVC's cache holds, nobody writes again."""
    top, cache = checkout(place), f"{checkout(place)}/.dvc/cache/"

    def copy(source, target):
        (os.link if source.startswith(cache) else shutil.copy2)(source, target)

    shutil.copytree(top, folder / top.name, symlinks=True, copy_function=copy)
    return folder / top.name / place.relative_to(top)


def checkout(place):
    """The checkout that holds a pipeline's folder."""
    return next(up for up in (place, *place.parents) if (up / "stages").is_dir())


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


def once(tmp_path_factory, name, pipeline, change=lambda place: None):
    """A `reproduced` pipeline, made by one of the test processes for all of them; who comes second waits."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, made = shared / name, shared / f"{name}.made"
    with open(shared / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            reproduced(folder, pipeline, change)
            made.touch()
    return folder / "specialists" / pipeline


def reproduced(folder, pipeline, change):
    """A copy of the repository in folder/specialists in which a pipeline has run at smoke scale.

    `change` may change where it runs before that. What each stage has loaded is in folder/loaded.
    """
    loaded = folder / "loaded"
    loaded.mkdir(parents=True)
    place, top = small.prepare(ROOT, folder / "specialists", pipeline), folder / "specialists"
    run(top, "git", "config", "user.name", "tests")
    run(top, "git", "config", "user.email", "tests@localhost")
    change(place)
    run(place, "dvc", "repro", "--quiet", LOADED=str(loaded), CHECKOUT=str(top))
    tool(top, "pages")
    run(top, "git", "add", "--all")
    run(top, "git", "commit", "--quiet", "--message", "smoke scale")
    run(top, "git", "gc", "--quiet")  # a few files to be copied in place of hundreds
    return place
