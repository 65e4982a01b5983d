"""tools.cluster on two nodes of loopback, each with its own cache: a small pipeline of real DVC stages."""

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from specialists.base.params import load
from specialists.tracking import pipeline
from tests.conftest import ROOT, environment, run
from tools import nodes as cluster_nodes
from tools import placing, plan

needs_ray = pytest.mark.skipif(not find_spec("ray"), reason="Ray is not installed: pip install .[cluster]")

# What our pipelines have: lists of code, a folder of several outputs, a part of an output, metrics in git.
BEGIN = """
stages:
  code:
    cmd: mkdir -p code && echo 1 > code/all.txt
    always_changed: true
    outs: [code]
  data:
    cmd: python work.py data data/numbers.txt data/meta.json
    params: [seed]
    deps: [code/all.txt, work.py]
    outs: [data]
"""
PIPELINE = (
    BEGIN
    + """\
  base:
    matrix: {member: [0, 1, 2]}
    cmd: python work.py base-${item.member} models/m${item.member}.bin metrics/curves/m${item.member}.json
    params: [base]
    deps: [data, code/all.txt]
    outs: ["models/m${item.member}.bin"]
    metrics:
    - metrics/curves/m${item.member}.json: {cache: false}
  cell:
    matrix: {method: [ie, mcl]}
    cmd: python work.py cell-${item.method} answers/${item.method}.bin metrics/cells/${item.method}.json
    deps: [data, models, code/all.txt]
    outs: ["answers/${item.method}.bin"]
    metrics:
    - metrics/cells/${item.method}.json: {cache: false}
  report:
    cmd: python work.py report metrics/table.md
    deps: [data/meta.json, metrics/cells]
    outs:
    - metrics/table.md: {cache: false}
  track:
    cmd: echo tracked >> tracked
    deps: [metrics/table.md]
"""
)
# A stage: what it writes follows from all that it finds; it says that it ran and whether it
# found its checkpoint, may be held, may fail.
WORK = """
import os, sys, time
from hashlib import md5
from pathlib import Path

name, *outs = sys.argv[1:]
told = Path(os.environ["TOLD"])
with open(told / "ran", "a") as log:
    log.write(f"{name} {Path(os.environ['NODE_CACHE']).parent.name if 'NODE_CACHE' in os.environ else ''}\\n")
checkpoint = Path("scratch", name)
checkpoint.parent.mkdir(exist_ok=True)
if checkpoint.exists():
    (told / f"resumed-{name}").touch()
checkpoint.touch()
while (told / f"hold-{name}").exists():
    time.sleep(0.05)
if (told / f"break-{name}").exists():
    sys.exit(f"{name}: the data are wrong")
reads = {"data": ["work.py"], "base": ["params.yaml", "data"], "cell": ["data", "models"]}
reads["report"] = ["data/meta.json", "metrics/cells"]
tops = [Path(top) for top in reads[name.partition("-")[0]]]
found = [path for top in tops for path in sorted({top, *top.rglob("*")})]
text = name + md5(b"".join(each.read_bytes() for each in found if each.is_file())).hexdigest()
for out in outs:
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(f'["{text}"]' if out.endswith("json") else text)
made = Path("metrics/environment", f"{name}.json")
made.parent.mkdir(parents=True, exist_ok=True)
made.write_text("{}")
checkpoint.unlink()
"""


