"""From single networks and from votes to the tables of the slides on limited GPUs, ours beside theirs."""

import csv
from pathlib import Path
from statistics import mean

from specialists.tables.table import number, over, shown

KINDS = ("overall", "yes/no", "number", "other")
SPENT = {"kept_mib": "MiB a step keeps", "seconds": "seconds an epoch"}
PUBLISHED = ("row", *KINDS, "MiB", "hours")
HOW = ("mean", "majority", "by type", "oracle")


def single(name, seeds, read, spent):
    """Numbers of a network over seeds; `read` gives metrics/..., `spent` the seconds of an epoch of a run."""
    files = [f"singles/{name}-s{seed}" for seed in seeds]
    metrics = [read(file) for file in files]
    row = {"n": len(files), "seconds": mean(map(spent, files))}
    row |= {each: number(files[0], metrics[0], each) for each in ("parameters", "kept_mib")}
    for split in ("select", "report"):
        row[split] = {
            kind: over([number(f, m, split, kind) for f, m in zip(files, metrics, strict=True)])
            for kind in KINDS
        }
    return row


def voted(network, seeds, row, read):
    """Numbers of an ensemble, such as `5 by type`, over seeds."""
    size, _, how = row.partition(" ")
    files = [f"votes/{network}-s{seed}" for seed in seeds]
    found = [(file, read(file)) for file in files]
    row = {"n": len(files)}
    for split in ("select", "report"):
        row[split] = {kind: over([number(f, m, split, size, how, kind) for f, m in found]) for kind in KINDS}
    return row


def published(path="slides.csv"):
    """Row -> what was published of it, as text, empty where nothing was."""
    return {row: dict(zip(PUBLISHED[1:], more, strict=True)) for row, *more in printed(path, PUBLISHED)}


def printed(path, heads):
    """The lines of a CSV file below these heads, as text; none where there is no such file."""
    if not Path(path).exists():
        return []
    header, *lines = csv.reader(Path(path).read_text().splitlines())
    for place, fields in enumerate([header, *lines], 1):
        if (place == 1 and tuple(fields) != heads) or len(fields) != len(heads):
            raise ValueError(f"{path}: line {place}: {','.join(fields)!r}: expected {','.join(heads)}")
    return lines


def markdown(title, rows, paper):
    """A table under its title; bold is the best."""
    spent = {key: head for key, head in SPENT.items() if all(key in row for row in rows.values())}
    theirs = [each for each in PUBLISHED[1:] if any(paper.get(name, {}).get(each) for name in rows)]
    heads = ["", *KINDS, *spent.values(), *(f"paper {each}" for each in theirs)]
    lines = [f"**{title}**", "", f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    best = max(row["report"]["overall"]["mean"] for name, row in rows.items() if not name.endswith("oracle"))
    for name, row in rows.items():
        words = [shown(row["report"][kind]) for kind in KINDS]
        if row["report"]["overall"]["mean"] == best:
            words[0] = f"**{words[0]}**"
        words += [f"{row[key]:.1f}" for key in spent]
        words += [paper.get(name, {}).get(each, "") for each in theirs]
        lines.append(f"| {' | '.join([name.replace('_', ' '), *words])} |")
    return "\n".join(lines) + "\n"
