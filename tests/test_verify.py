"""`verify` finds nothing where nothing is stale, and whatever is, by its name; `prune` deletes leftovers."""

import hashlib
import json
import re
import shutil
from hashlib import md5
from importlib import import_module

import pytest
import yaml

from specialists.tracking.code import lists
from specialists.tracking.pipeline import sources
from tests.conftest import ROOT, edit, run, tool
from tools.prune import without
from tools.verify import collected, differences

TABLES = [ROOT / "metrics/table.json", *ROOT.glob("pipelines/*/metrics/table.json")]


def verdict(folder):
    done = tool(folder, "verify", check=False)
    assert done.returncode in (0, 1) and not done.stderr
    return done.returncode, done.stdout


@pytest.fixture(scope="module", params=[path.parents[1] for path in TABLES], ids=lambda path: path.name)
def committed(request):
    return request.param, tool(request.param, "verify", check=False)


def test_every_committed_number_follows_from_what_is_committed(committed):
    folder, done = committed
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
        lambda folder: rewrite(folder / "specialists/networks/san.py", "\n\n\n", "\n\n\nx = 1\n\n\n"),
        {
            "code",
            "base",
            "generalize",
            "specialize",
            "evaluate",
            "specialize_cell",
            "evaluate_cell",
            "distill",
        }
        | {"evaluate_generalists", "evaluate_student"},
        "code/networks/san.txt: is not what it was",
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
        lambda folder: run(folder, "git", "rm", "--quiet", "--cached", "specialists/networks/san.py"),
        {"specialists/networks/san.py"},
        "code of a stage, is not in git",
    ),
    "a number that is not in git": (
        lambda folder: run(folder, "git", "rm", "--quiet", "--cached", "metrics/cell.json"),
        {"evaluate_cell"},
        "metrics/cell.json: is not in git",
    ),
    "a picture": (
        lambda folder: (folder / "metrics/questions/san.png").write_bytes(b"another"),
        {"question"},
        "metrics/questions/san.png: is not what it was",
    ),
    "a table in the README": (
        lambda folder: rewrite(folder / "README.md", "| SAN | IE |", "| SAN | IE! |"),
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
        lambda folder: rewrite(
            folder / "dvc.lock",
            "metrics/cells/san-ie-s0.json\n      hash: md5\n      md5: ",
            "metrics/cells/san-ie-s0.json\n      hash: md5\n      sha: ",
        ),
        {"evaluate_generalists"},
        "is not what it was",
    ),
    "an input made anew": (
        lambda folder: rewrite(
            folder / "dvc.lock",
            "models/base/san-s0/m1.safetensors\n      hash: md5\n      md5: ",
            "models/base/san-s0/m1.safetensors\n      hash: md5\n      md5: 0",
        ),
        {"generalize", "specialize", "specialize_cell", "metrics/environment/base/san-m1-s0.json"},
        "models/base/san-s0: is not what it was",
    ),
    "a command": (
        lambda folder: rewrite(folder / "dvc.yaml", "stages.report", "stages.report --now"),
        {"report"},
        "its command was .*stages.report, is .*stages.report --now",
    ),
    "a list that no source makes": (
        lambda folder: rewrite(folder / "dvc.yaml", "code/evaluate.txt", "code/measure.txt"),
        {"evaluate_generalists"},
        "code/measure.txt: among its deps only in dvc.yaml",
    ),
    "a stage that never ran": (
        lambda folder: edit(folder, lambda p: p["table"].update(ks=[1, 2])),
        {"specialize", "evaluate", "report", "question", "specialties", "paired", "plots", "track"},
        "specialize@san-mcl-2-0 and 2 more: has never run",
    ),
}


def test_what_follows_from_a_stale_stage_is_named_after_it(bare):
    edit(bare, lambda params: params["base"].update(epochs=9))
    total, after = verdict(bare)[1].splitlines()[-1].split("; stale with them: ")
    everything = yaml.safe_load((bare / "dvc.lock").read_text())["stages"]
    assert set(after.split(", ")) == {n for n in everything if not re.match("code|stand_in|features|base", n)}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_stale_is_named_and_nothing_else(bare, change):
    make, stages, message = CHANGES[change]
    make(bare)
    code, text = verdict(bare)
    named = {line.split(":")[0].split("@")[0] for line in text.splitlines()[:-1]}
    assert code == 1 and named == stages, text
    assert re.search(message, text), text