def checkout(folder, remote, stages=PIPELINE):
    """A repository with our code, and a pipeline in a folder of it."""
    place = folder / "pipelines/toy"
    for name in ("specialists", "stages", "tools"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements.txt", "cluster.yaml", "accepted.csv", ".gitignore"):
        shutil.copy(ROOT / name, folder)
    (folder / "docs").mkdir()
    (folder / "README.md").write_text("\n")
    (place / ".dvc").mkdir(parents=True)
    (place / ".dvc/config").write_text("[core]\n    analytics = false\n")
    (place / ".gitignore").write_text(
        "/answers\n/tracked\n/scratch\n/.dvc/config.local\n/.dvc/tmp\n/.dvc/cache\n"
    )
    (place / "dvc.yaml").write_text(stages)
    (place / "params.yaml").write_text("compute: {mode: portable}\nseed: 0\nbase: 1\n")
    (place / "work.py").write_text(WORK)
    run(place, "dvc", "remote", "add", "--quiet", "--local", "--default", "storage", str(remote))
    for words in (["init", "--quiet"], ["config", "user.name", "a"], ["config", "user.email", "a@localhost"]):
        run(folder, "git", *words)
    commit(place)
    return place


def commit(place):
    run(place, "git", "add", "--all")
    run(place, "git", "commit", "--quiet", "--message", "change")


def top(place):
    return place.parents[1]


class Nodes:
    """A cluster on loopback, whose nodes are processes that one can kill."""

    def __init__(self, base):
        os.environ |= placing.QUIET | placing.LOOPBACK
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from ray.cluster_utils import Cluster
        self.base, self.given, self.nodes = (
            base,
            {"node_ip_address": "127.0.0.1", "include_dashboard": False},
            {},
        )
        self.given["object_store_memory"] = 80 << 20
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **self.given})
        for name in ("one", "two"):
            self.add(name)

    def add(self, name):
        told = {"SPECIALISTS_NODE": f"{self.base}/{name}", "TOLD": f"{self.base}/told"}
        told["SPECIALISTS_SCRATCH"] = f"{self.base}/scratch"  # which both share
        labels = {"machine": name}
        self.nodes[name] = self.cluster.add_node(
            num_cpus=1, node_name=name, env_vars=told, labels=labels, **self.given
        )

    def kill(self, name):
        self.cluster.remove_node(self.nodes.pop(name), allow_graceful=False)

    def start(self, place, *targets, **more):
        env = environment(**{"RAY_ADDRESS": self.cluster.address, "PYTHONPATH": str(top(place))} | more)
        words = [sys.executable, "-m", "tools.cluster", *targets]
        held = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(words, cwd=place, env=env, **held)

    def run(self, place, *targets, code=0):
        process = self.start(place, *targets)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == code, said
        return said

    def told(self, name, there=True):
        path = self.base / "told" / name
        path.touch() if there else path.unlink()

    def ran(self, name):
        log = (self.base / "told/ran").read_text().splitlines()
        return [line.split()[1:] for line in log if line.split()[0] == name]

    def begins(self, name, times):
        """Where a stage ran last, as soon as it has begun so many times."""
        deadline = time.monotonic() + 120
        while len(self.ran(name)) < times:
            assert time.monotonic() < deadline, f"{name} does not begin"
            time.sleep(0.1)
        return self.ran(name)[-1][0]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    base = tmp_path_factory.mktemp("cluster")
    (base / "told").mkdir()
    (made := Nodes(base)).base.joinpath("told/ran").touch()
    yield made
    made.cluster.shutdown()


@pytest.fixture(scope="module")
def computed(nodes):
    """A pipeline that the cluster has computed, and what it said."""
    place = checkout(nodes.base / "head", nodes.base / "remote")
    told = nodes.run(place)
    return place, told


def serial(place, folder):
    """dvc.lock and metrics of a serial `dvc repro` of what is committed."""
    told = folder / "told"
    told.mkdir()
    run(folder, "git", "clone", "--quiet", str(top(place)), "clone")
    copy = folder / "clone/pipelines/toy"
    run(copy, "git", "rm", "--quiet", "-r", "--ignore-unmatch", "dvc.lock", "metrics")
    run(copy, "dvc", "repro", "--quiet", TOLD=str(told))
    return numbers(copy)


def numbers(place):
    files = [place / "dvc.lock", *(place / "metrics").rglob("*")]
    return {str(path.relative_to(place)): path.read_text() for path in files if path.is_file()}


def change(place, base):
    path = place / "params.yaml"
    path.write_text(path.read_text().rpartition("base:")[0] + f"base: {base}\n")
    commit(place)


@needs_ray
def test_the_lock_is_that_of_a_serial_repro_and_data_are_in_the_remote(nodes, computed, tmp_path):
    place, told = computed
    assert "7 of 9 stages to do, on the cluster at 127.0.0.1:" in told and "[ 7/7] report on " in told
    assert numbers(place) == serial(place, tmp_path)
    assert {node for line in ("base-0", "base-1", "base-2") for [node] in nodes.ran(line)} == {"one", "two"}
    assert not (place / "models").exists() and (place / "tracked").read_text() == "tracked\n"
    run(place, "dvc", "pull")
    assert run(place, "dvc", "status", "--json").stdout == '{"code": ["always changed"]}\n'
    assert not list(nodes.base.glob("*/stage-*"))


