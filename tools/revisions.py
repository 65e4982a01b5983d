"""What a pipeline's folder held at a revision or at an experiment of `dvc exp run`, or holds now (`.`)."""

import re
from pathlib import Path

from specialists.base.command import output
from specialists.tables.table import NUMBERS, number, over
from specialists.tracking import cells, pipeline

TABLE, LANE, LOCK = "metrics/table.json", "metrics/cell.json", "dvc.lock"
CELL = re.compile(r"metrics/(cells/(.+)-s(\d+))\.json")


def experiments(baseline=None):
    """Name -> commit of the experiments that DVC keeps, the oldest first: all, or those of one commit."""
    place = f"{baseline[:2]}/{baseline[2:]}" if baseline else "??/*"
    form = "--format=%(refname:lstrip=-1) %(objectname)"
    lines = output("git", "for-each-ref", "--sort=committerdate", form, f"refs/exps/{place}/*").splitlines()
    return dict(line.split() for line in lines)


def commit(name):
    """The whole name of the commit of a revision, or of an experiment."""
    try:
        return output("git", "rev-parse", "--verify", f"{name}^{{commit}}").strip()
    except ValueError:
        known = experiments()
    if name not in known:
        shown = ", ".join(reversed(known)) or "none"
        raise ValueError(f"{name!r} is not a revision, nor one of the experiments: {shown:.300}")
    return known[name]


def state(name, *paths):
    """(a function from the path of a file to its text, those of some paths that are there) at a revision."""
    if name == ".":
        return pipeline.here, {path for path in paths if Path(path).exists()}
    found = commit(name)
    return pipeline.at(found), {*output("git", "ls-tree", "--name-only", found, *paths).splitlines()}


def table(name):
    """The rows of its table, and as `cell` that of the cell lane; none of what there was not yet."""
    read, there = state(name, TABLE, LANE, LOCK)
    try:
        rows = pipeline.content(read, TABLE) if TABLE in there else {}
        if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
            raise ValueError(f"{TABLE} holds no table")
        return rows | (chosen(read) if {LANE, LOCK} <= there else {})
    except (ValueError, LookupError) as error:
        raise ValueError(f"{name}: its {error}") from None


def by_seed(name, *numbers):
    """Row -> number -> {seed: what it is on report}, of the cells that are there."""
    read, there = state(name, "metrics/cells/")
    if name == ".":
        there = {path.as_posix() for path in Path("metrics/cells").glob("*.json")}
    found = {}
    for cell in filter(None, map(CELL.fullmatch, sorted(there))):
        metrics = pipeline.content(read, cell[0])
        for each in numbers:
            values = found.setdefault(cell[2], {}).setdefault(each, {})
            values[int(cell[3])] = number(cell[1], metrics, "report", each)
    return found


def chosen(read):
    """{`cell`: the row of the cell lane, with its one seed}, of a pipeline that has one."""
    if (lane := cells.lane(pipeline.stages(LOCK, read(LOCK)), read)) is None:
        return {}
    metrics = pipeline.content(read, LANE)
    row = dict(zip(("network", "method", "k", "seed"), lane, strict=True)) | {"n": 1}
    for split in ("select", "report"):
        row[split] = {each: over([number("cell", metrics, split, each)]) for each in NUMBERS}
    return {"cell": row}
