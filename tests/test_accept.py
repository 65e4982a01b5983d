"""A refactoring is accepted if it is proved, and refused with the reason if not: in a tiny repository.

Its stages are plain Python. DVC runs its pipeline in one test, in the others a loop over the commands.
"""

import ast
import re
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
from tools.marks import Marks, expected

ROOT = Path(__file__).parents[1]
ABOUT = {"processor": "a Z80", "capabilities": ["avx2", "avx512_f"], "torch": "2"}
FILES = {
    ".dvc/config": "[core]\n    analytics = false\n    autostage = false\n",
    ".gitignore": "scratch/\ncode/\nmodels/\n__pycache__/\n.dvc/tmp\n.dvc/cache\n",
    "accepted.csv": "pipeline,list,old,new,commit,evidence\n",
    "requirements.txt": "dvc==3\n",
    "stages/__init__.py": "",
    "tests/steps.py": """
import sys
from specialists.methods import some

print("some", sys.argv[1], some.loss([3, 1, 2], 3))
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

params = yaml.safe_load(Path("params.yaml").read_text())
for name, text in code.written(code.lists(".", params), code.accepted(".", ".")).items():
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
    monkeypatch.setattr(accept, "machine", lambda: ABOUT)
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
    assert rows[0][5].startswith("12 outputs equal at smoke scale; 1 stages went on after a kill; ")


def test_what_is_accepted_can_be_proved_again_and_is_not_written_twice(quick, capsys):
    replace(quick / "specialists/loop.py", "step(state[1])]", "step(state[-1])]")
    accept.main("HEAD")
    told = (quick / "accepted.csv").read_text()
    capsys.readouterr()
    accept.main("HEAD")
    assert "1 lists of code are accepted: " in capsys.readouterr().out
    assert (quick / "accepted.csv").read_text() == told


def test_another_number_is_refused_by_the_name_of_its_output(quick):
    replace(quick / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[-k:])")
    assert refused(quick).startswith(".: models/some1: was ")


def test_a_new_line_must_have_run(quick):
    replace(
        quick / "specialists/loop.py", "path.unlink()", "path.unlink()\n    if not state:\n        state = 1"
    )
    assert (
        refused(quick)
        == "specialists/loop.py: 'if not state:' is new; at smoke scale it never went this way: body"
    )


def test_a_new_line_that_runs_after_a_kill_has_run(quick):
    new = "    if state[0]:\n        pass\n    for done in range(*state[:1], steps)"
    replace(quick / "specialists/loop.py", "    for done in range(state[0], steps)", new)
    accept.main("HEAD")
    assert ".,base," in (quick / "accepted.csv").read_text()


def test_a_line_that_is_gone_must_have_run(quick):
    replace(quick / "specialists/loop.py", "    if not steps:\n        state = [0, None]\n", "")
    assert refused(quick).startswith("specialists/loop.py: 'if not steps:' is gone now; at smoke scale")


def test_of_several_lists_those_are_accepted_that_are_proved(quick, capsys):
    """A row that did not run does not hold back files beside its own, and every one of them is said."""
    replace(quick / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[0:k])")
    new = "path.unlink()\n    if not state:\n        state = 1\n    if state is steps:\n        state = 2"
    replace(quick / "specialists/loop.py", "path.unlink()", new)
    with pytest.raises(ValueError, match="^specialists/loop.py: 'if not state:' is new"):
        accept.main("HEAD")
    rows = (quick / "accepted.csv").read_text().splitlines()[1:]
    assert [row.split(",")[1] for row in rows] == ["methods/some"]
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("1 lists of code are accepted")
    assert [line.split("'")[1] for line in said[1:]] == ["state = 1", "if state is steps:", "state = 2"]


SOME = "    return sum(sorted(values)[:k])"


def test_a_new_condition_must_have_gone_both_ways(quick):
    replace(quick / "specialists/methods/some.py", SOME, f"    if k > 1:\n        k += 0\n{SOME}")
    accept.main("HEAD")
    commit(quick)
    replace(quick / "specialists/methods/some.py", "if k > 1:", "if values:")
    assert refused(quick) == (
        "specialists/methods/some.py: 'if values:' is new; at smoke scale it never went this way: orelse"
    )


def test_what_runs_where_a_run_fails_need_not_run(quick):
    fails = "    if not values:\n        none = 'no'\n        raise ValueError(none)\n"
    replace(quick / "specialists/methods/some.py", SOME, fails + SOME)
    accept.main("HEAD")
    assert ".,methods/some," in (quick / "accepted.csv").read_text()


def test_what_can_also_be_left_without_failing_must_run(quick):
    fails = "    if not values:\n        if k:\n            return k\n        raise ValueError(k)\n"
    replace(quick / "specialists/methods/some.py", SOME, fails + SOME)
    assert refused(quick).startswith(
        "specialists/methods/some.py: 'if not values:' is new; at smoke scale it never"
    )


def test_words_for_people_need_no_proof(tiny, capsys):
    replace(tiny / "specialists/loop.py", '"""Repeat a step;', '"""Repeat one step;')
    replace(tiny / "specialists/loop.py", "    return state[1]", "    return state[1]  # all there is")
    accept.main("HEAD")
    assert capsys.readouterr().out.startswith("nothing to accept: ")


@pytest.mark.parametrize(
    ("name", "old", "new", "line"),
    [
        (
            *("params.yaml", "compute: {mode: fast", "compute: {mode: slow"),
            ".: base@line-0: compute is not what it was when it ran: compute again",
        ),
        (
            "requirements.txt",
            "dvc==3",
            "dvc==4",
            "requirements.txt is not that of HEAD: compute the numbers again",
        ),
    ],
)
def test_more_than_code_is_refused(tiny, name, old, new, line):
    replace(tiny / "specialists/loop.py", "[0, 1.0]", "[0, +1.0]")
    replace(tiny / name, old, new)
    assert refused(tiny) == line


def test_a_combination_that_smoke_scale_lacks_is_refused(tiny):
    replace(
        tiny / "params.yaml", "ks: [1, 2]", "ks: [1, 2, 4]"
    )  # all four, where at smoke scale there are three
    run(tiny, "dvc", "repro", "--quiet")
    commit(tiny)
    replace(tiny / "specialists/methods/some.py", "sum(sorted(values)[:k])", "sum(sorted(values)[0:k])")
    assert refused(tiny) == ".: specialize@line-some-4: no stage at smoke scale runs the same code"


def test_a_new_constant_is_refused(tiny):
    replace(tiny / "specialists/loop.py", "return state[1]", "return state[1] if steps < 512 else state[0]")
    assert refused(tiny) == "specialists/loop.py: 512 is new; smoke scale may not reach where it matters"


def test_numbers_that_other_code_computed_are_left_alone(tiny, capsys):
    replace(tiny / "specialists/loop.py", "[0, 1.0]", "[0, +1.0]")
    commit(tiny)
    replace(tiny / "specialists/loop.py", "[0, +1.0]", "[0, 1.0 + 0]")
    accept.main("HEAD")
    assert capsys.readouterr().out.startswith("nothing to accept: ")


def test_what_other_machines_may_compute_differently_is_proved_on_emulated_ones(tiny, monkeypatch, capsys):
    """An emulator that says what it is told to be, and code that may listen."""
    path = tiny / "specialists/base/portable.py"
    path.parent.mkdir()
    path.write_text("import os\n\nA = 'b'\n")
    replace(tiny / "specialists/loop.py", "import json", "import json\nfrom specialists.base import portable")
    steps = "import sys\nfrom specialists.base import portable\n\nprint('a', portable.A)\n"
    (tiny / "tests/steps.py").write_text(steps)
    run(tiny, "dvc", "repro", "--quiet")
    commit(tiny)
    path.write_text("import os\n\nA = os.environ.get('CPU', 'b')\n")
    monkeypatch.setattr(accept, "EMULATOR", str(emulator := tiny.parent / "emulator"))
    assert refused(tiny) == f"{emulator}: not found; Debian's package qemu-user has it"
    emulator.write_text('#!/bin/sh\nexport CPU=$2\nshift 2\nexec "$@"\n')
    emulator.chmod(0o755)
    assert refused(tiny) == ("tests/steps.py EPYC-Milan: a: was b, is EPYC-Milan with the new code")
    path.write_text("import os\n\nA = os.environ.get('GPU', 'b')\n")
    accept.main("HEAD")
    assert " lists of code are accepted: " in capsys.readouterr().out


def test_what_was_computed_in_bf16_is_proved_where_there_is_bf16(tiny, monkeypatch, capsys):
    params = yaml.safe_load((tiny / "params.yaml").read_text())
    params["compute"]["mode"] = "fast"
    (tiny / "params.yaml").write_text(yaml.safe_dump(params))
    run(tiny, "dvc", "repro", "--quiet")
    commit(tiny)
    replace(tiny / "specialists/loop.py", "return state[1]", "return [*state][1]")
    monkeypatch.setattr(accept, "machine", lambda: ABOUT | {"capabilities": ["avx2"]})
    before = (tiny / "accepted.csv").read_text()
    accept.main("HEAD")
    said, *_ = capsys.readouterr().out.splitlines()
    assert said == ".: left out, for its numbers are of bf16, which only machines with AVX-512 have"
    assert (tiny / "accepted.csv").read_text() == before


# --- marks

SOURCE = '''
"""Words."""
def f(x, y=0):
    """Of f."""
    if x > 2:
        y = 1 if x > 3 else 2
    for z in range(x):
        y += z and x or 7
    return sum(z for z in range(x) if z > 1) + (lambda: y)()
'''


def missed(source, calls, rows=range(1, 99), expected=()):
    """The ways of these rows that no call of f went."""
    marks, passed = Marks("f.py", rows, expected), set()
    tree = marks.visit(ast.parse(ast.unparse(ast.parse(source))))
    scope = {"_ran": lambda mark, value=None: (passed.add(mark), value)[1]}
    exec(compile(ast.fix_missing_locations(tree), "f.py", "exec"), scope)
    assert scope.get("__doc__") == ast.get_docstring(ast.parse(source)) and passed <= marks.names
    plain = {}
    exec(source, plain)
    for x in calls:
        assert scope["f"](x) == plain["f"](x)
    return sorted(re.sub(r".*:(\d+):\d+ ", r"\1: ", mark) for mark in marks.names - passed)


@pytest.mark.parametrize(
    ("calls", "ways"),
    [
        ([0, 3, 4], []),
        ([3, 4], ["5: orelse"]),  # the condition was never false
        ([0, 4], ["6: else"]),
        ([0, 3], ["6: if"]),
        ([1, 0], ["5: body", "6: else", "6: if", "6: row", "9: element", "9: filter 0 True"]),
    ],
)
def test_which_ways_were_never_gone(calls, ways):
    assert missed(SOURCE, calls) == ways


def test_an_element_that_nothing_has_is_a_way_too():
    source = "def f(x):\n    return [1 for y in range(x)], {y: 2 for y in range(x)}, {*(3 for y in range(x))}"
    assert missed(source, [0], rows=[2]) == ["2: element"] * 3 and missed(source, [1], rows=[2]) == []


def test_a_run_that_fails_as_others_expect_is_a_way():
    source = "class Unfit(ValueError): pass\ndef f(x):\n    if x:\n        raise Unfit('why')\n    return x"
    assert missed(source, [0], rows=[5, 6]) == []
    assert missed(source, [0], rows=[5, 6], expected={"Unfit"}) == ["5: body", "6: row"]
    caught = "try:\n    f(1)\nexcept {}:\n    {}"
    trees = [
        ast.parse(caught.format(*each))
        for each in (("Unfit", "y = 0"), ("Worse", "raise"), ("OSError", "y = 0"))
    ]
    assert expected(trees) == {"Unfit"}


def test_only_rows_that_are_asked_for_have_marks():
    assert missed(SOURCE, [], rows=[6]) == ["6: else", "6: if", "6: row"]
    assert missed(SOURCE, [], rows=[4]) == []  # the docstring


@pytest.mark.parametrize(
    ("body", "ways"),
    [
        ("if x:\n        raise ValueError", []),
        ("if x:\n        y = 'why'\n        raise ValueError(y)", []),
        ("try:\n        y = 0\n    except OSError as error:\n        raise ValueError from error", []),
        ("assert not x, 'why'", []),
        ("if x:\n        raise ValueError(x or 'why')", []),
        ("if x:\n        y = x or 'why'\n        raise ValueError(y)", []),
        ("if x:\n        y = 0", ["2: body", "3: row"]),
        (
            "for y in range(x):\n        if y:\n            break\n        raise ValueError",
            ["2: body", "3: body", "3: orelse", "3: row", "4: row"],
        ),
        ("try:\n        y = 0\n    except OSError:\n        y = 1", ["4: body", "5: row"]),
        (
            "try:\n        if x:\n            raise OSError\n    except OSError:\n        y = 1",
            ["3: body", "4: row", "5: body", "6: row"],
        ),
    ],
)
def test_a_run_that_fails_makes_no_number_but_one_that_goes_on_may(body, ways):
    assert missed(f"def f(x):\n    {body}\n    return x", [0]) == ways