@needs_ray
def test_what_is_up_to_date_is_not_asked_for_again_though_the_data_of_the_head_are_older(nodes, computed):
    place, _ = computed
    commit(place)
    (place / "models").mkdir(exist_ok=True)
    (place / "models/m0.bin").unlink(missing_ok=True)
    (place / "models/m0.bin").write_text("of last week")
    before, ran = numbers(place), (nodes.base / "told/ran").read_text()
    assert "the numbers are those in git" in nodes.run(place)
    assert numbers(place) == before and (nodes.base / "told/ran").read_text() == ran


@needs_ray
def test_what_nobody_has_is_computed_again_if_it_will_be_read(nodes, computed, tmp_path):
    place, _ = computed
    change(place, 5)
    run(place, "git", "clone", "--quiet", str(top(place)), str(tmp_path / "fresh"))
    fresh = tmp_path / "fresh/pipelines/toy"
    run(fresh, "dvc", "remote", "add", "--quiet", "--local", "--default", "storage", str(tmp_path / "empty"))
    for name in ("one", "two"):
        shutil.rmtree(nodes.base / name / "cache")
    times = len(nodes.ran("data"))
    assert "7 of 9 stages to do" in nodes.run(fresh)  # of which `data` alone is up to date
    assert len(nodes.ran("data")) == times + 1
    assert numbers(fresh) == serial(fresh, tmp_path)
    nodes.run(fresh)
    assert len(nodes.ran("data")) == times + 1


@needs_ray
def test_a_node_and_then_the_driver_are_killed_in_the_middle_of_a_stage(nodes, computed, tmp_path):
    place, _ = computed
    change(place, 2)
    nodes.told("hold-base-1")
    times = len(nodes.ran("base-1"))
    process = nodes.start(place)
    lost = nodes.begins("base-1", times + 1)
    nodes.kill(lost)
    other = nodes.begins("base-1", times + 2)
    assert other != lost and (nodes.base / "told/resumed-base-1").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    nodes.add(lost)
    nodes.told("hold-base-1", there=False)
    nodes.run(place)
    assert numbers(place) == serial(place, tmp_path)


@needs_ray
def test_after_a_failure_its_dependents_are_left_and_the_rest_is_done(nodes, computed, tmp_path):
    place, _ = computed
    change(place, 3)
    nodes.told("break-cell-ie")
    said = nodes.run(place, code=1)
    assert "FAILED cell@ie on " in said and ": the stage: cell-ie: the data are wrong (all of it: " in said
    assert "not run: report, which needs cell@ie\n" in said and " cell@mcl on " in said
    assert said.splitlines()[-1].startswith("tools.cluster: 1 failed, 1 not run: see above; the same command")
    nodes.told("break-cell-ie", there=False)
    times = len(nodes.ran("cell-mcl"))
    nodes.run(place)
    assert len(nodes.ran("cell-mcl")) == times and numbers(place) == serial(place, tmp_path)


@needs_ray
def test_a_remote_that_goes_away_ends_all_with_its_name_and_nothing_is_lost(nodes, computed, tmp_path):
    place, _ = computed
    change(place, 4)
    nodes.told("hold-base-0")
    times, remote = len(nodes.ran("base-0")), nodes.base / "remote"
    process = nodes.start(place, "base@0")
    nodes.begins("base-0", times + 1)
    remote.rename(nodes.base / "away")
    remote.touch()
    nodes.told("hold-base-0", there=False)
    said, _ = process.communicate(timeout=120)
    remote.unlink()
    (nodes.base / "away").rename(remote)
    assert process.returncode == 1 and "FAILED base@0 on " in said and ": pushing: ERROR: " in said
    for name in ("one", "two"):
        shutil.rmtree(nodes.base / name / "cache")
    assert "[ 6/6] report on " in nodes.run(place)
    assert len(nodes.ran("base-0")) == times + 1 and numbers(place) == serial(place, tmp_path)
    assert not [*(nodes.base / "scratch/toy/ungiven").iterdir()]


