"""From the metrics of students, their teachers and what both cost, to the table of students."""

from dataclasses import dataclass

from specialists.students import MODALITIES
from specialists.tables.rows import cell, listed, name
from specialists.tables.table import NUMBERS, number, over, text

# Titles of the published rows; any other row is called by its name.
TITLES = {
    "alone": "alone",
    "alone_long": "alone, for as long as the others",
    "kd": "KD, the ensemble's mean",
    "kd_member": "KD, one member",
    "kd_choice": "KD, each example's specialist",
    "msd_population": "MSD, weights of the population",
    "msd_instance": "MSD, weights by saliency",
    "msd_meta": "MSD, learned weights",
}
MEASURED = (*NUMBERS, *(f"{modality}_alone" for modality in MODALITIES))
COST = ("parameters", "flops", "latency_1_ms", "latency_64_ms")


@dataclass(frozen=True)
class Axes:
    """`table` of params.yaml: a teacher per seed, made of these members, and the students that it has."""

    students: list[str]
    members: list[int]
    seeds: list[int]

    def __post_init__(self):
        for axis, values in vars(self).items():
            if not values:
                raise ValueError(f"{axis}: is empty; name at least one")
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{axis}: {listed(sorted(twice))} stands twice")
        if "alone" not in self.students:
            raise ValueError("students: alone is missing, which the others are measured by")


def table(axes, teacher, network, metrics, alone, cost):
    """Row name -> numbers, the ensemble first; `metrics` and `alone` go by cell, `cost` by network."""
    rows = {name(*teacher): _row(axes, *teacher, metrics, alone, cost)}
    for student in axes.students:
        rows[name(network, student, None)] = _row(axes, network, student, None, metrics, alone, cost)
    low, high = rows[name(network, "alone", None)], rows[name(*teacher)]
    for row in rows.values():
        row["recovered"] = _gap(low, row) / _gap(low, high) if _gap(low, high) else None
    return rows


def _gap(low, high):
    return high["report"]["top1"]["mean"] - low["report"]["top1"]["mean"]


def _row(axes, network, method, k, metrics, alone, cost):
    cells = [cell(network, method, k, seed) for seed in axes.seeds]
    row = {"network": network, "method": method, "k": k, "n": len(cells), **cost[network]}
    for split in ("select", "report"):
        row[split] = {n: _over(cells, "cells", metrics, split, n) for n in NUMBERS}
        row[split] |= {f"{m}_alone": _over(cells, "alone/cells", alone, split, m) for m in MODALITIES}
    return row


def _over(cells, folder, found, *keys):
    values = [number(f"{folder}/{each}", found[each], *keys) for each in cells]
    return over(values)


def _student(row):
    return row["k"] is None


def _title(row):
    method = row["method"]
    return TITLES.get(method, method) if _student(row) else "the ensemble"


def markdown(rows):
    """The table as a person reads it; bold is the best student."""
    lines = [
        "| network | method | top-1 | recovered | image alone | question alone | NLL | ECE "
        "| parameters | MFLOPs | ms, batch 1 | ms, batch 64 |",
        "|" + "---|" * 12,
    ]
    best = max(row["report"]["top1"]["mean"] for row in rows.values() if _student(row))
    for row in rows.values():
        bold = "**" if _student(row) and row["report"]["top1"]["mean"] == best else ""
        words = [
            row["network"].upper(),
            _title(row),
            f"{bold}{text(row, 'top1')}{bold}",
            "" if row["recovered"] is None else f"{100 * row['recovered']:.0f} %",
            *(text(row, each) for each in ("image_alone", "question_alone", "nll", "ece")),
            f"{row['parameters']:,}",
            f"{row['flops'] / 1e6:.1f}",
            f"{row['latency_1_ms']:.2f}",
            f"{row['latency_64_ms']:.1f}",
        ]
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def csv(rows):
    """The same numbers, one line per row, means and standard deviations in columns."""
    over = [(split, n, part) for split in ("select", "report") for n in MEASURED for part in ("mean", "std")]
    lines = [["network", "method", "k", "n", *COST, "recovered", *("_".join(column) for column in over)]]
    for row in rows.values():
        values = (row["recovered"], *(row[split][n][part] for split, n, part in over))
        numbers = ["" if value is None else f"{value:.4f}" for value in values]
        whole = [row["network"], row["method"], row["k"] or "", row["n"], *(row[name] for name in COST)]
        lines.append([*map(str, whole), *numbers])
    return "\n".join(map(",".join, lines)) + "\n"


def picture(rows):
    """Every student between the one that learned alone and the ensemble."""
    from specialists.tables.figures import plt  # half a second, which verify saves

    figure, axes = plt.subplots(figsize=(8, 0.8 + 0.42 * len(rows)))
    for y, row in enumerate(reversed(rows.values())):
        top1, colour = row["report"]["top1"], "#1f6feb" if _student(row) else "#57606a"
        look = {"color": colour, "marker": "o", "capsize": 4, "linewidth": 2}
        axes.errorbar(top1["mean"], y, xerr=top1["std"], **look)
        if row["recovered"] in (0, 1):
            axes.axvline(top1["mean"], color="#57606a", linestyle=":", linewidth=1)
    axes.set_yticks(range(len(rows)), [_title(row) for row in reversed(rows.values())])
    axes.set_xlabel("top-1 in %")
    axes.grid(axis="x", alpha=0.3)
    return figure
