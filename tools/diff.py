"""python -m tools.diff OLD NEW

The table at two revisions or experiments: as markdown for a review, of this folder's pipeline, what top-1 and
oracle were, are, and by how much they differ. NEW may be `.`, the files as they are; an experiment goes by
the name that `dvc exp show` prints. The row `cell` is that of the cell lane, of any two methods. After a
difference stands half of its interval of 95 %, paired over seeds (specialists/tables/paired.py): what is
within it is *noise*, any other difference *beyond* it. With one seed, or other seeds, nothing is known, and ?
says so. A row is left out when all its numbers are the same. Two rows of one table: python -m tools.compare.

reads   dvc.lock, metrics/table.json, metrics/cells and metrics/cell.json in git at OLD and NEW; params:
        methods, for titles and their order
writes  nothing
"""

from specialists.base.command import run
from specialists.base.params import load
from specialists.tables import students
from specialists.tables.paired import interval
from specialists.tables.titles import titles
from tools.revisions import LANE, TABLE, by_seed, table

TOLD = ("report", "network", "method", "k")  # elsewhere in a line
SHOWN = ("top1", "oracle")


def main(old: str, new: str):
    tables = table(old), table(new)
    if tables == ({}, {}):
        raise ValueError(f"{old} and {new}: neither has {TABLE} or {LANE} in this folder")
    called = titles(load()["methods"])
    print(markdown(*tables, called, [by_seed(each, *SHOWN) for each in (old, new)]), end="")


def markdown(old, new, called, seeds=({}, {})):
    """One line per row that is in either table, except rows that are equal in both.

    `called` maps the methods of today to their titles, in the order of their rows; `seeds` is of both what
    `by_seed` returns.
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
        for number in SHOWN:
            means = (row and row["report"][number]["mean"] for row in rows)
            cells += compared(*means, *(each.get(name, {}).get(number, {}) for each in seeds))
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


def compared(old, new, old_S, new_S):
    """(old, new, difference, verdict) of one number: two means, and {seed: value} of both."""
    means = ["" if value is None else f"{value:.2f}" for value in (old, new)]
    if old is None or new is None:
        return [*means, "", "gone" if new is None else "new"]
    difference = f"{new - old:+.2f}"
    if old == new or old_S.keys() != new_S.keys() or len(new_S) < 2:
        return [*means, difference, "" if old == new else "?"]
    middle, half, _ = interval([[new_S[seed] - old_S[seed]] for seed in new_S])
    return [*means, f"{difference} ± {half:.2f}", verdict(middle, half)]


def verdict(middle, half):
    """What to make of a difference and half of its interval."""
    return "noise" if abs(middle) <= half else "**beyond**"


def place(row, called):
    """Where a row stands in its table: generalists, then by k, then students."""
    k = row["k"] or (99 if row["method"] in ("student", *students.TITLES) else 0)
    return row["network"], k, [*called, row["method"]].index(row["method"])


def title(row, called):
    k = [] if row["k"] is None else [f"k = {row['k']}"]
    return " ".join([row["network"].upper(), called.get(row["method"], row["method"]), *k])


if __name__ == "__main__":
    run(main)
