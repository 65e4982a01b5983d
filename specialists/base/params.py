"""params.yaml -> arguments, strictly: the signature of what a section configures is the section's schema.

A section is bound to the dataclass, class or function that it sets up (`read("world", World)`,
`configure("methods.cmcl", cmcl)`). Its keys are the fields of a dataclass, or the keyword-only parameters of
anything else. An unknown key, a missing key or a value of another type is an error of one line that names
the place.
"""

import inspect
import math
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path

import yaml


def load(path="params.yaml"):
    """The whole file as plain dicts."""
    try:
        tree = yaml.load(Path(path).read_text(), _Strict)
    except FileNotFoundError:
        raise ValueError(
            f"{path}: not found in {Path.cwd()}; run from the folder that holds params.yaml"
        ) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # not UTF-8, a number of 5,000 digits
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: found {type(tree).__name__}, expected a mapping of sections")
    return tree


class _Strict(yaml.SafeLoader):
    """YAML forbids a key to stand twice; PyYAML takes the last without a word."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"{', '.join(sorted(twice))} stands twice, at{node.start_mark}")
        return super().construct_mapping(node, deep)


def read(section, make, *given, beside=(), path="params.yaml"):
    """`make(*given, **settings)` with the settings of one section; int, float, str, list[...] as they are.

    Keys `beside` the settings are for somebody else.
    """
    settings, place = _section(section, path), f"{path}: {section}"
    if make in (int, float, str, bool) or hasattr(make, "__origin__"):
        return _checked(settings, make, place)
    return _placed(place, make, *given, **_settings(make, settings, place, beside))


def configure(section, function, beside=(), path="params.yaml"):
    """`function` with its keyword-only arguments set from one section, the others left to the caller."""
    place = f"{path}: {section}"
    return partial(_placed, place, function, **_settings(function, _section(section, path), place, beside))


def optional(section, key, kind, default, path="params.yaml"):
    """The value of a key that a section may leave out."""
    settings = _section(section, path)
    there = isinstance(settings, dict) and key in settings
    return read(f"{section}.{key}", kind, path=path) if there else default


def seen():
    """All that this process has read of params.yaml, and that can have decided its result."""
    return dict(_seen)


_seen = {}


def _section(section, path):
    found, trail = load(path), []
    for key in section.split("."):
        trail.append(key)
        if not isinstance(found, dict) or key not in found:
            known = ", ".join(map(str, found)) if isinstance(found, dict) else "nothing"
            raise ValueError(f"{path}: {'.'.join(trail)}: missing; found beside it: {known[:200]}")
        found = found[key]
    _seen[section] = found
    return found


def _placed(place, function, *given, **settings):
    try:
        return function(*given, **settings)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _settings(make, settings, place, beside=()):
    """Settings checked against the fields of a dataclass or the keyword-only parameters of anything else."""
    if not isinstance(settings, dict):
        raise ValueError(f"{place}: {settings!r} is not a mapping")
    settings = {name: value for name, value in settings.items() if name not in beside}
    known = inspect.signature(make).parameters
    if any(p.kind is not p.KEYWORD_ONLY for p in known.values()) and not is_dataclass(make):
        known = {name: p for name, p in known.items() if p.kind is p.KEYWORD_ONLY}
    for name in settings:
        if name not in known:
            raise ValueError(f"{place}.{name}: unknown key; known: {', '.join(known) or 'none'}")
    for name, parameter in known.items():
        if name not in settings and parameter.default is parameter.empty:
            raise ValueError(f"{place}.{name}: missing; known: {', '.join(known)}")
    return {
        name: _checked(value, known[name].annotation, f"{place}.{name}") for name, value in settings.items()
    }


def _checked(value, kind, place):
    """A value of exactly the annotated type; an int may stand for a float, a bool for neither.

    A mapping may stand for a dataclass, whose fields are checked alike.
    """
    try:
        if type(value) in (int, float) and not math.isfinite(value):
            raise OverflowError
    except OverflowError:
        raise ValueError(f"{place}: expected a finite number, of at most 300 digits") from None
    if kind is float and type(value) is int:
        return float(value)
    if is_dataclass(kind):
        return _placed(place, kind, **_settings(kind, value, place))
    origin = getattr(kind, "__origin__", None)
    if origin is list and isinstance(value, list):
        return [_checked(item, kind.__args__[0], f"{place}[{i}]") for i, item in enumerate(value)]
    if type(value) is not (origin or kind):
        hint = " (YAML reads 5e-4 as text: write 5.0e-4)" if kind is float and isinstance(value, str) else ""
        raise ValueError(
            f"{place}: {value!r} is {type(value).__name__}, expected {getattr(kind, '__name__', kind)}{hint}"
        )
    return value
