"""python -m stages.pages

Put each table into its page, README.md or one of docs/: between the markers that name its file. There a
method links to its params, its top-1 to the stage that computed it, and the name of its run in MLflow to its
metrics; below stands which machine it was. For the repository root, after `dvc repro`; a test fails when the
two differ.

reads   README.md, docs/, metrics/table.*, metrics/environment, params.yaml, dvc.yaml, here and in pipelines/
writes  README.md, docs/
"""

import csv
import re
from pathlib import Path

from specialists.files import read_json, replacing
from specialists.params import load
from stages import output, run

MARKED = re.compile(r"(<!-- (\S*?)metrics/table\.md -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    root = Path(".")
    for name in pages(root):
        text = filled((root / name).read_text(), name, root)
        with replacing(root / name) as draft:
            draft.write_text(text)


def pages(root):
    """Of the pages, from the root."""
    return ["README.md", *sorted(f"docs/{page.name}" for page in (root / "docs").glob("*.md"))]


def filled(text, name, root):
    """The page of that name with the tables as they are in the files."""
    up = "../" * name.count("/")

    def table(marked):
        opening, folder, end = marked.groups()
        return opening + linked(root, folder).replace("](", f"]({up}") + origin(root / folder) + end

    return MARKED.sub(table, text)


def faults(root):
    """(page, in what it is not as the tables in git); each of these has its markers once, in one page."""
    marked = []
    for name in pages(root):
        try:
            text = (root / name).read_text()
            marked += [f"{m[2]}metrics/table.md" for m in MARKED.finditer(text)]
            if filled(text, name, root) != text:
                yield name, "a table or its links are not as computed; run python -m stages.pages"
        except (OSError, ValueError, KeyError) as error:
            yield name, f"cannot be compared with the tables ({error})"
    for table in output("git", "ls-files", "*metrics/table.md", folder=root).split():
        if marked.count(table) != 1:
            yield table, f"{marked.count(table)} times between markers in README.md and docs/, not once"


def linked(root, folder):
    """The table of the pipeline in `folder` (empty or with a slash at its end), with links."""
    title, rule, *lines = (root / f"{folder}metrics/table.md").read_text().splitlines()
    table = read_json(root / f"{folder}metrics/table.json")
    names = {(row["network"], row["method"], str(row["k"] or "")): name for name, row in table.items()}
    order = csv.DictReader((root / f"{folder}metrics/table.csv").read_text().splitlines())
    axes = load(root / f"{folder}params.yaml")["table"]
    seed, students = axes["seeds"][0], axes.get("students", [])
    columns = [column.strip() for column in title.split("|")[1:-1]]
    done = [f"{title} run |", f"{rule}---|"]
    for line, row in zip(lines, order, strict=True):
        shown = dict(zip(columns, line.split("|")[1:-1], strict=True))
        stage, section = maker(row, seed, students)
        shown["method"] = link(root, shown["method"], f"{folder}params.yaml", section, section)
        shown["top-1"] = link(
            root, shown["top-1"], f"{folder}dvc.yaml", f"stages.{stage.split('@')[0]}", stage
        )
        name = f"{names[row['network'], row['method'], row['k']]}-s{seed}"
        shown["run"] = f"[`{name}`]({folder}metrics/cells/{name}.json)"
        done.append(f"| {' | '.join(text.strip() for text in shown.values())} |")
    return "\n".join(done) + "\n"


def origin(folder):
    """On which machines the stages that train wrote the numbers of a table, and in what time."""
    files = [
        path for part in ("base", "cells") for path in (folder / f"metrics/environment/{part}").glob("*.json")
    ]
    if not files:
        return ""
    ran = [read_json(path) for path in files]
    machines = sorted({f"{each['processor']}, torch {each['torch']}" for each in ran})
    hours = sum(each["wall_seconds"] for each in ran) / 3600
    return f"\nComputed on {' and '.join(machines)}: {hours:.1f} hours of one thread.\n"


def maker(row, seed, students):
    """(the stage that trained a row's first seed, the section of its params)."""
    network, method, k = row["network"], row["method"], row["k"]
    if method in students:
        return f"student@{method}-{seed}", f"distill.methods.{method}"
    if students:
        return f"specialize@{seed}", f"methods.{method}"
    if method == "student":
        return f"distill@{network}-{seed}", "distill"
    if not k:
        return f"generalize@{network}-{method}-{seed}", f"methods.{method}"
    return f"specialize@{network}-{method}-{k}-{seed}", f"methods.{method}"


def link(root, text, path, key, hint):
    """To the line that opens a key of dvc.yaml or params.yaml, its levels separated by dots."""
    names, found = key.split("."), []  # the levels of `key` that the line lies in
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        found = found[:depth]
        if len(found) == depth < len(names) and line.strip().startswith(f"{names[depth]}:"):
            found.append(names[depth])
        if found == names:
            return f'[{text.strip()}]({path}#L{number} "{hint}")'
    raise ValueError(f"{path}: no {key}, which a row of the table comes from")


if __name__ == "__main__":
    run(main)
