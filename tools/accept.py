"""python -m tools.accept COMMIT

Prove a refactoring instead of recomputing the numbers: COMMIT holds the code that computed them, this
checkout the new code. Both run at smoke scale on this machine: tests/steps.py, on emulated processors too
where others may see the change; then each pipeline with small.yaml laid over params.yaml, where one and two
of three members learn; then each kind of stage and network once more with the arithmetic of its pipeline. New
code is accepted if this runs all code behind a committed number, if all outputs are the same to the bit, and
if every new row ran in the new code and every deleted row in the old, in all directions (tools/marks.py);
lists without a row that did not run are accepted all the same. The stage `code` then prints the digests of
the old code for the new.

reads   COMMIT; this checkout; of each pipeline: params.yaml, small.yaml, dvc.yaml, dvc.lock
writes  accepted.csv: a row for each list of code of a pipeline that is proved; scratch/accept
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
from sysconfig import get_path

import yaml

from specialists.base.command import output, run
from specialists.base.environment import machine
from specialists.base.files import replacing
from specialists.base.params import load
from specialists.tracking import code, pipeline
from tools import small
from tools.marks import Marks, expected

ROOT = Path(__file__).resolve().parents[1]
WITNESS = Path(__file__).resolve().parent / "witness"
STEPS = ("products", "convolutions")  # of tests/steps.py: methods and networks that are in no table
AGAIN = "--single-item"  # only the named stages, from what is there by now
# The effect of these shows on other machines: of other instructions, and of two vendors.
ELSEWHERE = {f"specialists/{name}.py" for name in ("base/portable", "base/runtime", "networks/portable")}
EMULATOR, EMULATED = "qemu-x86_64", ("EPYC-Milan", "Haswell-noTSX")


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
    known = (path := ROOT / "accepted.csv").read_text()
    rows = {each: dict(rows_of(each, stale[each], old, new)) for each in stale}
    if waiting := [each for each in stale if any(row not in known for row in rows[each])]:
        stale = {each: stale[each] for each in waiting}  # proved ones again only if all are proved
    if (old.source / "requirements.txt").read_text() != (new.source / "requirements.txt").read_text():
        raise ValueError(f"requirements.txt is not that of {commit}: compute the numbers again")
    wide = "avx512_f" in (about := machine())["capabilities"]
    for each in [] if wide else [*filter(fast, stale)]:
        print(f"{each}: left out, for its numbers are of bf16, which only machines with AVX-512 have")
        del stale[each]
    if not stale:
        return
    files = set().union(*(some for each in stale for some in rows[each].values()))
    elsewhere = sorted(file for file in files & ELSEWHERE if differs(file, old, new))
    for file in [] if wide else elsewhere:
        raise ValueError(f"{file}: what it does shows on machines with AVX-512, and this is none")
    compare(old, new, files)
    runs = [one for each in stale for one in planned(each, stale[each])]
    processors = ["", *EMULATED] if elsewhere else [""]
    with ThreadPoolExecutor() as pool:
        then, now = pool.map(lambda tree: tree.made(runs, processors), (old, new))
    for (where, what), before in then.items():
        if before != (after := now.get((where, what))):
            raise ValueError(f"{where}: {what}: was {before}, is {after} with the new code")
    unseen = [*unreached(new, "new"), *unreached(old, "gone now")]
    doubtful = {file for file, _ in unseen}
    machines = [about["processor"], *about["capabilities"], "torch", about["torch"]]
    evidence = f"{len(then)} outputs equal at smoke scale; {new.killed()} stages went on after a kill; "
    evidence += " ".join(machines).replace(",", "")
    short = output("git", "rev-parse", "--short", "HEAD", folder=old.source).strip()
    proved = [row for each in stale for row, behind in rows[each].items() if not behind & doubtful]
    with replacing(path) as draft:
        fresh = [row for row in proved if row not in known]
        draft.write_text(known + "".join(f"{row}{short},{evidence}\n" for row in fresh))
    print(f"{len(proved)} lists of code are accepted: {evidence}")
    for file, line in unseen[1:]:
        print(f"{file}: {line}")
    for file, line in unseen[:1]:
        raise ValueError(f"{file}: {line}")


def unreached(tree, what):
    """(file, why nothing is proved of it) of each row that did not run, in all directions."""
    for mark in sorted(tree.marks - {*(tree.notes / "ran").read_text().splitlines()}):
        file, row, way = mark.split(":")
        line, way = tree.texts[file][int(row) - 1].strip(), way.partition(" ")[2]
        yield file, f"{line!r} is {what}; at smoke scale it never went this way: {way}"


def rows_of(each, stages, old, new):
    """(row, files) of lists of a pipeline: as in accepted.csv, without the commit and the evidence."""
    for name in sorted(set().union(*stages.values())):
        files = {file for tree in (old, new) for file in tree.lists[each][name][1]}
        yield f"{each},{name},{old.shown(each)[name]},{new.lists[each][name][0]},", files


class Tree:
    """A checkout, and a copy of it that runs at smoke scale."""

    def __init__(self, source, copy):
        self.source, self.copy, self.notes = source, copy, copy / "scratch/witness"
        small.prepare(source, copy, ".")
        self.notes.mkdir(parents=True)
        (self.notes / "ran").touch()
        folders = [path.parent for path in (source / "dvc.yaml", *source.glob("pipelines/*/dvc.yaml"))]
        self.lists = {
            each.relative_to(source).as_posix(): code.lists(copy, load(each / "params.yaml"))
            for each in folders
        }
        paths = [*copy.glob("stages/**/*.py"), *copy.glob("specialists/**/*.py")]
        self.plain = {path.relative_to(copy).as_posix(): path.read_text() for path in paths}
        # each statement on a line of its own, without comments
        self.texts = {file: ast.unparse(ast.parse(text)).split("\n") for file, text in self.plain.items()}
        self.marks, self.expected = set(), expected(map(ast.parse, self.plain.values()))

    def shown(self, each):
        """The digest that the stage `code` shows for each list of a pipeline."""
        known = code.accepted(self.source, each)
        return {name: known.get((name, now), now) for name, (now, _) in self.lists[each].items()}

    def mark(self, file, rows):
        marks = Marks(file, rows, self.expected)
        tree = ast.fix_missing_locations(marks.visit(ast.parse("\n".join(self.texts[file]))))
        (self.copy / file).write_text(ast.unparse(tree))
        self.marks |= marks.names

    def made(self, runs, processors):
        """(where, what) -> md5 of all that the code makes: a pipeline's outputs, and tests/steps.py."""
        found = {
            (f"tests/steps.py {processor}", name): digest
            for processor in processors
            for part in STEPS
            for name, digest in self.steps(part, processor)
        }
        for each, params, targets in sorted(runs, key=lambda one: AGAIN in one[2]):
            if (self.copy.parent / "failed").exists():
                return {}  # the other code failed, and says why
            if AGAIN in targets:  # as it is compiled
                for file, text in self.plain.items():
                    (self.copy / file).write_text(text)
            (self.copy / each / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
            self.repro(each, targets)
            how = f"{each}, as it computes" if AGAIN in targets else each
            lines = [line.split("  ", 1) for line in small.digests(self.copy / each).splitlines()]
            found |= {(how, path): digest for digest, path in lines}
        return found

    def repro(self, each, targets):
        """`dvc repro`, again after each kill."""
        killed, command = self.killed(), ["dvc", "repro", *targets]
        with open(self.notes / "log", "a") as log:
            while self.run(command, self.copy / each, stdout=log, stderr=log).returncode:
                if killed == (killed := self.killed()):
                    (self.copy.parent / "failed").touch()
                    raise ValueError(f"{self.copy / each}: dvc repro failed; see {log.name}")

    def steps(self, part, processor):
        emulator = [EMULATOR, "-cpu", processor] if processor else []
        command = [*emulator, os.path.realpath(sys.executable), "tests/steps.py", part]
        try:
            done = self.run(command, self.copy, capture_output=True, text=True)
        except FileNotFoundError:
            raise ValueError(f"{EMULATOR}: not found; Debian's package qemu-user has it") from None
        if done.returncode:
            raise ValueError(f"{self.copy}/tests/steps.py {part} {processor}: {done.stderr[-300:]}")
        lines = [line.rpartition(" ") for line in done.stdout.splitlines()]
        return [(name, digest) for name, _, digest in lines]

    def run(self, command, folder, **more):
        seen = {"WITNESS": str(self.notes), "COPY": str(self.copy)}
        seen["PYTHONPATH"] = f"{WITNESS}:{self.copy}:{get_path('purelib')}"
        return subprocess.run(command, cwd=folder, env=small.environment(**seen), **more)

    def killed(self):
        return len([*self.notes.glob("killed-*")])


def outdated(each, old, new):
    """Committed stage -> its lists that moved: the code of COMMIT computed it, and today's code differs."""
    shown, then, now, found = old.shown(each), old.lists[each], new.lists[each], {}
    lock, params = ROOT / each / "dvc.lock", load(ROOT / each / "params.yaml")
    live = resolved(each, params)
    for name, stage in pipeline.stages(lock).items() if lock.exists() else ():
        read = {each: dep["md5"] for dep in stage.get("deps", []) for each in pipeline.listed([dep["path"]])}
        theirs = all(each in shown and read[each] == known_to_dvc(shown[each]) for each in read)
        moved = {each for each in read if theirs and each in now and then[each][0] != now[each][0]}
        if name in live and stage.get("outs") and moved:
            found[name] = moved
            for section, value in pipeline.decided(stage).items():
                if pipeline.section(params, section) != value:
                    raise ValueError(
                        f"{each}: {name}: {section} is not what it was when it ran: compute again"
                    )
    return found


def known_to_dvc(digest):
    return md5(f"{digest}\n".encode(), usedforsecurity=False).hexdigest()


def resolved(each, params):
    return pipeline.resolved(pipeline.stages(ROOT / each / "dvc.yaml"), params)


def planned(each, stale):
    """(pipeline, params, what DVC shall reproduce), for all code behind stale numbers."""
    params, scale = load(ROOT / each / "params.yaml"), small.overlaid(ROOT / each)
    ks = params["table"].get("ks", [1])[:2]
    some = {"members": max(3, 1 + max(ks)), "ks": 2, "seeds": 1}
    scale["table"] = params["table"] | {
        axis: params["table"][axis][:first] for axis, first in some.items() if axis in params["table"]
    }
    if "champion" in scale.get("distill", {}):  # the champion is a row of the table, which here has all
        scale["distill"]["champion"] = params["distill"]["champion"]
    live, needed, targets, kinds = resolved(each, params), {}, {}, {}
    for name in stale:
        needed.setdefault(combination(live[name], params), name)
    for name, stage in resolved(each, scale).items():
        if (kind := combination(stage, scale)) in needed:
            targets.setdefault(kind, name)
            kinds.setdefault((*kind[:2], kind[-1]), name)
    for kind in needed.keys() - targets.keys():
        raise ValueError(f"{each}: {needed[kind]}: no stage at smoke scale runs the same code")
    yield each, scale, [*targets.values()]
    if params["compute"] != scale["compute"]:
        yield each, scale | {"compute": params["compute"]}, [AGAIN, *kinds.values()]


def combination(stage, params):
    """What stages that run the same code share; of numbers only k matters: one, several or all members."""
    lists, sections, learners = pipeline.listed(pipeline.paths(stage)["deps"]), stage.get("params", ()), None
    methods = {name for name in lists if name.startswith("methods/")}
    if methods:
        k = str(stage["item"].get("k", params["k"]))
        learners = "all" if k in ("all", str(len(params["table"]["members"]))) else min(int(k), 2)
    shares = "sharing" in params["methods"].get(stage["item"].get("method"), {})
    return stage["cmd"].split()[2], frozenset(lists - methods), tuple(sections), learners, shares


def fast(each):
    return load(ROOT / each / "params.yaml")["compute"]["mode"] == "fast"


def differs(file, old, new):
    return len({code.meaning(tree.plain.get(file, "")) for tree in (old, new)}) > 1


def compare(old, new, files):
    """Put marks on the rows that differ; refuse numbers, which smoke scale cannot show."""
    numbers, place = [Counter(), Counter()], {}
    for file in sorted(files):
        texts = [tree.texts.get(file, []) for tree in (old, new)]
        blocks = SequenceMatcher(None, *texts, autojunk=False).get_opcodes()
        blocks = [spans for kind, *spans in blocks if kind != "equal"]
        for side, tree in enumerate((old, new)):
            rows = {row + 1 for spans in blocks for row in range(*spans[2 * side : 2 * side + 2])}
            found = constants(texts[side], rows)
            numbers[side].update(found)
            place |= dict.fromkeys(found, file)
            if rows:
                tree.mark(file, rows)
    for what, more in (("new", numbers[1] - numbers[0]), ("gone now", numbers[0] - numbers[1])):
        for number in more:
            raise ValueError(
                f"{place[number]}: {number} is {what}; smoke scale may not reach where it matters"
            )


def constants(lines, rows):
    """The numbers on some rows, except 0, 1 and 2, which are everywhere."""
    found = [each for each in ast.walk(ast.parse("\n".join(lines))) if isinstance(each, ast.Constant)]
    found = [each.value for each in found if each.lineno in rows and type(each.value) in (int, float)]
    return [value for value in found if value not in (0, 1, 2)]


if __name__ == "__main__":
    run(main)
