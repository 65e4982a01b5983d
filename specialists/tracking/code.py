"""Code as a dependency: lists of the files that a stage can import, with digests of what they mean.

A changed comment changes no list; a changed line changes the lists of all that can run it. Where accepted.csv
says that new code was proved equal to old code, a list shows the digest of the old.
"""

import ast
import csv
import hashlib
import io
import os
import re
import tokenize
from functools import cache
from pathlib import Path

PACKAGES = ("stages", "specialists")
# Lists of data formats -> the file of a format that they begin with.
PARTS = {"data": "read", "stand_in": "stand_in", "features": "prepare", "picture": "picture"}
# They run the command line, record the machine and show progress; they cannot change a number.
HARMLESS = {f"specialists/base/{name}.py" for name in ("command", "environment", "progress")}
DIGEST = re.compile("[0-9a-f]{16}")
COLUMNS = ["pipeline", "list", "old", "new", "commit", "evidence"]


@cache
def meaning(source):
    """A source without comments, docstrings, blank lines and trailing blanks; other strings stay whole.

    All is cut by position: the remaining text is the same for every Python; trees and tokens are not.
    """
    source = _undocumented(source.replace("\r\n", "\n").replace("\r", "\n"))
    lines, held, begun = source.split("\n"), set(), []  # held: the lines that end inside a string
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind, row = tokenize.tok_name[token.type], token.start[0] - 1
        if kind == "COMMENT" and not begun:
            lines[row] = lines[row][: token.start[1]]
        elif kind.endswith("STRING_START"):  # of an f-string, which is one STRING before Python 3.12
            begun.append(row)
        elif kind == "STRING" or kind.endswith("STRING_END"):
            held |= set(range(row if kind == "STRING" else begun.pop(), token.end[0] - 1))
    lines = [line if row in held else line.rstrip() for row, line in enumerate(lines)]
    held |= {row + 1 for row, line in enumerate(lines) if line.endswith("\\")}
    return "\n".join(line for row, line in enumerate(lines) if line or row in held)


def _undocumented(source):
    """A source without docstrings, which go from last to first, for each moves what follows."""
    owners = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, owners)]
    texts = [node.body[0] for node in found if ast.get_docstring(node, clean=False) is not None]
    lines = source.encode().split(b"\n")
    for text in sorted(texts, key=lambda text: text.lineno, reverse=True):
        before = lines[text.lineno - 1][: text.col_offset]  # in bytes
        after = lines[text.end_lineno - 1][text.end_col_offset :]
        lines[text.lineno - 1 : text.end_lineno] = [before + re.sub(rb"^[ \t]*;[ \t]*", b"", after)]
    return b"\n".join(lines).decode()


def closure(file, root, known=None):
    """The files that one can import, itself among them, and the packages on the way that hold any code.

    `known`: what files import, as far as it was found in the same moment.
    """
    found, ahead, known = set(), {file}, {} if known is None else known
    while ahead:
        found |= ahead
        known |= {path: _imports(path, root) for path in ahead - known.keys()}
        ahead = set().union(*(known[path] for path in ahead)) - found - HARMLESS
    return sorted(path for path in found if path == file or meaning(_source(path, root)))


def _imports(file, root):
    """The project's files that a file imports, and the packages that it is in."""
    *package, name = Path(file).with_suffix("").parts
    found = set()
    for module in {*_modules(_source(file, root), tuple(package)), (*package, name)}:
        for end in range(1, len(module) + 1) if module[0] in PACKAGES else ():
            path = "/".join(module[:end])
            found |= {each for each in (f"{path}/__init__.py", f"{path}.py") if (Path(root) / each).is_file()}
    return found


