"""python -m tools.accept COMMIT

Prove a refactoring instead of recomputing the numbers: COMMIT holds the code that computed them, this
checkout the new code. Both run at smoke scale on this machine: small.yaml is laid over params.yaml, one and
two of three members learn; then each kind of stage and network again, with the arithmetic of the pipeline;
and tests/steps.py. New code is accepted if that runs all code behind a committed number, if all that is
made is the same to the bit, and if each line that is new ran in the new code and each that is gone in the
old. The stage `code` then prints the digests of the old code for it.

reads   COMMIT; this checkout; of each pipeline: params.yaml, small.yaml, dvc.yaml, dvc.lock
writes  accepted.csv, if all is proved: a row for each list of code of a pipeline; scratch/accept
"""

import ast
import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher
from hashlib import md5
from pathlib import Path

import coverage
import yaml

from specialists.base.command import output, run
from specialists.base.environment import machine
from specialists.base.files import read_json, replacing
from specialists.base.params import load
from specialists.tracking import code, pipeline
from tools import small

ROOT = Path(__file__).resolve().parents[1]
WITNESS = Path(__file__).resolve().parent / "witness"
STEPS = ("products", "convolutions")  # of tests/steps.py: methods and networks that are in no table
# A run that fails makes no number: a block that ends in `raise` and can be left in no other way need not run.
FAILING = (
    r"^(?P<at> *)(if|elif|else|except)\b.*:\n"
    r"((?P=at) {4}(?! *(return|break|continue|yield)\b).*\n)*?(?P=at) {4}raise\b"
)
SETTINGS = r"""[run]
branch = true
parallel = true
data_file = {notes}/ran
source =
    {copy}/stages
    {copy}/specialists
disable_warnings = no-data-collected,module-not-imported,module-not-measured
[report]
exclude_also =
    ^ *raise\b
    {failing}
"""


def main(commit: str):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # two runs on a GPU need not make the same bits
    shutil.rmtree(work := ROOT / "scratch/accept", ignore_errors=True)
    output("git", "clone", "--quiet", "--shared", "--no-checkout", str(ROOT), str(work / "commit"))
    output("git", "checkout", "--quiet", commit, folder=work / "commit")
    old, new = Tree(work / "commit", work / "old"), Tree(ROOT, work / "new")
    stale = {
        each: found for each in sorted(old.lists.keys() & new.lists) if (found := outdated(each, old, new))
    }
    if not stale:
        print(f"nothing to accept: no committed number that the code of {commit} computed has other code now")
        return
    for name in ("requirements.txt", *(f"{each}/params.yaml".removeprefix("./") for each in stale)):
        if (old.source / name).read_text() != (new.source / name).read_text():
            raise ValueError(f"{name} is not that of {commit}: compute the numbers again")
    moved = sorted({(each, name) for each in stale for names in stale[each].values() for name in names})
    files = sorted(
        {file for each, name in moved for tree in (old, new) for file in tree.lists[each][name][1]}
    )
    refuse_new_constants(old, new, files)
    runs = [one for each in stale for one in planned(each, stale[each])]
    with ThreadPoolExecutor() as pool:
        then, now = pool.map(lambda tree: tree.made(runs), (old, new))
    for (each, before, path), (_, after, _) in zip(then, now, strict=True):
        if before != after:
            raise ValueError(f"{each}: {path}: was {before}, is {after} with the new code")
    refuse_unrun(new, old, files, "new")
    refuse_unrun(old, new, files, "gone now")
    machines = [(about := machine())["processor"], *about["capabilities"], "torch", about["torch"]]
    evidence = f"{len(now)} outputs equal at smoke scale; {new.killed()} stages went on after a kill; "
    evidence += " ".join(machines).replace(",", "")
    short = output("git", "rev-parse", "--short", "HEAD", folder=old.source).strip()
    with replacing(path := ROOT / "accepted.csv") as draft:
        rows = [
            (each, name, old.shown(each)[name], new.lists[each][name][0], short, evidence)
            for each, name in moved
        ]
        draft.write_text(path.read_text() + "".join(f"{','.join(row)}\n" for row in rows))
    print(f"{len(moved)} lists of code are accepted: {evidence}")


