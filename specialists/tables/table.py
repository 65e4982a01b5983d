"""From the metrics of cells to the table: one row per network, method and k; mean, std and n over seeds."""

import sys
from statistics import mean, stdev

from specialists.tables.rows import cell, name

NUMBERS = ("top1", "oracle", "single", "single_min", "single_max", "nll", "ece")
MOST = sys.float_info.max


def table(axes, metrics, paper):
    """Row name -> plain numbers.

    `metrics` maps a cell's name to the content of metrics/cells/CELL.json, `paper` the (network, method, k)
    of a row to what was published.
    """
    rows = {name(*row): _row(axes, metrics, *row) for row in axes.rows()}
    for row in axes.rows():
        if row in paper:
            rows[name(*row)]["paper"] = paper[row]
    return rows


def _row(axes, metrics, network, method, k):
    names = [cell(network, method, k, seed) for seed in axes.seeds]
    row = {"network": network, "method": method, "k": k, "n": len(names)}
    row["parameters"] = number(f"cells/{names[0]}", metrics[names[0]], "parameters")
    for split in ("select", "report"):
        row[split] = {}
        for each in NUMBERS:
            values = [number(f"cells/{name}", metrics[name], split, each) for name in names]
            row[split][each] = over(values)
    return row


def over(values):
    """Mean and standard deviation over seeds; with one seed no deviation is known."""
    return {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}


def number(place, found, *keys):
    """The value under the keys in a file of metrics, in its range: what is said of a split is in percent."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    percent = keys[0] in ("select", "report") and keys[-1] != "nll"
    if type(found) not in (int, float) or not 0 <= found <= (100 if percent else MOST):
        right = "a number from 0 to 100" if percent else "a number of at least 0"
        raise ValueError(f"metrics/{place}.json: {'.'.join(keys)}: found {found!r:.100}, expected {right}")
    return found


SHOWN = {"top1": "top-1", "oracle": "oracle", "single": "single", "nll": "NLL", "ece": "ECE"}
PUBLISHED = {"top1": "paper top-1", "oracle": "paper oracle"}


def markdown(rows, titles):
    """The table as a person reads it; bold is a network's best top-1. `titles` maps methods to theirs."""
    paper = PUBLISHED if any("paper" in row for row in rows.values()) else {}
    heads = ["network", "method", "k", *SHOWN.values(), *paper.values()]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    best = _best(rows.values())
    for row in rows.values():
        words = [row["network"].upper(), titles[row["method"]], str(row["k"] or "")]
        words += [text(row, number) for number in SHOWN]
        if _top1(row) == best[row["network"]]:
            words[3] = f"**{words[3]}**"
        words += [f"{row['paper'][number]:.2f}" if "paper" in row else "" for number in paper]
        lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def _best(rows):
    """Network -> the highest top-1 of its ensembles."""
    ensembles = [row for row in rows if row["method"] != "student"]
    return {
        network: max(_top1(row) for row in ensembles if row["network"] == network)
        for network in {row["network"] for row in ensembles}
    }


def _top1(row):
    return row["report"]["top1"]["mean"]


def text(row, number):
    return shown(row["report"][number], 3 if number == "nll" else 2)


def shown(value, digits=2):
    """`49.20 ± 0.31`, of what `over` says."""
    spread = "" if value["std"] is None else f" ± {value['std']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{spread}"


def csv(rows):
    """The same numbers, one line per row, means and standard deviations in columns."""
    columns = [
        (split, number, part)
        for split in ("select", "report")
        for number in NUMBERS
        for part in ("mean", "std")
    ]
    lines = [["network", "method", "k", "n", *("_".join(column) for column in columns)]]
    for row in rows.values():
        values = (row[split][number][part] for split, number, part in columns)
        numbers = ["" if value is None else f"{value:.4f}" for value in values]
        lines.append([row["network"], row["method"], str(row["k"] or ""), str(row["n"]), *numbers])
    return "\n".join(map(",".join, lines)) + "\n"
