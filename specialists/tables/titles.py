"""What rows and groups are called, read from the files of methods and data sets.

The files are parsed, never imported, so a title needs no torch. No stage depends on a title: what changes a
method's settings changes its numbers too.
"""

import ast
from pathlib import Path

ROOM = Path(__file__).parents[1]


def titles(methods):
    """Row -> title, of the rows of params `methods` and of the student; no two are the same."""
    called = {}
    for row, settings in methods.items():
        own = title(row, settings)
        called[row] = f"{own} ({row})" if own in called.values() else own
    return called | {"student": "student"}


def title(row, settings):
    """`MCL-KD+FS`: what its method's docstring says before the colon, and whether features are shared.

    `IE+` that shares is `IE+FS`. A row of averaged weights says so, and one of a second generation.
    """
    file = source(row, settings, "methods")
    first = (ast.get_docstring(parsed(f"methods/{file}.py")) or "").partition("\n")[0]
    own, colon, _ = first.partition(":")
    own = own if colon else file.upper().replace("_", "-")
    own = own.removesuffix("+") + "+FS" if "sharing" in settings else own
    return own + ", averaged" * ("average" in settings) + ", again" * row.endswith("_again")


def source(row, settings, section):
    """The file that computes a row of networks or methods: of the row's name, or of one that it gives."""
    key = section.removesuffix("s")
    return settings[key] if key in settings else row


def group(format):
    """`question family`: what a data set calls the groups of its examples, GROUP in its __init__.py."""
    for node in parsed(f"data/{format}/__init__.py").body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "GROUP":
            return ast.literal_eval(node.value)
    raise ValueError(f"specialists/data/{format}/__init__.py: names no GROUP, which its examples come in")


def parsed(path):
    try:
        return ast.parse((ROOM / path).read_text())
    except (OSError, SyntaxError) as error:
        raise ValueError(f"specialists/{path}: cannot be read ({error})") from None
