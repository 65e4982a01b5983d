"""python -m tools.verify

Does every number still follow from code, params and lock? Compares dvc.yaml, filled in from params.yaml, with
dvc.lock and both with the files that git knows, as they are now: commands, params, lists of code, inputs that
another stage made, metrics and figures. Compares tables with their cells and pages, and each cell with its
accuracy by confidence. Needs no data, no cache and no network. Prints a line for each way in which stages are
stale, then all stages that follow from a stale one; the exit code is 1 if there is any. It cannot look into
an output that is not in git, nor tell whether metrics/environment names the right machine.

reads   dvc.yaml, params.yaml, dvc.lock, the files in git that they name, sources, accepted.csv, README.md,
        docs/
writes  nothing
"""

import itertools
import json
import sys
from functools import cache
from hashlib import md5
from importlib import import_module
from pathlib import Path

import yaml

from specialists.base.command import output, run
from specialists.base.files import read_json
from specialists.base.params import load, read
from specialists.tracking import code, pipeline
from tools.pages import faults


def main():
    params = load()
    once("dvc.lock")
    stages, lock = pipeline.resolved(pipeline.stages("dvc.yaml"), params), pipeline.stages("dvc.lock")
    live = {name: entry for name, entry in lock.items() if name in stages}
    known = [made(live), made(lock)] if live != lock else [made(lock)]  # files of deleted stages may remain
    lines = {
        name: [*differences(stage, lock[name], params, known)] if name in lock else NEVER
        for name, stage in stages.items()
    }
    found = [f"{path}: in git, but made by no stage; delete it" for path in orphans(made(lock))]
    found += nowhere(live)
    found += forged(made(live))
    found += [f"{file}: code of a stage, is not in git" for file in untracked()]
    for name in {"report", "students"} & lines.keys():
        found += untrue(import_module(f"stages.{name}")) if not lines[name] else []
    for name in {"slides", "sparse"} & lines.keys():
        found += collected(import_module(f"stages.{name}"), name) if not lines[name] else []
    found += [f"{page}: {line}" for page, line in faults(Path(read("code", str)))]
    gone = [name for name in lock if name not in stages]
    if gone:
        print(f"only in dvc.lock: {gone[0]}, {len(gone)} stages in all; python -m tools.prune deletes them")
    count = sum(map(len, lines.values())) + len(found)
    print(*told(lines), *found, total(stages, lines, count), sep="\n")
    sys.exit(bool(count))


def total(stages, lines, found):
    """The last line: how many differences, stages computed by code proved equal, and stages that follow."""
    paths = {name: pipeline.paths(stage) for name, stage in stages.items()}
    ran = [name for name in stages if lines[name] != NEVER]
    since = [name for name in ran if accepted() & paths[name]["deps"].keys()]
    stale = {name for name, each in lines.items() if each} - {"code"}  # its lists speak for themselves
    sources = pipeline.sources(paths)
    after = [name for name in stages if sources[name] & stale and name not in stale]
    return (
        f"{len(stages)} stages, {found} differences"
        + (f"; {len(since)} by older code, proved equal (docs/code.md)" if since else "")
        + (f"; stale with them: {', '.join(after)}" if after else "")
    )


def told(lines):
    """A line for each difference, however many stages of a kind have it."""
    having = {}
    for name, each in lines.items():
        for line in each:
            having.setdefault((name.partition("@")[0], line), []).append(name)
    for (_, line), (first, *others) in having.items():
        yield f"{first}{f' and {len(others)} more' * bool(others)}: {line}"


def differences(stage, entry, params, known):
    """How a stage differs from its entry of dvc.lock.

    `known` are mappings of paths to md5s, one of which must be as the stage found it.
    """
    if entry.get("cmd") != stage["cmd"]:
        yield f"its command was {entry.get('cmd')}, is {stage['cmd']}"
    held = pipeline.decided(entry)
    for section in stage.get("params", []):
        for line in changes(section, held.get(section, "no input"), pipeline.section(params, section)):
            yield f"params.yaml: {line}"
    for section in held.keys() - {*stage.get("params", [])}:
        yield f"params.yaml: {section}: among its params only in dvc.lock"
    for kind, listed in pipeline.paths(stage).items():
        locked = {str(Path(item["path"])): str(item.get("md5")) for item in entry.get(kind, [])}
        for path in sorted(listed.keys() ^ locked.keys()):
            yield f"{path}: among its {kind} only in {'dvc.yaml' if path in listed else 'dvc.lock'}"
        for path in sorted(listed.keys() & locked.keys()):
            now = [digest(path, each if listed[path] else {}) for each in known]
            if now[0] is None and not foreign(path, params, known[-1]):
                yield f"{path}: is {'no list of code' if path.startswith('code/') else 'not in git'}"
            elif not {locked[path], None} & {*now}:
                yield f"{path}: is not what it was when the stage ran ({now[0][:8]}, then {locked[path][:8]})"


