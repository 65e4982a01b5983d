"""A refactoring is accepted if it is proved, and refused with the reason if not: in a tiny repository.

Its stages are plain Python. DVC runs its pipeline in one test, in the others a loop over the commands.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from specialists.base.files import md5
from specialists.tracking import pipeline
from tests.conftest import run
from tools import accept

ROOT = Path(__file__).parents[1]
FILES = {
    ".dvc/config": "[core]\n    analytics = false\n    autostage = false\n",
    ".gitignore": "scratch/\ncode/\nmodels/\n__pycache__/\n.dvc/tmp\n.dvc/cache\n",
    "accepted.csv": "pipeline,list,old,new,commit,evidence\n",
    "requirements.txt": "dvc==3\n",
    "stages/__init__.py": "",
    "tests/steps.py": """
import sys
from specialists.methods import some

print("some steps", some.loss([3, 1, 2], 2 if sys.argv[1] == "products" else 3))
""",
    "specialists/__init__.py": "",
    "specialists/loop.py": '''
import json
import os
from pathlib import Path


def fit(name, steps, step):
    """Repeat a step; what is left of a killed run counts."""
    path = Path("scratch") / f"{name}.pt"
    path.parent.mkdir(exist_ok=True)
    state = json.loads(path.read_text()) if path.exists() else [0, 1.0]
    for done in range(state[0], steps):
        state = [done + 1, step(state[1])]
        path.with_suffix(".draft").write_text(json.dumps(state))
        os.replace(path.with_suffix(".draft"), path)
    path.unlink()
    if not steps:
        state = [0, None]
    return state[1]
''',
    "specialists/networks/line.py": """
class Network(object):
    def answer(self, x):
        return 3.5 * x
""",
    "specialists/methods/all.py": "def loss(values, k):\n    return sum(values)\n",
    "specialists/methods/some.py": "def loss(values, k):\n    return sum(sorted(values)[:k])\n",
    "stages/code.py": """
from pathlib import Path
import yaml
from specialists.tracking import code

for name, text in code.written(".", yaml.safe_load(Path("params.yaml").read_text()), ".").items():
    Path("code", name).parent.mkdir(parents=True, exist_ok=True)
    Path("code", name).write_text(text)
""",
    "stages/base.py": """
import sys
from importlib import import_module
from pathlib import Path
from specialists.loop import fit

network, member = sys.argv[1:]
answer = import_module(f"specialists.networks.{network}").Network().answer
Path("models").mkdir(exist_ok=True)
value = fit(f"{network}-{member}", 2, lambda x: answer(x) + int(member))
Path(f"models/{network}-{member}").write_text(str(value))
""",
    "stages/specialize.py": """
import sys
from importlib import import_module
from pathlib import Path

network, method, k, seed, cell = sys.argv[1:]
loss = import_module(f"specialists.methods.{method}").loss
values = [float(path.read_text()) for path in sorted(Path("models").glob(f"{network}-[0-9]"))]
Path(f"models/{cell}").write_text(str(loss(values, int(k))))
""",
    "params.yaml": """
k: 1
code: .
compute: {mode: fast, threads: 1, compile: true}
networks: {line: {}}
methods: {all: {form: plain}, some: {form: plain}}
table: {networks: [line], methods: [all, some], members: [0, 1, 2, 3], ks: [1, 2], seeds: [0]}
""",
    "small.yaml": "compute: {compile: false}\ntable: {methods: [all], members: [0, 1, 2], ks: [1]}\n",
    "dvc.yaml": """
