"""python -m stages.verify

Does every number still follow from code, params and lock? Compares dvc.yaml, filled in from params.yaml, with
dvc.lock and both with the files that git knows, as they are now: commands, params, code, inputs that another
stage made, metrics, figures, and the tables in the README. Needs no data, no cache and no network. A line for
each way in which a stage is stale; exit code 1 if there is one. It cannot look into an output that is not in
git, nor tell whether metrics/environment names the right machine.

reads   dvc.yaml, params.yaml, dvc.lock, the files in git that they name, README.md
writes  nothing
"""

import itertools
import json
import re
import sys
from functools import cache
from hashlib import md5
from pathlib import Path

import yaml

from specialists.params import load
from stages import output, run
from stages.readme import faults

FIELD = re.compile(r"\$\{([\w.]+)\}")


def main():
    params = load()
    stages, lock = resolved(_stages("dvc.yaml"), params), _stages("dvc.lock")
    made = {out["path"]: out.get("md5") for entry in lock.values() for out in entry.get("outs", [])}
    gone = [name for name in lock if name not in stages]
    found = [f"{name}: in dvc.lock, but no stage of dvc.yaml; delete it and its files" for name in gone]
    for name, stage in stages.items():
        lines = differences(stage, lock[name], params, made) if name in lock else ["has never run"]
        found += [f"{name}: {line}" for line in lines]
    found += [f"{path}: in git, but made by no stage; delete it" for path in orphans(made)]
    found += [f"{name}: without a machine in metrics/environment" for name in nowhere(made)]
    found += [f"README.md: {line}" for line in faults(Path(__file__).parents[1])]
    print(*found, f"{len(stages)} stages, {len(found)} differences", sep="\n")
    sys.exit(bool(found))


def resolved(stages, params):
    """Stage name -> stage as DVC sees it, with fields filled in and matrices multiplied out."""
    done = {}
    for name, stage in stages.items():
        axes = {axis: _fill(values, params) for axis, values in stage.get("matrix", {}).items()}
        for values in itertools.product(*axes.values()):
            full = f"{name}@{'-'.join(map(str, values))}" if axes else name
            item = {"item": dict(zip(axes, values, strict=True))}
            done[full] = _fill({key: value for key, value in stage.items() if key != "matrix"}, params | item)
    return done


def differences(stage, entry, params, made):
    """In what a stage is not what its entry of dvc.lock says."""
    if entry.get("cmd") != stage["cmd"]:
        yield f"its command was {entry.get('cmd')}, is {stage['cmd']}"
    held = entry.get("params", {}).get("params.yaml", {})
    for section in stage.get("params", []):
        now = _section(params, section)
        if section not in held or held[section] != now:
            yield f"params.yaml: {section} was {held.get(section, 'no input')}, is {now}"
    wanted = {"deps": stage.get("deps", []), "outs": sum((stage.get(k, []) for k in OUTS), [])}
    for kind, items in wanted.items():
        listed = dict(_path(item) for item in items)
        locked = {str(Path(item["path"])): str(item.get("md5")) for item in entry.get(kind, [])}
        for path in sorted(listed.keys() ^ locked.keys()):
            yield f"{path}: among its {kind} only in {'dvc.yaml' if path in listed else 'dvc.lock'}"
        for path in sorted(listed.keys() & locked.keys()):
            now = digest(path, made if listed[path] else {})
            if now is None and not foreign(path, params, made):
                yield f"{path}: is not in git"
            elif now not in (locked[path], None):
                yield f"{path}: is not what it was when the stage ran ({now[:8]}, then {locked[path][:8]})"


OUTS = ("outs", "metrics", "plots")
BY_HAND = ("metrics/environment/", "metrics/bench.json")


def orphans(made):
    """Numbers and pictures in git that no stage made."""
    for path in _tracked():
        if path.startswith("metrics/") and not path.startswith(BY_HAND):
            if path not in made and not any(str(folder) in made for folder in Path(path).parents):
                yield path


def nowhere(made):
    """Cells of which nobody knows on what they were computed."""
    for path in made:
        beside = path.replace("metrics/", "metrics/environment/", 1)
        if path.startswith("metrics/cell") and beside not in _tracked():
            yield path


def _path(item):
    """(path, whether DVC's cache holds it) of an item of dvc.yaml; what the cache does not hold, git must."""
    path, settings = next(iter(item.items())) if isinstance(item, dict) else (item, {})
    return str(Path(path)), settings.get("cache", True)


def foreign(path, params, made):
    """Whether a path is the user's data, or a file inside a folder that was made as a whole."""
    inside = any(path.startswith(f"{out}/") for out in made)
    return inside or Path(path).is_relative_to(_section(params, "data.root"))


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


def _fill(value, fields):
    if isinstance(value, dict):
        return {_fill(key, fields): _fill(inner, fields) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, fields) for inner in value]
    if not isinstance(value, str):
        return value
    if whole := FIELD.fullmatch(value):
        return _section(fields, whole[1])
    return FIELD.sub(lambda match: str(_section(fields, match[1])), value)


def _section(tree, path):
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            raise ValueError(f"params.yaml: {path}: missing, but dvc.yaml names it")
        tree = tree[key]
    return tree


def _stages(path):
    try:
        return yaml.load(Path(path).read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
    except FileNotFoundError:
        reason = (
            "nothing was ever computed here" if Path("dvc.yaml").exists() else "run from a pipeline's folder"
        )
        raise ValueError(f"{path}: not found in {Path.cwd()}; {reason}") from None
    except (yaml.YAMLError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: holds no stages ({error})") from None


if __name__ == "__main__":
    run(main)
