"""Every file of the code and its job, as the file's own docstring says it. `tools.pages` uses it."""

import re

TOPS = ("stages", "tools", "specialists")


def markdown(root):
    lines = []
    for folder in sorted({path.parent for top in TOPS for path in (root / top).rglob("*.py")}):
        name = folder.relative_to(root)
        lines += ["", f"## {name}", "", *(f"{job(path)}\n" for path in folder.glob("__init__.py"))]
        files = [path for path in sorted(folder.glob("*.py")) if path.stem[0] != "_"]
        lines += ["| file | its job |", "|---|---|"] if files else []
        lines += [f"| [{path.name}](../{name}/{path.name}) | {job(path)} |" for path in files]
    return "\n".join([*lines, ""])


def job(path):
    """The first sentence of its docstring, after the line that says how a command is called."""
    text = path.read_text().partition('"""')[2].partition('"""')[0]
    text = re.sub(r"^python -m [\w.]+(: |( [^:\n]+)?\n\n)", "", text).split("\n\n")[0]
    first = re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(text.split()))[0]
    return first[:1].upper() + first[1:].replace("|", "\\|")