@needs_ray
def test_without_a_cluster_it_starts_one_and_names_a_row_that_no_node_satisfies(nodes, tmp_path):
    stages = PIPELINE.replace("[0, 1, 2]", "[0]").replace("[ie, mcl]", "[ie]")
    place = checkout(tmp_path / "head", tmp_path / "remote", stages)
    table = top(place) / "cluster.yaml"
    table.write_text("default: {cpus: 1, gpus: 8.0, memory: 0.0, machine: ''}\n")
    run(place, "git", "commit", "--quiet", "--all", "--message", "GPUs")
    row = "1 cpus, 8.0 gpus and 0.0 GiB"
    assert refused(place) == f"tools.cluster: cluster.yaml: data: no node of this machine has {row}\n"
    table.write_text((ROOT / "cluster.yaml").read_text())
    run(place, "git", "commit", "--quiet", "--all", "--message", "none")
    said = {"JOBS": "1", "TOLD": str(nodes.base / "told"), "SPECIALISTS_NODE": str(tmp_path / "node")}
    words = [sys.executable, "-m", "tools.cluster"]
    told = run(place, *words, PYTHONPATH=str(top(place)), **said).stdout
    assert "4 of 6 stages to do, on this machine: 1 nodes, 1 processors" in told
    assert numbers(place) == serial(place, tmp_path)


def test_a_node_with_another_torch_says_both_versions(tmp_path, monkeypatch):
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    pinned = cluster_nodes.version("torch").split("+")[0]
    monkeypatch.setattr(cluster_nodes, "version", {"torch": "1.0+cu1", "numpy": "0", "dvc": "0"}.get)
    found = cluster_nodes.unlike(tmp_path)
    assert found["failed"] == "its node" and found["said"].endswith(
        f" has torch 1.0, requirements.txt says {pinned}"
    )


