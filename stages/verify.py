"""python -m stages.verify

Does every number still follow from code, params and lock? Compares dvc.yaml, filled in from params.yaml,
with dvc.lock and both with the files that git knows, as they are now: commands, params, code, inputs that
another stage made, metrics, figures, and the tables: with their cells, and in the pages. Needs no data, no
cache and no network. A line for each way in which a stage is stale, then all stages that follow from one;
exit code 1 if there is any. It cannot look into an output that is not in git, nor tell whether
metrics/environment names the right machine.

reads   dvc.yaml, params.yaml, dvc.lock, the files in git that they name, README.md, docs/
writes  nothing
"""

import json
import sys
from functools import cache
from hashlib import md5
from importlib import import_module
from pathlib import Path

from specialists import pipeline
from specialists.files import read_json
from specialists.params import load
from stages import output, run
from stages.pages import faults


def main():
    params = load()
    stages, lock = pipeline.resolved(pipeline.stages("dvc.yaml"), params), pipeline.stages("dvc.lock")
    made = {out["path"]: out.get("md5") for entry in lock.values() for out in entry.get("outs", [])}
    gone = [name for name in lock if name not in stages]
    found = [f"{name}: in dvc.lock, but no stage of dvc.yaml; delete it and its files" for name in gone]
    lines = {
        name: [*differences(stage, lock[name], params, made)] if name in lock else ["has never run"]
        for name, stage in stages.items()
    }
    found += [f"{name}: {line}" for name, each in lines.items() for line in each]
    found += [f"{path}: in git, but made by no stage; delete it" for path in orphans(made)]
    found += [f"{name}: without a machine in metrics/environment" for name in nowhere(made)]
    for name in {"report", "students"} & lines.keys():
        found += untrue(import_module(f"stages.{name}")) if not lines[name] else []
    found += [f"{page}: {line}" for page, line in faults(Path(__file__).parents[1])]
    stale = {name for name, each in lines.items() if each}
    sources = pipeline.sources({name: pipeline.paths(stage) for name, stage in stages.items()})
    after = [name for name in stages if sources[name] & stale and name not in stale]
    total = f"{len(stages)} stages, {len(found)} differences"
    print(*found, total + (f"; stale with them: {', '.join(after)}" if after else ""), sep="\n")
    sys.exit(bool(found))


def differences(stage, entry, params, made):
    """In what a stage is not what its entry of dvc.lock says."""
    if entry.get("cmd") != stage["cmd"]:
        yield f"its command was {entry.get('cmd')}, is {stage['cmd']}"
    held = entry.get("params", {}).get("params.yaml", {})
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
            now = digest(path, made if listed[path] else {})
            if now is None and not foreign(path, params, made):
                yield f"{path}: is not in git"
            elif now not in (locked[path], None):
                yield f"{path}: is not what it was when the stage ran ({now[:8]}, then {locked[path][:8]})"


def changes(name, then, now):
    """In what a value of params.yaml, or each one inside it, is not what it was."""
    if isinstance(then, dict) and isinstance(now, dict):
        for key in {**then, **now}:
            yield from changes(f"{name}.{key}", then.get(key, "not there"), now.get(key, "not there"))
    elif then != now:
        yield f"{name} was {then}, is {now}"


BY_HAND = "metrics/bench.json"


def orphans(made):
    """Numbers and pictures in git that no stage made."""
    known = {*made, *_tracked()}
    for path in _tracked():
        if path.startswith("metrics/environment/"):
            of = path.removeprefix("metrics/environment/")
            if not {f"metrics/{of}", f"metrics/curves/{of}"} & known:
                yield path
        elif path.startswith("metrics/") and path != BY_HAND:
            if path not in made and not any(str(folder) in made for folder in Path(path).parents):
                yield path


def untrue(stage):
    """In what the table is not what its stage makes of its cells."""
    try:
        for kind, made in stage.tables().items():
            path = f"metrics/table.{kind}"
            if made != (read_json(path) if kind == "json" else Path(path).read_text()):
                yield f"{path}: is not what its cells say"
    except (OSError, ValueError, TypeError, KeyError) as error:
        yield f"metrics/table.json: cannot be compared with its cells ({error})"


def nowhere(made):
    """Cells of which nobody knows on what they were computed."""
    for path in made:
        beside = path.replace("metrics/", "metrics/environment/", 1)
        if path.startswith("metrics/cell") and beside not in _tracked():
            yield path


def foreign(path, params, made):
    """Whether a path is the user's data, or a file inside a folder that was made as a whole."""
    inside = any(path.startswith(f"{out}/") for out in made)
    return inside or Path(path).is_relative_to(pipeline.section(params, "data.root"))


def digest(path, made):
    """The md5 that DVC gives a path now: by the files in git, or by what dvc.lock says was made there.

    None for what neither knows.
    """
    inside = {file: _md5(file) for file in _tracked() if file == path or file.startswith(f"{path}/")}
    if not inside:
        inside = {out: value for out, value in made.items() if out == path or out.startswith(f"{path}/")}
    if path in inside or not inside:
        return inside.get(path)
    listed = [{"md5": inside[file], "relpath": file.removeprefix(f"{path}/")} for file in sorted(inside)]
    return f"{md5(json.dumps(listed).encode(), usedforsecurity=False).hexdigest()}.dir"


@cache
def _tracked():
    """Files in git under this folder and in those of the code, as paths from here."""
    code = load()["code"]
    asked = ["git", "ls-files", "-z", "--", ".", f"{code}/stages", f"{code}/specialists"]
    return [str(Path(name)) for name in output(*asked).split("\0") if name]


@cache
def _md5(path):
    try:
        return md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    except OSError:
        return "missing"


if __name__ == "__main__":
    run(main)