stages:
  code:
    cmd: python -m stages.code
    params: [networks, methods, table]
    deps: [specialists, stages, accepted.csv]
    outs: [code]
  base:
    matrix: {network: "${table.networks}", member: "${table.members}"}
    cmd: python -m stages.base ${item.network} ${item.member}
    params: [compute]
    deps: [code/base.txt, "code/networks/${item.network}.txt"]
    outs: ["models/${item.network}-${item.member}"]
  specialize:
    matrix: {network: "${table.networks}", method: "${table.methods}", k: "${table.ks}"}
    cmd: python -m stages.specialize ${item.network} ${item.method} ${item.k} 0 ${item.method}${item.k}
    params: ["methods.${item.method}", table.members]
    deps:
    - models/line-0
    - models/line-1
    - models/line-2
    - code/specialize.txt
    - code/methods/${item.method}.txt
    outs: ["models/${item.method}${item.k}"]
""",
}


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("accept") / "tiny"
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "specialists/tracking").mkdir()
    shutil.copy(ROOT / "specialists/tracking/code.py", folder / "specialists/tracking")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "tests")
    run(folder, "git", "config", "user.email", "tests@localhost")
    run(folder, "dvc", "repro", "--quiet")
    commit(folder)
    return folder


def commit(folder):
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "computed")


@pytest.fixture
def tiny(computed, tmp_path, monkeypatch):
    folder = shutil.copytree(computed, tmp_path / "tiny", symlinks=True)
    monkeypatch.setattr(accept, "ROOT", folder)
    monkeypatch.setattr("tools.small.ROOT", folder)
    return folder


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def digests(folder):
    run(folder, sys.executable, "-m", "stages.code")
    return {path.relative_to(folder): path.read_text() for path in folder.glob("code/**/[a-e,g-z]*.txt")}


@pytest.fixture
def quick(tiny, monkeypatch):
    """In place of `dvc repro`: the commands of what it is asked for, one after another."""

    def repro(command, cwd, env, **_):
        params = yaml.safe_load((cwd / "params.yaml").read_text())
        stages = pipeline.resolved(pipeline.stages(cwd / "dvc.yaml"), params)
        before = pipeline.sources({name: pipeline.paths(stage) for name, stage in stages.items()})
        wanted = [name for name in stages if name in command]
        path = cwd / "dvc.lock"
        lock = pipeline.stages(path) if path.exists() else {"code": {"cmd": ""}}
        for name in sorted({*wanted}.union(*(before[each] for each in wanted))):
            done = real(stages[name]["cmd"], shell=True, cwd=cwd, env=env)
            if done.returncode:
                return done
            if name != "code":
                outs = [{"path": out, "md5": md5(cwd / out)} for out in stages[name]["outs"]]
                lock[name] = {"cmd": "", "outs": outs}
        path.write_text(yaml.safe_dump({"stages": lock}))
        return done

    def instead(command, **more):
        return (repro if command[0] == "dvc" else real)(command, **more)

    real = subprocess.run
    monkeypatch.setattr(accept.subprocess, "run", instead)
    return tiny


def refused(folder):
    before = (folder / "accepted.csv").read_text()
    with pytest.raises(ValueError) as error:
        accept.main("HEAD")
    assert (folder / "accepted.csv").read_text() == before
    return str(error.value)


def test_what_keeps_the_bits_is_accepted(tiny):
    before = digests(tiny)
    replace(tiny / "specialists/loop.py", "step(state[1])]", "step(state[-1])]")
    replace(tiny / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[0:k])")
    assert digests(tiny) != before
    accept.main("HEAD")
    assert digests(tiny) == before
    rows = [row.split(",") for row in (tiny / "accepted.csv").read_text().splitlines()[1:]]
    assert [row[:2] for row in rows] == [[".", "base"], [".", "methods/some"]]
    assert rows[0][5].startswith("7 outputs equal at smoke scale; 1 stages went on after a kill; ")


def test_another_number_is_refused_by_the_name_of_its_output(quick):
    replace(quick / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[-k:])")
    assert refused(quick).startswith(".: models/some1: was ")


def test_a_new_line_must_have_run(quick):
    replace(
        quick / "specialists/loop.py", "path.unlink()", "path.unlink()\n    if not state:\n        state = 1"
    )
    assert (
        refused(quick)
        == "specialists/loop.py: 'if not state:' is new, and never went on in one of its ways at smoke scale"
    )


def test_a_new_line_that_runs_after_a_kill_has_run(quick):
    new = "    if state[0]:\n        pass\n    for done in range(*state[:1], steps)"
    replace(quick / "specialists/loop.py", "    for done in range(state[0], steps)", new)
    accept.main("HEAD")
    assert ".,base," in (quick / "accepted.csv").read_text()


def test_a_line_that_is_gone_must_have_run(quick):
    replace(quick / "specialists/loop.py", "    if not steps:\n        state = [0, None]\n", "")
    assert refused(quick).startswith("specialists/loop.py: 'if not steps:' is gone now, and never went on")


SOME = "    return sum(sorted(values)[:k])"


def test_a_new_condition_must_have_gone_both_ways(quick):
    replace(quick / "specialists/methods/some.py", SOME, f"    if k > 1:\n        k += 0\n{SOME}")
    accept.main("HEAD")
    commit(quick)
    replace(quick / "specialists/methods/some.py", "if k > 1:", "if values:")
    assert refused(quick).startswith("specialists/methods/some.py: 'if values:' is new, and never went on")


def test_what_runs_where_a_run_fails_need_not_run(quick):
    fails = "    if not values:\n        none = 'no'\n        raise ValueError(none)\n"
    replace(quick / "specialists/methods/some.py", SOME, fails + SOME)
    accept.main("HEAD")
    assert ".,methods/some," in (quick / "accepted.csv").read_text()


def test_what_can_also_be_left_without_failing_must_run(quick):
    fails = "    if not values:\n        if k:\n            return k\n        raise ValueError(k)\n"
    replace(quick / "specialists/methods/some.py", SOME, fails + SOME)
    assert refused(quick).startswith(
        "specialists/methods/some.py: 'if not values:' is new, and never went on in one"
    )


def test_words_for_people_need_no_proof(tiny, capsys):
    replace(tiny / "specialists/loop.py", '"""Repeat a step;', '"""Repeat one step;')
    replace(tiny / "specialists/loop.py", "    return state[1]", "    return state[1]  # all there is")
    accept.main("HEAD")
    assert capsys.readouterr().out.startswith("nothing to accept: ")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [("params.yaml", "some: {form: plain}", "some: {form: sharp}"), ("requirements.txt", "dvc==3", "dvc==4")],
)
def test_more_than_code_is_refused(tiny, name, old, new):
    replace(tiny / "specialists/loop.py", "[0, 1.0]", "[0, +1.0]")
    replace(tiny / name, old, new)
    assert refused(tiny) == f"{name} is not that of HEAD: compute the numbers again"


def test_a_combination_that_smoke_scale_lacks_is_refused(tiny):
    replace(
        tiny / "params.yaml", "ks: [1, 2]", "ks: [1, 4]"
    )  # all four, where at smoke scale there are three
    run(tiny, "dvc", "repro", "--quiet")
    commit(tiny)
    replace(tiny / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[0:k])")
    assert refused(tiny) == ".: specialize@line-some-4: no stage at smoke scale runs the same code"


def test_a_new_constant_is_refused(tiny):
    replace(tiny / "specialists/loop.py", "return state[1]", "return state[1] if steps < 512 else state[0]")
    assert refused(tiny) == "specialists/loop.py: 512 is a new constant, which smoke scale may not reach"


def test_numbers_that_other_code_computed_are_left_alone(tiny, capsys):
    replace(tiny / "specialists/loop.py", "[0, 1.0]", "[0, +1.0]")
    commit(tiny)
    replace(tiny / "specialists/loop.py", "[0, +1.0]", "[0, 1.0 + 0]")
    accept.main("HEAD")
    assert capsys.readouterr().out.startswith("nothing to accept: ")