@pytest.mark.parametrize(("mode", "named"), [("fast", True), ("portable", False)])
def test_in_fast_mode_several_processors_are_named(tmp_path, monkeypatch, capsys, mode, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(f"compute: {{mode: {mode}}}\n")
    placed = placing.Placed({}, {}, {}, (None, ".", {}), ({}, {}))
    placed.processors.update(["EPYC", "EPYC", "Xeon"])
    placed.conclude([])
    assert ("several: EPYC (2 stages), Xeon (1 stages)" in capsys.readouterr().out) is named


def test_as_many_stages_run_as_the_nodes_of_now_have_processors():
    def node(alive):
        return {"Alive": alive, "Resources": {"CPU": 1.0}}

    placed = placing.Placed({}, {name: {"outs": []} for name in "abc"}, {}.fromkeys("abc", set()), (), ())
    for nodes, ready in (([True], "a"), ([True, True], "ab"), ([True, True, False], "ab"), ([], "a")):
        placed.ray = SimpleNamespace(nodes=lambda nodes=nodes: [*map(node, nodes)])
        placed.jobs = placing.processors_of(placed.alive())
        assert placed.ready([*"abc"], []) == [*ready]
    assert placed.ready([*"bc"], ["a", "lost with its node"]) == []


def traced(place, **kill):
    """What tests/killing needs to know."""
    where = {"REPOSITORY": str(top(place)), "CHANGES": f"{top(place)}.changes", "COMMANDS": "tools.cluster"}
    paths = f"{ROOT / 'tests/killing'}:{top(place)}"
    return where | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"} | kill


def kinds(place):
    """What the driver changes, each once; of the clone by which it plans, nothing more will be read."""
    changes = Path(f"{top(place)}.changes").read_text().splitlines()
    laid = next(i for i, change in enumerate(changes) if "scratch/cluster/tmp" in change)
    first, swept = changes[: laid + 1], [change for change in changes if " push " in change]
    return [*dict.fromkeys(first + changes[changes.index(swept[0]) :])]


def drawn(changes):
    """`KILLS=all` kills at each, KILLS=9 at nine; the suite where a file of git is open and still empty."""
    if (kills := os.getenv("KILLS", "")).isdecimal():
        return random.Random(0).sample(changes, min(int(kills), len(changes)))
    return (
        changes if kills == "all" else [each for each in changes if "open pipelines/toy/metrics" in each][:1]
    )


@needs_ray
def test_the_driver_is_killed_wherever_it_writes(nodes, tmp_path, capsys):
    stages = PIPELINE.replace("[0, 1, 2]", "[0]").replace("[ie, mcl]", "[ie]")
    blank = checkout(tmp_path / "blank", nodes.base / "remote", stages)
    shutil.copytree(top(blank), tmp_path / "whole")
    process = nodes.start(whole := tmp_path / "whole/pipelines/toy", **traced(whole))
    said, _ = process.communicate()
    assert process.returncode == 0, said
    tried, kills = drawn(kinds(whole)), 0
    for i, at in enumerate(tried):
        shutil.copytree(top(blank), folder := tmp_path / f"at-{i}")
        place, when = folder / "pipelines/toy", "after" if " open " in at else "before"
        process = nodes.start(place, **traced(place, KILL_AT=at, KILL_WHEN=when))
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        nodes.run(place)
        assert numbers(place) == numbers(whole), at
        shutil.rmtree(folder)
    with capsys.disabled():
        print(f"\ntools.cluster: {kills} kills at {len(tried)} of {len(kinds(whole))} places")
    assert kills


def refused(place, *targets):
    done = run(
        place, sys.executable, "-m", "tools.cluster", *targets, check=False, PYTHONPATH=str(top(place))
    )
    assert done.returncode == 1
    return done.stderr


@needs_ray
def test_what_nodes_would_not_see_is_refused_by_name(tmp_path):
    place = checkout(tmp_path / "head", tmp_path / "remote")
    (top(place) / "stages/new.py").touch()
    (place / "params.yaml").write_text("compute: {mode: portable}\nseed: 1\nbase: 1\n")
    (top(place) / "README.md").write_text("prose may change\n")
    files = "pipelines/toy/params.yaml, stages/new.py"
    assert refused(place) == f"tools.cluster: nodes see what is committed, and this is not: {files}\n"
    run(top(place), "git", "checkout", ".")
    (top(place) / "stages/new.py").unlink()
    run(top(place), "git", "mv", "README.md", "stages/README.md")
    assert refused(place).endswith("and this is not: stages/README.md\n")
    run(top(place), "git", "reset", "--quiet", "--hard")
    (place / "dvc.yaml").write_text(PIPELINE.replace("work.py]", "work.py, scratch/mine]", 1))
    commit(place)
    assert refused(place).startswith(
        "tools.cluster: scratch/mine: read by a stage, made by none and not in git"
    )


def test_a_part_of_the_pipeline_holds_what_it_names_and_nothing_of_files_that_were_added():
    kinds = {"base": {"cmd": "x ${item.seed}", "matrix": {"seed": [0, 1, 2]}}, "data": {"cmd": "y"}}
    stages = {f"base@{seed}": {"item": {"seed": seed}} for seed in range(3)} | {"data": {"item": {}}}
    found = yaml.safe_load(plan.part(kinds, stages, ["base@2", "base@0", "data", "pictures.dvc"]))
    assert found == {"stages": {"base": kinds["base"] | {"matrix": {"seed": [2, 0]}}, "data": {"cmd": "y"}}}


@needs_ray
def test_data_that_were_added_to_dvc_reach_the_nodes(nodes, tmp_path):
    place = checkout(
        tmp_path / "head", tmp_path / "remote", PIPELINE.replace("work.py]", "work.py, mine]", 1)
    )
    (place / "mine").mkdir()
    (place / "mine/pictures.txt").write_text("1 2 3\n")
    run(place, "dvc", "add", "--quiet", "mine")
    commit(place)
    told = nodes.run(place, "data")
    assert "] data on " in told and not (place / "data").exists()
    entry = pipeline.stages(place / "dvc.lock")["data"]
    assert [dep["path"] for dep in entry["deps"]] == ["code/all.txt", "mine", "work.py"]
    run(place, "dvc", "pull", "--quiet", "data")
    assert (place / "data/numbers.txt").exists()
    (place / "mine/pictures.txt").write_text("1 2\n")
    expected = "tools.cluster: mine: not what mine.dvc says, and nodes get that; `dvc add mine`\n"
    assert refused(place) == expected
    run(place, "dvc", "checkout", "--quiet", "--force", "mine.dvc")
    run(place, "dvc", "remote", "modify", "--local", "storage", "url", str(tmp_path / "empty"))
    shutil.rmtree(place / ".dvc/cache")
    assert "mine.dvc: neither DVC's remote nor its cache here has" in refused(place)


@needs_ray
def test_mistakes_are_one_line(tmp_path):
    place = checkout(tmp_path / "head", tmp_path / "remote")
    assert "TARGET: " in refused(place, "bas") and "known: code, data, base" in refused(place, "bas")
    run(place, "dvc", "remote", "remove", "--local", "storage")
    assert refused(place).startswith(
        "tools.cluster: DVC has no remote, through which nodes get and give data"
    )


def test_what_is_joined_answers_and_is_not_private(tmp_path, monkeypatch):
    monkeypatch.setattr(placing, "CURRENT", tmp_path / "ray_current_cluster")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert placing.cluster() == ""
    with socket.create_server(("127.0.0.1", 0)) as head:
        shared, private = (f"{host}:{head.getsockname()[1]}" for host in ("localhost", "127.0.0.1"))
        for address, joined in ((shared, shared), (private, "")):
            placing.CURRENT.write_text(address)
            assert placing.cluster() == joined
        monkeypatch.setenv("RAY_ADDRESS", private)
        assert placing.cluster() == private
    for address in (private, "auto", "localhost:99999"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ValueError, match=f"^RAY_ADDRESS: .{address}.: no cluster answers"):
            placing.cluster()
    monkeypatch.delenv("RAY_ADDRESS")
    placing.CURRENT.write_text(shared)
    assert placing.cluster() == ""


def test_of_a_remote_that_fails_the_line_about_a_file_has_the_reason():
    counted = "ERROR: failed to push data to the cloud - 2 files failed to upload"
    reason = "ERROR: failed to transfer '18' - [Errno 28] No space left on device: 'a' -> 'b'"
    assert placing.said_of("pushing", f"cut ' - [Errno 28]\n{counted}\n{reason}\n{counted}\n") == reason
    assert placing.said_of("fetching", f"{counted}\n") == counted
    assert placing.said_of("the stage", f"{reason}\nthe data are wrong\n") == "the data are wrong"
    assert placing.said_of("the stage", "\n") == "it said nothing"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{cpus: 1}", "cluster.yaml: base.gpus: missing; known: cpus, gpus, memory, machine"),
        (
            "{cpus: 0, gpus: 0.5, memory: 0.0, machine: ''}",
            "cluster.yaml: base: 0 cpus, 0.5 gpus and 0.0 GiB: expected",
        ),
        ("{cpus: 1, gpus: 0.0, memory: 1 GB, machine: ''}", "base.memory: '1 GB' is str, expected float"),
    ],
)
def test_a_mistake_in_the_table_is_one_line(tmp_path, monkeypatch, row, message):
    monkeypatch.setattr(placing, "TABLE", tmp_path / "cluster.yaml")
    (tmp_path / "cluster.yaml").write_text(f"base: {row}\n")
    with pytest.raises(ValueError, match=message.replace("(", "\\(")):
        placing.needs("base@0-1")