class Tree:
    """A checkout, and a copy of it that runs at smoke scale, with each statement on a line of its own."""

    def __init__(self, source, copy):
        self.source, self.copy, self.notes = source, copy, copy / "scratch/witness"
        small.prepare(source, copy, ".")
        self.notes.mkdir(parents=True)
        (self.notes / "settings").write_text(SETTINGS.format(notes=self.notes, copy=copy, failing=FAILING))
        folders = [path.parent for path in (source / "dvc.yaml", *source.glob("pipelines/*/dvc.yaml"))]
        self.lists = {
            each.relative_to(source).as_posix(): code.lists(copy, load(each / "params.yaml"))
            for each in folders
        }
        self.texts = {}
        for path in [*copy.glob("stages/**/*.py"), *copy.glob("specialists/**/*.py")]:
            path.write_text(text := ast.unparse(ast.parse(path.read_text())))
            self.texts[path.relative_to(copy).as_posix()] = text.split("\n")

    def shown(self, each):
        """The digest that the stage `code` shows for each list of a pipeline."""
        known = code.accepted(self.source, each)
        return {name: known.get((name, new), new) for name, (new, _) in self.lists[each].items()}

    def made(self, runs):
        """(where, md5, what) of all that the code makes: a pipeline's outputs, and tests/steps.py."""
        for each, params, targets in runs:
            (self.copy / each / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
            self.repro(each, targets)
        done = {each: small.digests(self.copy / each).splitlines() for each, *_ in runs}
        done["tests/steps.py"] = [line for part in STEPS for line in self.steps(part)]
        return [(each, *line) for each, lines in done.items() for line in map(str.split, lines)]

    def repro(self, each, targets):
        """`dvc repro`, again after each kill."""
        killed, command = self.killed(), ["dvc", "repro", *targets]
        with open(self.notes / "log", "a") as log:
            while self.run(command, self.copy / each, stdout=log, stderr=log).returncode:
                if killed == (killed := self.killed()):
                    raise ValueError(f"{self.copy / each}: dvc repro failed; see {log.name}")

    def steps(self, part):
        done = self.run([sys.executable, "tests/steps.py", part], self.copy, capture_output=True, text=True)
        if done.returncode:
            raise ValueError(f"{self.copy}/tests/steps.py {part}: {done.stderr[-300:]}")
        lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
        return [f"{digest} {name.replace(' ', '_')}" for name, _, digest in lines]

    def run(self, command, folder, **more):
        env = os.environ | {"WITNESS": str(self.notes), "COPY": str(self.copy)}
        env |= {"PYTHONPATH": f"{WITNESS}:{self.copy}", "COVERAGE_PROCESS_START": f"{self.notes}/settings"}
        env["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        env.pop("MLFLOW_TRACKING_URI", None)
        return subprocess.run(command, cwd=folder, env=env, **more)

    def killed(self):
        return len([*self.notes.glob("killed-*")])

    def unrun(self):
        """(file, row) of each line that never ran, or never went on in one of its ways -> which."""
        seen = coverage.Coverage(config_file=self.notes / "settings")
        seen.combine()
        seen.json_report(outfile=str(report := self.notes / "report.json"))
        found = {}
        for path, rows in read_json(report)["files"].items():
            file = Path(path).resolve().relative_to(self.copy.resolve()).as_posix()
            found |= {(file, row): "never went on in one of its ways" for row, _ in rows["missing_branches"]}
            found |= {(file, row): "never ran" for row in rows["missing_lines"]}
        return found


def outdated(each, old, new):
    """Committed stage -> its lists that moved: the code of COMMIT computed it, and other code would now."""
    then, now, found = old.shown(each), new.shown(each), {}
    lock, live = ROOT / each / "dvc.lock", resolved(each, load(ROOT / each / "params.yaml"))
    for name, stage in pipeline.stages(lock).items() if lock.exists() else ():
        lists = {lst: dep["md5"] for dep in stage.get("deps", []) for lst in listed([dep["path"]])}
        moved = {lst for lst in lists if then.get(lst) != now.get(lst)}
        theirs = all(
            lst in then and lists[lst] == md5(f"{then[lst]}\n".encode()).hexdigest() for lst in lists
        )
        if name in live and stage.get("outs") and moved & now.keys() and theirs:
            found[name] = moved & now.keys()
    return found


def resolved(each, params):
    return pipeline.resolved(pipeline.stages(ROOT / each / "dvc.yaml"), params)


def listed(paths):
    """The lists of code among paths."""
    return {path[len("code/") : -len(".txt")] for path in paths if path.startswith("code/")}


def planned(each, stale):
    """(pipeline, params, what DVC shall reproduce), for all code behind stale numbers."""
    params, scale = load(ROOT / each / "params.yaml"), small.overlaid(ROOT / each)
    scale["table"] = params["table"] | {
        axis: params["table"][axis][:some]
        for axis, some in (("members", 3), ("ks", 2), ("seeds", 1))
        if axis in params["table"]
    }
    live, needed, targets, kinds = resolved(each, params), {}, {}, {}
    for name in stale:
        needed.setdefault(combination(live[name], params), name)
    for name, stage in resolved(each, scale).items():
        if (kind := combination(stage, scale)) in needed:
            targets.setdefault(kind, name)
            kinds.setdefault(kind[:2], name)
    for kind in needed.keys() - targets.keys():
        raise ValueError(f"{each}: {needed[kind]}: no stage at smoke scale runs the same code")
    yield each, scale, [*targets.values()]
    if params["compute"] != scale["compute"]:
        yield each, scale | {"compute": params["compute"]}, ["--single-item", *kinds.values()]


def combination(stage, params):
    """What stages that run the same code share; of numbers only k matters: one, several or all members."""
    lists, sections, learners = listed(pipeline.paths(stage)["deps"]), stage.get("params", ()), None
    methods = {name for name in lists if name.startswith("methods/")}
    if methods:
        k = str(stage["item"].get("k", params["k"]))
        learners = "all" if k in ("all", str(len(params["table"]["members"]))) else min(int(k), 2)
    return stage["cmd"].split()[2], frozenset(lists - methods), tuple(sections), learners


def refuse_new_constants(old, new, files):
    """Smoke scale may not reach the size from which a constant matters; 0, 1 and 2 are at home everywhere."""
    known = Counter(number for file in files for number in numbers(old.texts.get(file, [])))
    for file in files:
        for number in numbers(new.texts.get(file, [])):
            known[number] -= 1
            if known[number] < 0:
                raise ValueError(f"{file}: {number} is a new constant, which smoke scale may not reach")


def numbers(lines):
    values = [each.value for each in ast.walk(ast.parse("\n".join(lines))) if isinstance(each, ast.Constant)]
    return [value for value in values if type(value) in (int, float) and value not in (0, 1, 2)]


def refuse_unrun(tree, other, files, what):
    unrun = tree.unrun()
    for file in files:
        lines = tree.texts.get(file, [])
        matcher = SequenceMatcher(None, other.texts.get(file, []), lines, autojunk=False)
        changed = [range(*block[3:]) for block in matcher.get_opcodes() if block[0] != "equal"]
        for row in (row for rows in changed for row in rows if (file, row + 1) in unrun):
            how = unrun[file, row + 1]
            raise ValueError(f"{file}: {lines[row].strip()!r} is {what}, and {how} at smoke scale")


if __name__ == "__main__":
    run(main)