def changes(name, then, now):
    """How a value of params.yaml, or each one inside it, differs from what it was."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in {**then, **now}:
            yield from changes(f"{name}.{key}", then.get(key, "not there"), now.get(key, "not there"))
    elif then != now:
        yield f"{name} was {then}, is {now}"


ROUNDING = 1e-3  # of sums in fp32 and fp64, in percent
NEVER = ["has never run"]
BY_HAND, MISSING = "metrics/bench.json", "missing"


def orphans(made):
    """Numbers and pictures in git that no stage made."""
    known = {*made, *_tracked()}
    for path in _tracked():
        if path.startswith("metrics/environment/"):
            of = path.removeprefix("metrics/environment/")
            orphan = not {f"metrics/{of}", f"metrics/curves/{of}"} & known
        else:
            within = {path, *map(str, Path(path).parents)}
            orphan = path.startswith("metrics/") and path != BY_HAND and not within & made.keys()
        if orphan and Path(path).exists():
            yield path


def untrue(stage):
    """How the table differs from what its stage makes of its cells."""
    try:
        for kind, made in stage.tables().items():
            path = f"metrics/table.{kind}"
            if made != (read_json(path) if kind == "json" else Path(path).read_text()):
                name = stage.__name__.rpartition(".")[2]
                yield f"{path}: is not what its cells say; dvc repro --force --single-item {name}"
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield f"metrics/table.json: cannot be compared with its cells ({error})"


def collected(stage, name):
    """The same for tables that are not of cells: what a stage collects stands in a file of its name."""
    path = f"metrics/{name}.json"
    try:
        if json.loads(json.dumps(stage.collected())) != read_json(path):
            yield f"{path}: is not what it was collected from; dvc repro --force --single-item {name}"
    except (OSError, ValueError, TypeError, LookupError) as error:
        yield f"{path}: cannot be compared with what it was collected from ({error})"


def once(lock):
    """Refuse a lock in which a key stands twice: YAML takes the last, DVC refuses the file."""
    try:
        tree = yaml.compose(Path(lock).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        twice = sorted(repeated(tree))
    except (OSError, AttributeError, TypeError, ValueError, RecursionError, yaml.YAMLError):
        return  # whoever reads its stages reports it
    if twice:
        raise ValueError(f"{lock}: {', '.join(twice)} stands twice; delete all but one")


def repeated(node, above=""):
    """Where a key stands twice in one mapping: the names above it, and it."""
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value]
        yield from {f"{above}{key}" for key in keys if keys.count(key) > 1}
        for key, part in node.value:
            yield from repeated(part, f"{above}{key.value}: ")
    if isinstance(node, yaml.SequenceNode):
        for part in node.value:
            yield from repeated(part, above)


def forged(held):
    """Cells whose accuracy contradicts their accuracy by confidence, or that no answers can have.

    `held`: the md5s of the lock; files that differ from these are reported elsewhere.
    """
    for path in _tracked():
        beside = path.replace("metrics/", "metrics/families/", 1)
        if path.startswith("metrics/cell") and beside in _tracked() and _md5(path) == held.get(path):
            try:
                cell, kept = read_json(path), read_json(beside)
                lines = [line for split in ("select", "report") for line in unlike(cell, kept, split)]
            except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
                lines = [f"cannot be compared with {beside} ({type(error).__name__}: {error})"]
            yield from (f"{path}: {line}" for line in lines)


def unlike(cell, kept, split):
    """How the numbers of a cell contradict each other, in percent."""
    said, bins = cell[split], kept["confidence"][split]
    examples = sum(each["examples"] for each in bins)
    top1 = sum(each["examples"] * each["top1"] for each in bins) / examples
    gaps = sum(each["examples"] * abs(each["confidence"] - each["top1"]) for each in bins)
    for name, wanted in (("top1", top1), ("ece", gaps / examples)):
        if not abs(said[name] - wanted) <= ROUNDING:
            yield f"{split}.{name}: {said[name]}, but by confidence {wanted:.4f}"
    order = [0, *(said[name] for name in ("single_min", "single", "single_max", "oracle")), 100]
    if not all(a <= b + ROUNDING for a, b in itertools.pairwise(order)) or not 0 <= said["top1"] <= 100:
        yield f"{split}: no answers have these accuracies: {said}"
    low, high = min(kept[split].values()), max(kept[split].values())
    if not low - ROUNDING <= said["top1"] <= high + ROUNDING or not 0 <= low <= high <= 100:
        yield f"{split}.top1: {said['top1']}, but its groups have {low} to {high}"


def nowhere(lock):
    """Cells without a record of the machine that computed them; a portable one names its weights."""
    weights = {out.get("md5") for stage in lock.values() for out in stage.get("outs", [])}
    for name, stage in lock.items():
        for path in pipeline.locked(stage)["outs"]:
            beside = path.replace(
                "metrics/curves/" if "/curves/" in path else "metrics/", "metrics/environment/", 1
            )
            if path.startswith("metrics/cell") and beside not in _tracked():
                yield f"{path}: without a machine in metrics/environment"
            elif beside in _tracked() and pipeline.portable(stage) and path.startswith("metrics/curves/"):
                if read_json(beside).get("made") not in weights:
                    yield f"{beside}: is of other weights than those of {name}"


def untracked():
    """Files of code that only this checkout has."""
    root = read("code", str)
    known = output("git", "ls-files", "-z", "--full-name", "stages", "specialists", folder=root).split("\0")
    return sorted({file for _, files in _lists().values() for file in files} - {*known})


def foreign(path, params, made):
    """Whether a path is the user's data, or a file inside a folder that was made as a whole."""
    inside = any(path.startswith(f"{out}/") for out in made)
    return inside or Path(path).is_relative_to(pipeline.section(params, "data.root"))