def test_a_node_fits_by_what_it_has_when_idle_and_by_its_label(monkeypatch):
    node = {"Resources": {"CPU": 4.0, "memory": 8.0 * 2**30}, "Labels": {"machine": "epyc"}}
    for row, fits in (((4, 0, 8.0, "epyc"), True), ((5, 0, 0.0, ""), False), ((1, 1, 0.0, ""), False)):
        assert placing.Needs(*row).fit(node) is fits
    assert not placing.Needs(1, 0, 0.0, "xeon").fit(node)


@pytest.mark.parametrize("folder", [".", "pipelines/vqa2", "pipelines/students"])
def test_the_part_of_a_dvc_yaml_that_a_node_gets_has_its_stages_as_the_whole_has_them(folder):
    place = ROOT / folder
    kinds, params = pipeline.stages(place / "dvc.yaml"), load(place / "params.yaml")
    stages = pipeline.resolved(kinds, params)
    *_, name = (each for each in stages if "@" in each)
    for names in ([name], [*stages][::7], [*stages]):
        part = pipeline.resolved(pipeline.stages("", plan.part(kinds, stages, names)), params)
        assert {name: part[name] for name in names} == {name: stages[name] for name in names}
        assert {name.split("@")[0] for name in part} == {name.split("@")[0] for name in names}
    (one,) = pipeline.resolved(pipeline.stages("", plan.part(kinds, stages, [name])), params)
    assert one == name


def test_the_table_of_this_repository_has_rows_for_kinds_of_stages_alone():
    kinds = {kind for path in ROOT.glob("**/dvc.yaml") for kind in yaml.safe_load(path.read_text())["stages"]}
    rows = yaml.safe_load((ROOT / "cluster.yaml").read_text()).keys()
    assert rows <= {"default", *kinds} and placing.needs("default") and Path(placing.TABLE).parent == ROOT
