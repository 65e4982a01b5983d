"""A pipeline's folder as data: the stages of dvc.yaml and dvc.lock, and what they read and write.

Its files are read as they are, or as they were at a revision of git.
"""

import itertools
import json
import os
import re
from pathlib import Path

import yaml

from specialists.base.command import output

FIELD = re.compile(r"\$\{([\w.]+)\}")


def stages(path, text=None):
    """Stage name -> stage, of a dvc.yaml or dvc.lock; `text` replaces what the file holds now."""
    try:
        text = Path(path).read_text() if text is None else text
        found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))["stages"]
        for stage in found.values():
            stage["cmd"]
    except FileNotFoundError:
        known = Path("dvc.yaml").exists()
        reason = "nothing was ever computed here" if known else "run from a pipeline's folder"
        raise ValueError(f"{path}: not found in {Path.cwd()}; {reason}") from None
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: holds no stages ({type(error).__name__}: {error})") from None
    return found


def sections(path="dvc.yaml"):
    """The sections of params.yaml that the stages of a dvc.yaml read."""
    text = here(path)
    names = [name for stage in stages(path, text).values() for name in stage.get("params", [])]
    return {name.split(".")[0] for name in FIELD.findall(text) + names} - {"item"}


def here(path):
    """The text of a file of this folder; `at(revision)` reads it from git in the same way."""
    try:
        return Path(path).read_text()
    except FileNotFoundError:
        raise ValueError(f"{path}: not found in {Path.cwd()}; run dvc repro in a pipeline's folder") from None


def at(revision):
    return lambda path: output("git", "show", f"{revision}:./{path}")


def content(read, path):
    """The JSON of a file that `read` gives as text."""
    try:
        return json.loads(read(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: not JSON ({error})") from None


def resolved(stages, params):
    """Stage name -> stage as DVC sees it, fields filled in and matrices multiplied out into each `item`."""
    done = {}
    for name, stage in stages.items():
        axes = {axis: filled(values, params) for axis, values in stage.get("matrix", {}).items()}
        for axis, values in axes.items():
            if not isinstance(values, list):
                raise ValueError(
                    f"dvc.yaml: {name}: {axis}: {values!r} is {type(values).__name__}, expected list"
                )
        for values in itertools.product(*axes.values()):
            full = f"{name}@{'-'.join(map(str, values))}" if axes else name
            item = {"item": dict(zip(axes, values, strict=True))}
            one = {key: value for key, value in stage.items() if key != "matrix"}
            done[full] = filled(one, params | item) | item
    return done


def paths(stage):
    """deps and outs of a stage: path -> whether DVC's cache holds it; git must hold the others."""
    kinds = {"deps": ("deps",), "outs": ("outs", "metrics", "plots")}
    return {
        kind: dict(_path(i) for name in names for i in stage.get(name, [])) for kind, names in kinds.items()
    }


def _path(item):
    path, settings = next(iter(item.items())) if isinstance(item, dict) else (item, {})
    return os.path.normpath(path), settings.get("cache", True)


def lists(stages):
    """The lists of code that some stages, filled in, read: `base`, `networks/san`."""
    return {name for stage in stages.values() for name in listed(paths(stage)["deps"])}


def listed(paths):
    """The lists of code among paths."""
    return {path[len("code/") : -len(".txt")] for path in paths if path.startswith("code/")}


def locked(stage):
    """The paths that a stage of dvc.lock read and wrote."""
    try:
        return {kind: [each["path"] for each in stage.get(kind, [])] for kind in ("deps", "outs")}
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"dvc.lock: a stage without paths ({type(error).__name__}: {error})") from None


def decided(stage):
    """The params of a stage of dvc.lock."""
    try:
        return dict(stage.get("params", {}).get("params.yaml", {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"dvc.lock: a stage without params ({type(error).__name__}: {error})") from None


def portable(stage):
    """Whether a stage of dvc.lock promised the same bits everywhere; stages without the param did not."""
    return decided(stage).get("compute", {}).get("mode") == "portable"


def makers(lock):
    """Path -> the stage of dvc.lock that made it."""
    return {path: name for name, stage in lock.items() for path in locked(stage)["outs"]}


def sources(stages):
    """Name -> the names of all stages that it follows from; `stages`: name -> its `paths`."""
    inside, exact = {}, {}
    for name, stage in stages.items():
        for path in stage["outs"]:
            exact[path] = name
            for folder in (path, *map(str, Path(path).parents)):
                inside.setdefault(folder, set()).add(name)
    direct = {
        name: {maker for path in stage["deps"] for maker in inside.get(path, ())}
        | {exact[str(up)] for path in stage["deps"] for up in Path(path).parents if str(up) in exact}
        for name, stage in stages.items()
    }
    done = {}

    def of(name):
        if name not in done:
            done[name] = direct[name].union(*map(of, direct[name]))
        return done[name]

    return {name: of(name) for name in direct}


def filled(value, fields):
    if isinstance(value, dict):
        return {filled(key, fields): filled(inner, fields) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, fields) for inner in value]
    if not isinstance(value, str):
        return value
    if whole := FIELD.fullmatch(value):
        return section(fields, whole[1])
    return FIELD.sub(lambda match: str(section(fields, match[1])), value)


def section(tree, path):
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            raise ValueError(f"params.yaml: {path}: missing, but dvc.yaml names it")
        tree = tree[key]
    return tree
