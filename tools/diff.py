"""python -m tools.diff OLD NEW

The table of this folder's pipeline at two revisions or experiments, as markdown for a review: what top-1 and
oracle were, are, and by how much they differ. NEW may be `.`, the files as they are; an experiment goes by
the name that `dvc exp show` prints. The row `cell` is that of the cell lane, of any two methods. A difference
within the larger of the two standard deviations over seeds is *noise*, any other *beyond* it, which with few
seeds is no proof; with one seed nothing is known, and ? says so. A row is left out when all its numbers are
the same. Two rows of one table: python -m tools.compare.

reads   dvc.lock, metrics/table.json and metrics/cell.json in git at OLD and NEW; params: methods, for titles
        and their order
writes  nothing
"""

from specialists.base.command import run
from specialists.base.params import load
from specialists.tables import students
from specialists.tables.titles import titles
from tools.revisions import LANE, TABLE, table

TOLD = ("report", "network", "method", "k")  # elsewhere in a line


def main(old: str, new: str):
    tables = table(old), table(new)
    if tables == ({}, {}):
        raise ValueError(f"{old} and {new}: neither has {TABLE} or {LANE} in this folder")
    called = titles(load()["methods"])
    print(markdown(*tables, called), end="")


def markdown(old, new, called):
    """One line per row that is in either table, except rows that are equal in both.

    `called` maps the methods of today to their titles, in the order of their rows.
    """
    called = called | students.TITLES
    lines = [
        "| row | top-1 old | new | difference | | oracle old | new | difference | | others |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    every = new | {name: row for name, row in old.items() if name not in new}
    for name, row in sorted(every.items(), key=lambda item: (item[0] == "cell", place(item[1], called))):
        rows = old.get(name), new.get(name)
        if rows[0] == rows[1]:
            continue
        named = dict.fromkeys(title(each, called) for each in rows if each)
        cells = [("cell: " if name == "cell" else "") + ", then ".join(named)]
        for numbers in zip(*(shown(row) if row else (None, None) for row in rows), strict=True):
            cells += compared(*numbers)
        lines.append(f"| {' | '.join([*cells, others(*rows)])} |")
    same = sum(old.get(name) == row for name, row in new.items())
    lines = [*lines, ""] if len(lines) > 2 else []
    return "\n".join([*lines, f"{same} of {len(new)} rows are the same."]) + "\n"


def others(old, new):
    """Which other numbers of a row have changed, and by how much."""
    if not old or not new:
        return ""
    changed = []
    for name, value in new["report"].items():
        was = old["report"].get(name)
        if name not in ("top1", "oracle") and value != was:
            changed.append(f"{name} {value['mean'] - was['mean']:+.3g}" if was else f"{name} new")
    return ", ".join(changed + [key for key in new if key not in TOLD and new[key] != old.get(key)])


def shown(row):
    return row["report"]["top1"], row["report"]["oracle"]


def compared(old, new):
    """(old, new, difference, verdict) of one number."""
    means = [value and f"{value['mean']:.2f}" for value in (old, new)]
    if old is None or new is None:
        return [means[0] or "", means[1] or "", "", "gone" if new is None else "new"]
    difference = new["mean"] - old["mean"]
    spreads = [value["std"] for value in (old, new) if value["std"] is not None]
    verdict = "?" if not spreads else "noise" if abs(difference) <= max(spreads) else "**beyond**"
    return [*means, f"{difference:+.2f}", "" if difference == 0 else verdict]


def place(row, called):
    """Where a row stands in its table: generalists, then by k, then students."""
    k = row["k"] or (99 if row["method"] in ("student", *students.TITLES) else 0)
    return row["network"], k, [*called, row["method"]].index(row["method"])


def title(row, called):
    k = [] if row["k"] is None else [f"k = {row['k']}"]
    return " ".join([row["network"].upper(), called.get(row["method"], row["method"]), *k])


if __name__ == "__main__":
    run(main)