@cache
def _modules(source, package):
    """What a source in a package may import; in `from module import name`, the name may be a module."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {tuple(each.name.split(".")) for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            module = node.module.split(".") if node.module else ()
            found |= {(*base, *module, each.name) for each in node.names}
    return found


def _source(file, root):
    try:
        source = (Path(root) / file).read_text(encoding="utf-8")
        meaning(source)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not Python: {error}") from None
    return source


def lists(root, params, wanted=None):
    """List -> (digest, {file: digest}): of each kind of stage, each row of params, each format of data.

    Of all of them, or of those `wanted`.
    """
    found, known = {}, {}
    for name, start in sorted(_starts(Path(root), params).items()):
        if wanted is not None and name not in wanted:
            continue
        paths = closure(start.relative_to(root).as_posix(), root, known)
        files = {path: _digest(meaning(_source(path, root))) for path in paths}
        found[name] = _digest("".join(f"{files[path]} {path}\n" for path in paths)), files
    return found


def _digest(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _starts(root, params):
    found = {path.stem: path for path in root.glob("stages/[!_]*.py") if path.stem != "code"}
    for room in ("networks", "methods"):
        if not isinstance(params.get(room), dict):
            raise ValueError(f"params.yaml: {room}: {params.get(room)!r}, expected a mapping of rows")
        for row, settings in params[room].items():
            found[f"{room}/{row}"] = _of_row(root / "specialists" / room, row, settings)
    for kind, name in PARTS.items():
        for path in root.glob(f"specialists/data/*/{name}.py"):
            found[f"{kind}/{path.parent.name}"] = path
    return found


def _of_row(room, row, settings):
    """The file of a row: the one with its name, or with the name under `network` or `method`."""
    place, key = f"params.yaml: {room.name}.{row}", room.name.removesuffix("s")
    if not isinstance(settings, dict) or not re.fullmatch(r"\w[\w+.-]*", str(row)):
        raise ValueError(f"{place}: {settings!r}: expected a plain name and a mapping of settings")
    files = {path.stem: path for path in sorted(room.glob("[!_]*.py"))}
    if key == "network":
        files = {name: path for name, path in files.items() if "class Network(" in path.read_text("utf-8")}
    name = settings[key] if key in settings else row
    if name not in files:
        known = ", ".join(files)
        raise ValueError(f"{place}: {name!r} is not a file of specialists/{room.name}; known: {known}")
    return files[name]


def here(root):
    """The folder of this pipeline, seen from the root; `.` is the root's own."""
    return Path(os.path.relpath(Path.cwd(), root)).as_posix()


def accepted(root, folder):
    """(list, new digest) -> old digest, for a pipeline; several acceptances lead back to the first digest."""
    found = {}
    for name, old, new, _ in proofs(root, folder):
        found[name, new] = found.get((name, old), old)
    return found


def proofs(root, folder):
    """(list, old digest, new digest, commit) of each row of accepted.csv that is about a pipeline."""
    path, found = Path(root) / "accepted.csv", []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            if next(rows, None) != COLUMNS:
                raise csv.Error(f"expected {','.join(COLUMNS)}")
            for row in rows:
                if len(row) != len(COLUMNS) or not all(map(DIGEST.fullmatch, row[2:4])):
                    raise csv.Error(f"found {row!r:.200}, expected {','.join(COLUMNS)}")
                if row[0] == folder:
                    found.append(tuple(row[1:5]))
    except FileNotFoundError:
        raise ValueError(f"{path}: not found; `code` of params.yaml leads to the repository") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: line {rows.line_num}: {error}") from None
    return found


def written(found, old):
    """Path in the folder `code` -> its digest, for each list; `old` is what `accepted` returns."""
    return {f"{name}.txt": f"{old.get((name, new), new)}\n" for name, (new, _) in found.items()}


def page(found, old):
    """Every list with its files, for people."""
    lines = []
    for name, (new, files) in found.items():
        shown = old.get((name, new), new)
        lines.append(f"{name} {shown}" if shown == new else f"{name} {shown}, accepted as {new}")
        lines += [f"  {each} {file}" for file, each in files.items()]
    return "\n".join(lines) + "\n"