@pytest.mark.parametrize(
    "split, name, value, message",
    [
        ("report", "top1", 99, "report.top1: 99, but by confidence "),
        ("select", "ece", 0.5, "select.ece: 0.5, but by confidence "),
        ("report", "oracle", 1.0, "report: no answers have these accuracies: "),
        ("report", "single_max", "much", "cannot be compared with metrics/families/cells/san-ie-s0.json"),
    ],
)
def test_a_forged_number_is_found_though_all_else_fits(bare, split, name, value, message):
    path = bare / "metrics/cells/san-ie-s0.json"
    cell = json.loads(path.read_text())
    cell[split][name] = value
    before = hashlib.md5(path.read_bytes()).hexdigest()
    path.write_text(json.dumps(cell))
    rewrite(bare / "dvc.lock", before, hashlib.md5(path.read_bytes()).hexdigest())
    assert f"metrics/cells/san-ie-s0.json: {message}" in verdict(bare)[1]


def test_groups_that_a_cell_cannot_have_are_found(bare):
    path = bare / "metrics/families/cells/san-ie-s0.json"
    families = json.loads(path.read_text())
    families["report"] = dict.fromkeys(families["report"], 99.5)
    before = hashlib.md5(path.read_bytes()).hexdigest()
    path.write_text(json.dumps(families))
    rewrite(bare / "dvc.lock", before, hashlib.md5(path.read_bytes()).hexdigest())
    assert ", but its groups have 99.5 to 99.5\n" in verdict(bare)[1]


@pytest.mark.parametrize("name, folder", [("slides", "vqa2"), ("sparse", "sparse")])
def test_a_table_that_is_not_what_it_was_collected_from_is_found(name, folder, tmp_path, monkeypatch):
    ignore = shutil.ignore_patterns("*.png", ".dvc", "models", "data", "scratch")
    shutil.copytree(ROOT / "pipelines" / folder, tmp_path / folder, ignore=ignore)
    monkeypatch.chdir(tmp_path / folder)
    stage, path = import_module(f"stages.{name}"), tmp_path / folder / f"metrics/{name}.json"
    assert not [*collected(stage, name)]
    path.write_text(re.sub(r"\d\.\d+", "9.9", path.read_text(), count=1))
    assert [*collected(stage, name)] == [
        f"metrics/{name}.json: is not what it was collected from; dvc repro --force --single-item {name}"
    ]


def test_words_for_people_are_no_difference(bare):
    rewrite(bare / "specialists/networks/san.py", "\n\n\n", "\n\n\n# words\n")
    assert verdict(bare)[0] == 0


def test_accepted_code_is_no_difference_and_is_counted(bare):
    params = yaml.safe_load((bare / "params.yaml").read_text())
    old, _ = lists(bare, params)["networks/san"]
    rewrite(bare / "specialists/networks/san.py", "\n\n\n", "\n\n\nx = 1\n\n\n")
    new, _ = lists(bare, params)["networks/san"]
    with open(bare / "accepted.csv", "a") as file:
        file.write(f".,networks/san,{old},{new},0123456,by hand\n")
    code, text = verdict(bare)
    depend = (bare / "dvc.lock").read_text().count("path: code/networks/san.txt")
    (count,) = re.search(r" 0 differences; (\d+) by older code, proved equal .docs/code.md.\n", text).groups()
    assert code == 0 and int(count) >= depend


def shrink(folder):
    edit(folder, lambda params: params["table"].update(methods=["mcl", "mcl_kd"]))


def test_a_stage_that_is_gone_is_no_difference_but_that_the_table_was_another(bare):
    shrink(bare)
    text = verdict(bare)[1]
    assert "only in dvc.lock: specialize@san-cmcl-1-0, 2 stages in all; python -m tools.prune" in text
    found = [line for line in text.splitlines()[:-1] if "table.methods was" not in line]
    assert {line.partition(":")[0] for line in found} <= {"only in dvc.lock", "README.md"}, text


