"""`verify` finds nothing where nothing is stale, and whatever is, by its name."""

import re
import shutil
import sys
from hashlib import md5

import pytest
import yaml

from specialists.pipeline import sources
from tests.conftest import ROOT, edit, run, stage

TABLES = [ROOT / "metrics/table.json", *ROOT.glob("pipelines/*/metrics/table.json")]


def verdict(folder):
    done = stage(folder, "verify", check=False)
    assert done.returncode in (0, 1) and not done.stderr
    return done.returncode, done.stdout


@pytest.mark.parametrize("folder", [path.parents[1] for path in TABLES])
def test_every_committed_number_follows_from_what_is_committed(folder):
    done = run(folder, "env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "stages.verify", check=False)
    assert done.returncode == 0, done.stdout


def test_what_follows_from_what_by_hand():
    """A stage reads a folder that others write into, or a file in a folder that another made."""
    stages = {
        "last": {"deps": ["y/z"], "outs": []},
        "second": {"deps": ["x"], "outs": ["y"]},
        "first": {"deps": [], "outs": ["x/1"]},
        "other": {"deps": ["xx"], "outs": ["x2/1"]},
    }
    assert sources(stages) == {
        "last": {"second", "first"},
        "second": {"first"},
        "first": set(),
        "other": set(),
    }


@pytest.fixture
def bare(finished, tmp_path):
    """What a reviewer has: the files in git."""
    folder = tmp_path / "bare"
    run(finished, "git", "clone", "--quiet", str(finished), str(folder))
    assert not (folder / "data").exists()
    return folder


def test_a_clone_without_data_is_verified(bare):
    assert verdict(bare)[0] == 0


def rewrite(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def forge(folder):
    """A better number in the table, with its md5 in the lock."""
    path, lock = folder / "metrics/table.json", folder / "dvc.lock"
    before = md5(path.read_bytes()).hexdigest()
    rewrite(path, '"mean": ', '"mean": 1')
    lock.write_text(lock.read_text().replace(before, md5(path.read_bytes()).hexdigest()))


def surplus(folder):
    machines = folder / "metrics/environment/cells"
    shutil.copy(machines / "san-ie-s0.json", machines / "nix.json")
    run(folder, "git", "add", "metrics")


CHANGES = {
    "a table that its cells do not say": (forge, {"metrics/table.json"}, "is not what its cells say"),
    "a machine without a cell": (
        surplus,
        {"metrics/environment/cells/nix.json"},
        "in git, but made by no stage; delete it",
    ),
    "code": (
        lambda folder: rewrite(folder / "specialists/networks/san.py", "\n", "\n\n"),
        {"base", "generalize", "specialize", "evaluate", "specialize_cell", "evaluate_cell", "distill"}
        | {"evaluate_generalists", "evaluate_student"},
        "specialists/networks/san.py: is not what it was",
    ),
    "a param": (
        lambda folder: edit(folder, lambda p: p["methods"]["cmcl"].update(beta=9.0)),
        {"specialize"},
        "methods.cmcl.beta was 0.75, is 9.0",
    ),
    "a param that a stage no longer names": (
        lambda folder: rewrite(
            folder / "dvc.yaml", 'networks.${item.network}", base]', 'networks.${item.network}"]'
        ),
        {"base"},
        "params.yaml: base: among its params only in dvc.lock",
    ),
    "a number": (
        lambda folder: rewrite(folder / "metrics/cells/san-ie-s0.json", '"top1": ', '"top1": 1'),
        {"evaluate_generalists", "report", "track"},
        "metrics/cells/san-ie-s0.json: is not what it was",
    ),
    "a missing number": (
        lambda folder: (folder / "metrics/cells/san-ie-s0.json").unlink(),
        {"evaluate_generalists", "report", "track"},
        r"\(missing, then",
    ),
    "code that is not in git": (
        lambda folder: run(folder, "git", "rm", "--quiet", "specialists/networks/san.py"),
        {"base", "generalize", "specialize", "evaluate", "specialize_cell", "evaluate_cell", "distill"}
        | {"evaluate_generalists", "evaluate_student"},
        "specialists/networks/san.py: is not in git",
    ),
    "a number that is not in git": (
        lambda folder: run(folder, "git", "rm", "--quiet", "--cached", "metrics/cell.json"),
        {"evaluate_cell"},
        "metrics/cell.json: is not in git",
    ),
    "a picture": (
        lambda folder: (folder / "metrics/questions/san-k1-s0.png").write_bytes(b"another"),
        {"question", "track"},
        "metrics/questions: is not what it was",
    ),
    "a table in the README": (
        lambda folder: rewrite(folder / "README.md", "| SAN | [IE]", "| SAN | [IE!]"),
        {"README.md"},
        "a table or its links are not as computed",
    ),
    "a table without its marker": (
        lambda folder: rewrite(folder / "README.md", "<!-- metrics/table.md -->\n", ""),
        {"metrics/table.md"},
        "0 times between markers",
    ),
    "no README": (
        lambda folder: (folder / "README.md").unlink(),
        {"README.md", "metrics/table.md"},
        "cannot be compared with the tables",
    ),
    "a number that no stage made": (
        lambda folder: (
            (folder / "metrics/more.json").write_text("{}"),
            run(folder, "git", "add", "metrics/more.json"),
        ),
        {"metrics/more.json"},
        "in git, but made by no stage; delete it",
    ),
    "a cell without its machine": (
        lambda folder: run(folder, "git", "rm", "--quiet", "metrics/environment/cells/san-ie-s0.json"),
        {"metrics/cells/san-ie-s0.json"},
        "without a machine in metrics/environment",
    ),
    "a lock without md5s": (
        lambda folder: rewrite(folder / "dvc.lock", "      md5: ", "      sha: "),
        {"stand_in"},
        "is not what it was",
    ),
    "an input made anew": (
        lambda folder: rewrite(
            folder / "dvc.lock",
            "models/base/san-s0/m1.safetensors\n      hash: md5\n      md5: ",
            "models/base/san-s0/m1.safetensors\n      hash: md5\n      md5: 0",
        ),
        {"generalize", "specialize", "specialize_cell"},
        "models/base/san-s0: is not what it was",
    ),
    "a command": (
        lambda folder: rewrite(folder / "dvc.yaml", "stages.report", "stages.report --now"),
        {"report"},
        "its command was .*stages.report, is .*stages.report --now",
    ),
    "a stage that is gone": (
        lambda folder: edit(folder, lambda p: p["table"].update(methods=["mcl", "cmcl"])),
        {"specialize", "evaluate", "report", "question", "plots", "track"},
        "specialize@san-mcl_kd-1-0: in dvc.lock, but no stage of dvc.yaml",
    ),
    "a stage that never ran": (
        lambda folder: edit(folder, lambda p: p["table"].update(ks=[1, 2])),
        {"specialize", "evaluate", "report", "question", "plots", "track"},
        "specialize@san-mcl-2-0: has never run",
    ),
}


def test_what_follows_from_a_stale_stage_is_named_after_it(bare):
    edit(bare, lambda params: params["base"].update(epochs=9))
    total, after = verdict(bare)[1].splitlines()[-1].split("; stale with them: ")
    everything = yaml.safe_load((bare / "dvc.lock").read_text())["stages"]
    assert set(after.split(", ")) == {n for n in everything if not re.match("stand_in|features|base", n)}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_stale_is_named_and_nothing_else(bare, change):
    make, stages, message = CHANGES[change]
    make(bare)
    code, text = verdict(bare)
    named = {line.split(":")[0].split("@")[0] for line in text.splitlines()[:-1]}
    assert code == 1 and named == stages, text
    assert re.search(message, text), text


BROKEN = {
    "no pipeline": (lambda folder: (folder / "dvc.yaml").unlink(), "dvc.yaml: not found in .*; run from"),
    "no lock": (lambda folder: (folder / "dvc.lock").unlink(), "dvc.lock: not found in .*; nothing was ever"),
    "a conflict": (
        lambda folder: rewrite(folder / "dvc.lock", "stages:", "<<<<<<< HEAD\nstages:"),
        "dvc.lock: holds no stages",
    ),
    "an empty file": (lambda folder: (folder / "dvc.yaml").write_text(""), "dvc.yaml: holds no stages"),
    "an axis that is no list": (
        lambda folder: edit(folder, lambda p: p["table"].update(seeds=0)),
        "dvc.yaml: base: seed: 0 is int, expected list",
    ),
    "stages that are none": (
        lambda folder: (folder / "dvc.lock").write_text("stages:\n"),
        "dvc.lock: holds no stages",
    ),
    "no git": (lambda folder: shutil.rmtree(folder / ".git"), "git ls-files: .*not a git repository"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_verified_is_one_line(bare, case):
    make, message = BROKEN[case]
    make(bare)
    done = stage(bare, "verify", check=False)
    assert done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)
