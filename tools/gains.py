"""What MCL-KD gains over IE, as the paper compares, and over IE+, trained on for as long: from all tables.

It has the intervals of the stage `paired`, where that stage had the models. `tools.pages` uses it.
"""

from specialists.base.files import read_json
from specialists.tables.rows import name

# Pipeline -> what it is called here. A row of a method that shares features has a control that shares them.
TABLES = {
    "pipelines/table1": "Table 1",
    ".": "Table 1 in small",
    "pipelines/vqa2": "Table 2",
    "pipelines/cifar100": "Table 4",
    "pipelines/cifar100_vgg17": "Table 4",
}
UNTRAINED = "vgg17"  # too far from convergence to tell: in the table, not in the picture
METHODS = {"mcl_kd": ("MCL-KD", "ie_plus"), "mcl_kd_fs": ("MCL-KD+FS", "ie_plus_fs")}
HEAD = ["table", "network", "method", "k", "seeds", "over IE", "over its control", "the paper, over IE"]


def draw(root):
    from specialists.tables import figures, forest  # half a second, which verify saves

    if not (found := [each for each in gains(root) if each[1].lower() != UNTRAINED]):
        return
    labels = [f"{table}: {network}, {title}, k = {k}" for table, network, title, k, *_ in found]
    series = {
        "over IE, the base models as they are (the paper's comparison)": [each[5] for each in found],
        "over IE+, trained on for as long (with FS: sharing features too)": [each[6] for each in found],
    }
    figures.save(forest.forest(labels, series), root / "docs/finding.png")


def gains(root):
    """(table, network, method, k, n, gain over IE, over the control of equal budget, the paper's over IE)"""
    for folder, table in TABLES.items():
        rows, paired = kept(root / folder)
        for row in sorted(rows.values(), key=lambda row: (row["network"], row["method"], row["k"] or 0)):
            title, control = METHODS.get(row["method"], ("", ""))
            one = name(row["network"], row["method"], row["k"])
            others = [name(row["network"], other, None) for other in ("ie", control)]
            if control and rows.keys() >= {*others}:
                over = [gain(rows, paired, one, other) for other in others]
                axes = row["network"].upper(), title, row["k"], row["n"]
                yield table, *axes, *over, printed(rows, one, others[0])


def kept(folder):
    """The table of a pipeline, and the comparisons of its rows."""
    table, paired = folder / "metrics/table.json", {}
    for path in sorted(folder.glob("metrics/paired/*.json")):
        paired |= read_json(path)
    return read_json(table) if table.exists() else {}, paired


def gain(rows, paired, one, other):
    """The gain of one row over another; with an interval where they were compared example by example."""
    if other in paired.get(one, {}):
        return paired[one][other]
    return {"gain": mean(rows[one]) - mean(rows[other])}


def printed(rows, *pair):
    """The published gain, where both rows are published."""
    one, other = (rows[each].get("paper", {}).get("top1") for each in pair)
    return None if one is None or other is None else one - other


def mean(row):
    return row["report"]["top1"]["mean"]


def markdown(root):
    lines = [f"| {' | '.join(HEAD)} |", "|---" * len(HEAD) + "|"]
    for *axes, over_ie, over_control, paper in gains(root):
        cells = [*map(str, axes), said(over_ie), said(over_control), "" if paper is None else f"{paper:+.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def said(gain):
    if "low" not in gain:
        return f"{gain['gain']:+.2f}"
    sure = "**" if gain["low"] * gain["high"] > 0 else ""
    return f"{sure}{gain['gain']:+.2f}{sure} ({gain['low']:+.2f} to {gain['high']:+.2f})"