def digest(path, made):
    """The md5 that DVC gives a path now: by the files in git, or by what was made there.

    None for what neither knows.
    """
    inside = {file: _md5(file) for file in _tracked() if file == path or file.startswith(f"{path}/")}
    if not inside:
        inside = {out: value for out, value in made.items() if out == path or out.startswith(f"{path}/")}
    if path in inside or not inside:
        return inside.get(path)
    there = sorted(file for file, value in inside.items() if value != MISSING)
    listed = [{"md5": inside[file], "relpath": file.removeprefix(f"{path}/")} for file in there]
    return f"{md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"


def made(lock):
    """Path -> md5: of each output as dvc.lock has it, of each list of code as it would be written now."""
    outs = [out for entry in lock.values() for out in entry.get("outs", []) if out["path"] != "code"]
    return {out["path"]: out.get("md5") for out in outs} | _written(lock)


@cache
def accepted():
    """The lists that name older code, for which today's was accepted."""
    old = code.accepted(root := read("code", str), code.here(root))
    return {f"code/{name}.txt" for name, (new, _) in (_lists() if old else {}).items() if (name, new) in old}


@cache
def _lists():
    """The lists that the stages of dvc.yaml read."""
    stages = pipeline.resolved(pipeline.stages("dvc.yaml"), load())
    return {name: _every()[name] for name in _every().keys() & pipeline.lists(stages)}


@cache
def _every():
    return code.lists(read("code", str), load())


def _written(lock):
    """Path -> md5 of each list that a stage of dvc.yaml or of a lock reads, as it would be written now."""
    root = read("code", str)
    names = {name for entry in lock.values() for name in pipeline.listed(pipeline.locked(entry)["deps"])}
    found = _lists() | {name: _every()[name] for name in names & _every().keys()}
    texts = code.written(found, code.accepted(root, code.here(root)))
    return {
        f"code/{name}": md5(text.encode(), usedforsecurity=False).hexdigest() for name, text in texts.items()
    }


@cache
def _tracked():
    """Files in git under this folder, as paths from here."""
    return [str(Path(name)) for name in output("git", "ls-files", "-z").split("\0") if name]


@cache
def _md5(path):
    try:
        return md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return MISSING


if __name__ == "__main__":
    run(main)
