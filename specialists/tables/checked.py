"""Whether params.yaml names only what exists; the stage `code` checks it before anything trains.

The stage that needs a missing row would come hours later. Files of methods are parsed, never imported.
"""

import ast

from specialists.tables.rows import again, listed
from specialists.tables.titles import ROOM, parsed, source

# Axis of `table` -> the section whose rows it names.
SECTIONS = {
    "networks": "networks",
    "generalists": "methods",
    "methods": "methods",
    "generalists_again": "methods",
    "methods_again": "methods",
    "students": "distill.methods",
}


def checked(tree):
    """The params, if every row exists that `table`, the chosen cell and the student name."""
    table = _section(tree, "table")
    for axis, values in table.items():
        if not isinstance(values, list):
            found = f"{values!r} is {type(values).__name__}"
            raise ValueError(f"params.yaml: table.{axis}: {found}, expected list")
        for row in values if axis in SECTIONS else []:
            _row(tree, f"table.{axis}", row, SECTIONS[axis])
    _row(tree, "network", _section(tree, "network"), "networks")
    _row(tree, "method", _section(tree, "method"), "methods")
    _one_of(tree, "seed", _section(tree, "table.seeds"), "table.seeds, which have base models")
    if len(_section(tree, "table.members")) < 2:
        raise ValueError("params.yaml: table.members: name two at least, an ensemble")
    counts = ["all", *range(1, len(_section(tree, "table.members")) + 1)]
    _one_of(tree, "k", counts, "the numbers of table.members")
    if "networks" in table:  # students have a teacher and base models of their own
        _one_of(tree, "network", table["networks"], "table.networks, which have base models")
        _places(tree)
        _second(tree)
        methods = [f"{method}-k{k}" for k in _section(tree, "table.ks") for method in table["methods"]]
        _one_of(tree, "distill.teacher", [*table["generalists"], *methods], "the rows of table")
        for row in _section(tree, "paired.networks") if "paired" in tree else []:
            if row not in table["networks"]:
                raise ValueError(
                    f"params.yaml: paired.networks: {row!r} is not in table.networks; "
                    f"known: {listed(table['networks'])}"
                )
    else:
        _row(tree, "distill.network", _section(tree, "distill.network"), "networks")
        if tree["distill"]["network"] == tree["network"]:
            raise ValueError(
                f"params.yaml: distill.network: {tree['network']!r} is the teacher's row; add another"
            )
        _one_of(tree, "k", counts[1:], "the numbers of table.members")
        _one_of(tree, "distill.champion", table["students"], "table.students")
        budgets = _section(tree, "distill.budgets")
        for row in table["students"]:
            _one_of(tree, f"distill.methods.{row}.budget", budgets, "the rows of distill.budgets")
    formats = sorted(path.parent.name for path in ROOM.glob("data/*/read.py"))
    _one_of(tree, "data.format", formats, "the folders of specialists/data")
    return tree


def _places(tree):
    """A method stands among generalists if and only if its loss asks for no k."""
    for axis in ("generalists", "methods"):
        for row in _section(tree, f"table.{axis}"):
            file = source(row, tree["methods"][row], "methods")
            if takes_k(file) != (axis == "methods"):
                said = "takes k" if axis == "generalists" else "takes no k"
                other = "methods" if axis == "generalists" else "generalists"
                raise ValueError(
                    f"params.yaml: table.{axis}: the loss of {row!r} {said}; it belongs to table.{other}"
                )


def _second(tree):
    """A second generation has a first one in the table, its settings, and a place of its own."""
    table = tree["table"]
    for axis in ("generalists", "methods"):
        for row in table.get(f"{axis}_again", []):
            if row not in table[axis]:
                raise ValueError(
                    f"params.yaml: table.{axis}_again: {row!r} is not in table.{axis}; "
                    f"known: {listed(table[axis])}"
                )
            _row(tree, f"table.{axis}_again", again(row), "methods")
            _equal(tree["methods"], row, again(row))
    named = {"table.generalists": table["generalists"], "table.methods": table["methods"]}
    named["method"] = [tree["method"]]
    for place, rows in named.items():
        if second := [row for row in rows if row.endswith(again(""))]:
            raise ValueError(
                f"params.yaml: {place}: {second[0]!r} is a second generation; table.methods_again or "
                "table.generalists_again names the first"
            )


def _equal(methods, *rows):
    file = source(rows[0], methods[rows[0]], "methods")
    first, second = (methods[row] | {"method": file} for row in rows)
    if first != second:
        raise ValueError(f"params.yaml: methods.{rows[1]}: {second}, expected that of {rows[0]}: {first}")


def takes_k(file):
    functions = [node for node in parsed(f"methods/{file}.py").body if isinstance(node, ast.FunctionDef)]
    return any(each.name == "loss" and "k" in [a.arg for a in each.args.args] for each in functions)


def _row(tree, place, row, section):
    """Check a row of a section that a place names; a network or method needs its file, too."""
    rows = _section(tree, section)
    if not isinstance(rows, dict):
        raise ValueError(f"params.yaml: {section}: {rows!r} is {type(rows).__name__}, expected rows")
    if row not in rows:
        raise ValueError(f"params.yaml: {place}: {row!r} is not a row of {section}; known: {listed(rows)}")
    if not isinstance(rows[row], dict):
        found = f"{rows[row]!r} is {type(rows[row]).__name__}"
        raise ValueError(f"params.yaml: {section}.{row}: {found}, expected settings, or {{}} for none")
    if section in ("networks", "methods"):
        file = f"{section}/{source(row, rows[row], section)}.py"
        if not (ROOM / file).exists():
            raise ValueError(f"params.yaml: {section}.{row}: there is no specialists/{file}")


def _one_of(tree, place, known, which):
    value = _section(tree, place)
    if value not in known:
        raise ValueError(f"params.yaml: {place}: {value!r} is not among {which}; known: {listed(known)}")


def _section(tree, path):
    for key in path.split("."):
        if not isinstance(tree, dict) or key not in tree:
            raise ValueError(f"params.yaml: {path}: missing")
        tree = tree[key]
    return tree