def test_what_a_folder_held_may_hold_what_gone_stages_left_in_it_or_not(monkeypatch):
    """Who runs a smaller table in a fresh clone has fewer files than who ran the larger one before."""
    monkeypatch.setattr("tools.verify._tracked", list)
    stage, few, more = {"cmd": "true", "deps": ["m"]}, {"m/1": "a"}, {"m/1": "a", "m/2": "b"}
    folder = [{"md5": "a", "relpath": "1"}, {"md5": "b", "relpath": "2"}]
    found = [f"{md5(json.dumps(folder[:count]).encode()).hexdigest()}.dir" for count in (1, 2)]
    for then, differ in ((found[0], 0), (found[1], 0), ("another", 1)):
        entry = {"cmd": "true", "deps": [{"path": "m", "md5": then}]}
        assert len([*differences(stage, entry, {}, [few, more])]) == differ


def test_prune_deletes_what_is_left_over_and_nothing_else(bare):
    shrink(bare)
    before = {path for path in bare.glob("metrics/**/*") if path.is_file()}
    lock = yaml.safe_load((bare / "dvc.lock").read_text())["stages"]
    assert tool(bare, "prune").stdout.splitlines()[-1] == "2 stages deleted from dvc.lock"
    left = yaml.safe_load((bare / "dvc.lock").read_text())["stages"]
    assert left == {name: entry for name, entry in lock.items() if "-cmcl-1-0" not in name}
    gone = {path.relative_to(bare).as_posix() for path in before if not path.exists()}
    folders = ("cells", "curves/cells", "families/cells", "environment/cells")
    assert gone == {f"metrics/{folder}/san-cmcl-k1-s0.json" for folder in folders}
    assert "only in dvc.lock" not in verdict(bare)[1]
    assert tool(bare, "prune").stdout.splitlines()[-1] == "0 stages deleted from dvc.lock"


def test_prune_leaves_what_another_stage_makes_in_a_folder_of_a_gone_one(bare):
    with open(bare / "dvc.lock", "a") as lock:
        lock.write("  old:\n    cmd: old\n    outs:\n    - path: metrics/questions\n")
    (bare / "metrics/questions/old.png").write_bytes(b"")
    before = {path for path in bare.glob("metrics/**/*") if path.is_file()}
    tool(bare, "prune")
    after = {path for path in bare.glob("metrics/**/*") if path.is_file()}
    assert before - after == {bare / "metrics/questions/old.png"}


LOCK = """schema: '2.0'
stages:
  one:
    cmd: one
  two@a-1:
    cmd: two
    deps:
    - path: x
  three:
    cmd: three
"""


def test_the_rest_of_the_lock_stays_to_the_letter():
    assert without(LOCK, ["two@a-1"]) == LOCK.replace(
        "  two@a-1:\n    cmd: two\n    deps:\n    - path: x\n", ""
    )
    with pytest.raises(ValueError, match="not as DVC writes it; delete by hand: one"):
        without(LOCK.replace("  one:\n    cmd: one\n", "  one: {cmd: one}\n"), ["one"])


BROKEN = {
    "no pipeline": (lambda folder: (folder / "dvc.yaml").unlink(), "dvc.yaml: not found in .*; run from"),
    "no lock": (lambda folder: (folder / "dvc.lock").unlink(), "dvc.lock: not found in .*; nothing was ever"),
    "a conflict": (
        lambda folder: rewrite(folder / "dvc.lock", "stages:", "<<<<<<< HEAD\nstages:"),
        "dvc.lock: holds no stages",
    ),
    "a stage twice": (
        lambda folder: rewrite(folder / "dvc.lock", "stages:\n", "stages:\n  features:\n    cmd: x\n"),
        "dvc.lock: stages: features stands twice; delete all but one",
    ),
    "a command twice": (
        lambda folder: rewrite(folder / "dvc.lock", "  features:\n", "  features:\n    cmd: x\n"),
        "dvc.lock: stages: features: cmd stands twice; delete all but one",
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
    "no code": (
        lambda folder: (folder / "specialists/networks/san.py").unlink(),
        "params.yaml: networks.san: 'san' is not a file of specialists/networks",
    ),
    "no git": (lambda folder: shutil.rmtree(folder / ".git"), "git ls-files: .*not a git repository"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_verified_is_one_line(bare, case):
    make, message = BROKEN[case]
    make(bare)
    done = tool(bare, "verify", check=False)
    assert done.returncode == 1 and not done.stdout and done.stderr.count("\n") == 1
    assert re.search(message, done.stderr)
