"""python -m tools.pages

Put each table into its page, README.md or one of docs/, between the markers that name its file, and the list
of all files into docs/files.md. In a table each row ends with the name of its run in MLflow, which links to
its metrics, and with links to its params and its stage. The machine stands below. Run it in the repository
root, after `dvc repro`; a test fails when a page differs.

reads   metrics/table.*, metrics/paired, metrics/selected, metrics/environment, params.yaml, dvc.yaml, here
        and in pipelines/; metrics/sparse.json and metrics/cost.json; the docstring of each file
writes  README.md, docs/; docs/finding.png: what MCL-KD gains, and over whom; docs/scales.png: accuracy and
        operations in the whole repository
"""

import csv
import re
from pathlib import Path

from specialists.base.command import output, run
from specialists.base.files import read_json, replacing
from specialists.base.params import load
from specialists.tables.rows import cell
from specialists.tracking import pipeline
from tools import candidates, files, gains, scales
from tools.reproduce import duration

WHAT = r"metrics/(table|slides|sparse|specialties/\w+)\.md|gains|candidates|files"
OWN = {"gains": gains, "candidates": candidates, "files": files}
MARKED = re.compile(rf"(<!-- (\S*?)(?:{WHAT}) -->\n).*?(<!-- end -->)", re.DOTALL)


def main():
    root = Path(".")
    gains.draw(root)
    scales.draw(root)
    for name in pages(root):
        text = filled((root / name).read_text(), name, root)
        with replacing(root / name) as draft:
            draft.write_text(text)


def pages(root):
    """The paths of the pages, from the root."""
    return ["README.md", *sorted(f"docs/{page.name}" for page in (root / "docs").glob("*.md"))]


def filled(text, name, root):
    """The page of that name with the tables as they are in the files."""
    up = "../" * name.count("/")

    def table(marked):
        opening, folder, kind, end = marked.groups()
        if kind is None:
            own = opening.split()[1].removeprefix(folder)
            return opening + OWN[own].markdown(root / folder) + end
        if kind != "table":
            return opening + (root / f"{folder}metrics/{kind}.md").read_text() + end
        return opening + linked(root, folder).replace("](", f"]({up}") + origin(root / folder) + end

    return MARKED.sub(table, text)


def faults(root):
    """(page, how it differs from the tables in git); each table has its markers once, in one page."""
    marked = []
    for name in pages(root):
        try:
            text = (root / name).read_text()
            marked += [f"{m[2]}metrics/{m[3]}.md" for m in MARKED.finditer(text)]
            if filled(text, name, root) != text:
                yield name, "a table or its links are not as computed; run python -m tools.pages"
        except (OSError, ValueError, KeyError) as error:
            yield name, f"cannot be compared with the tables ({error})"
    kinds = [f"*metrics/{kind}.md" for kind in ("table", "slides", "sparse")]
    for table in output("git", "ls-files", *kinds, folder=root).split():
        if marked.count(table) != 1:
            yield table, f"{marked.count(table)} times between markers in README.md and docs/, not once"


def linked(root, folder):
    """The table of the pipeline in `folder` (empty or with a slash at its end), with links."""
    title, rule, *lines = (root / f"{folder}metrics/table.md").read_text().splitlines()
    order = csv.DictReader((root / f"{folder}metrics/table.csv").read_text().splitlines())
    params = load(root / f"{folder}params.yaml")
    stages = pipeline.resolved(pipeline.stages(root / f"{folder}dvc.yaml"), params)
    done = [f"{title} run, params, stage |", f"{rule}---|"]
    for line, row in zip(lines, order, strict=True):
        name = cell(row["network"], row["method"], row["k"] or None, params["table"]["seeds"][0])
        stage = trainer(stages, name)
        section = own_params(stages[stage], row["method"])
        ran = f"[`{name}`]({folder}metrics/cells/{name}.json)"
        where = link(root, "params", f"{folder}params.yaml", section, section)
        made = link(root, "stage", f"{folder}dvc.yaml", f"stages.{stage.split('@')[0]}", stage)
        done.append(f"{line} {ran} {where} {made} |")
    return "\n".join(done) + "\n"


def origin(folder):
    """The machines that computed the numbers of a table, and the time of stages that train or measure."""
    records = folder.glob("metrics/environment/**/*.json")
    ran = [read_json(path) for path in records if path.name not in ("bench.json", "cell.json")]
    if not ran:
        return ""
    machines = sorted({machine(each) for each in ran})
    took = duration(sum(each["wall_seconds"] for each in ran))
    return f"\nComputed on {' and '.join(machines)}. Training and measuring took one thread {took}.\n"


def machine(environment):
    """Processor and torch; in brackets what makes processors of one name round differently to bf16."""
    kept = environment["capabilities"] if "capabilities" in environment else []  # unknown of older numbers
    told = f" ({', '.join(tells)})" if (tells := [each for each in kept if each.endswith("bf16")]) else ""
    return f"{environment['processor']}{told}, torch {environment['torch']}"


def trainer(stages, name):
    """The stage that trains a cell, known by the curve that it writes."""
    curve = f"metrics/curves/cells/{name}.json"
    for stage, content in stages.items():
        if curve in pipeline.paths(content)["outs"]:
            return stage
    raise ValueError(f"dvc.yaml: no stage makes {curve}, of which metrics/table.csv has a row")


def own_params(stage, method):
    """The section of params.yaml that sets a row apart: its method's, or the student's."""
    own = [f"methods.{method}", f"distill.methods.{method}", "distill"]
    return next(section for section in own if section in stage["params"])


def link(root, text, path, key, hint):
    """A link to the line that opens a key of dvc.yaml or params.yaml; dots separate the levels of the key."""
    names, found = key.split("."), []  # the levels of `key` that the line lies in
    for number, line in enumerate((root / path).read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        found = found[:depth]
        if len(found) == depth < len(names) and line.strip().startswith(f"{names[depth]}:"):
            found.append(names[depth])
        if found == names:
            return f'[{text}]({path}#L{number} "{hint}")'
    raise ValueError(f"{path}: no {key}, which a row of the table comes from")


if __name__ == "__main__":
    run(main)
