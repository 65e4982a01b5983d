"""From the metrics of cells to the table: one row per network, method and k; mean, std and n over seeds."""

import math
from dataclasses import dataclass
from statistics import mean, stdev

# Tables 1 (CLEVR validation) and 4 (CIFAR-100 test) of the paper: (network, method, k) -> top-1, oracle.
PAPER = {
    ("mlp", "ie", None): (60.10, 80.73),
    ("mlp", "mcl", 1): (41.31, 98.92),
    ("mlp", "mcl", 2): (48.94, 97.57),
    ("mlp", "mcl", 3): (58.63, 95.67),
    ("mlp", "cmcl", 1): (59.12, 63.76),
    ("mlp", "cmcl", 2): (60.27, 76.00),
    ("mlp", "cmcl", 3): (60.49, 82.67),
    ("mlp", "mcl_kd", 1): (60.22, 80.75),
    ("mlp", "mcl_kd", 2): (60.38, 81.20),
    ("mlp", "mcl_kd", 3): (60.89, 81.86),
    ("san", "ie", None): (85.23, 94.93),
    ("san", "mcl", 1): (42.19, 98.67),
    ("san", "mcl", 2): (58.39, 98.62),
    ("san", "mcl", 3): (83.73, 98.62),
    ("san", "cmcl", 1): (83.99, 91.55),
    ("san", "cmcl", 2): (84.83, 96.64),
    ("san", "cmcl", 3): (86.18, 96.26),
    ("san", "mcl_kd", 1): (85.98, 95.38),
    ("san", "mcl_kd", 2): (87.02, 95.78),
    ("san", "mcl_kd", 3): (88.16, 96.12),
    ("resnet20", "ie", None): (64.60, 79.95),
    ("resnet20", "mcl", 1): (56.40, 70.40),
    ("resnet20", "mcl", 2): (57.19, 78.28),
    ("resnet20", "mcl", 3): (61.28, 80.03),
    ("resnet20", "cmcl", 1): (48.67, 62.56),
    ("resnet20", "cmcl", 2): (55.16, 71.69),
    ("resnet20", "cmcl", 3): (58.13, 75.01),
    ("resnet20", "cmcl_fs", 1): (56.30, 70.39),
    ("resnet20", "cmcl_fs", 2): (61.20, 77.24),
    ("resnet20", "cmcl_fs", 3): (63.78, 79.84),
    ("resnet20", "mcl_kd", 1): (65.27, 80.74),
    ("resnet20", "mcl_kd", 2): (65.31, 80.79),
    ("resnet20", "mcl_kd", 3): (65.60, 80.91),
    ("resnet20", "mcl_kd_fs", 1): (66.72, 81.07),
    ("resnet20", "mcl_kd_fs", 2): (66.63, 81.86),
    ("resnet20", "mcl_kd_fs", 3): (66.56, 81.33),
    ("vgg17", "ie", None): (68.43, 81.07),
    ("vgg17", "mcl", 1): (51.94, 78.64),
    ("vgg17", "mcl", 2): (62.41, 82.77),
    ("vgg17", "mcl", 3): (67.30, 83.91),
    ("vgg17", "cmcl", 1): (57.27, 62.16),
    ("vgg17", "cmcl", 2): (64.37, 74.41),
    ("vgg17", "cmcl", 3): (67.44, 78.90),
    ("vgg17", "cmcl_fs", 1): (60.85, 66.05),
    ("vgg17", "cmcl_fs", 2): (66.34, 75.59),
    ("vgg17", "cmcl_fs", 3): (67.94, 80.36),
    ("vgg17", "mcl_kd", 1): (68.75, 81.87),
    ("vgg17", "mcl_kd", 2): (68.77, 81.72),
    ("vgg17", "mcl_kd", 3): (68.80, 82.00),
    ("vgg17", "mcl_kd_fs", 1): (69.70, 82.48),
    ("vgg17", "mcl_kd_fs", 2): (69.33, 82.09),
    ("vgg17", "mcl_kd_fs", 3): (68.92, 82.11),
}
# The methods of losses.py by their names in the table; what reads and shows numbers does without torch.
GENERALISTS = {"ie": "IE", "ie_plus": "IE+", "ie_plus_fs": "IE+FS"}
SPECIALISTS = {
    "mcl": "MCL",
    "cmcl": "CMCL",
    "cmcl_fs": "CMCL+FS",
    "mcl_kd": "MCL-KD",
    "mcl_kd_fs": "MCL-KD+FS",
}
TITLES = GENERALISTS | SPECIALISTS | {"student": "student"}
NUMBERS = ("top1", "oracle", "single", "single_min", "single_max", "nll", "ece")


@dataclass(frozen=True)
class Table:
    """The axes of the table lane, as in params.yaml."""

    networks: list[str]
    members: list[int]
    generalists: list[str]
    methods: list[str]
    ks: list[int]
    seeds: list[int]

    def __post_init__(self):
        for axis, values in vars(self).items():
            if not values:
                raise ValueError(f"{axis}: is empty; name at least one")
            if twice := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{axis}: {', '.join(map(str, sorted(twice)))} stands twice")
        for axis, known in (("generalists", GENERALISTS), ("methods", SPECIALISTS)):
            for name in getattr(self, axis):
                if name not in known:
                    raise ValueError(f"{axis}: {name!r} is unknown; known: {', '.join(known)}")
        for k in self.ks:
            if not 1 <= k <= len(self.members):
                raise ValueError(f"ks: {k} is out of range: 1 to {len(self.members)}, the number of members")

    def rows(self):
        """(network, method, k) of every row, in the table's order; k is None where nobody is left out."""
        for network in self.networks:
            yield from ((network, method, None) for method in self.generalists)
            yield from ((network, method, k) for k in self.ks for method in self.methods)
            yield network, "student", None

    def cells(self):
        """The name of every cell."""
        return [cell(*row, seed) for row in self.rows() for seed in self.seeds]


def name(network, method, k):
    """The one name of a row."""
    return "-".join([network, method] if k is None else [network, method, f"k{k}"])


def cell(network, method, k, seed):
    """The one name of a cell: stage, weights, metrics, run."""
    return f"{name(network, method, k)}-s{seed}"


def table(axes, metrics):
    """Row name -> plain numbers; `metrics` maps a cell's name to the content of metrics/cells/CELL.json."""
    return {name(*row): _row(axes, metrics, *row) for row in axes.rows()}


def _row(axes, metrics, network, method, k):
    names = [cell(network, method, k, seed) for seed in axes.seeds]
    row = {"network": network, "method": method, "k": k, "n": len(names)}
    row["parameters"] = number(f"cells/{names[0]}", metrics[names[0]], "parameters")
    for split in ("select", "report"):
        row[split] = {}
        for each in NUMBERS:
            values = [number(f"cells/{name}", metrics[name], split, each) for name in names]
            row[split][each] = {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}
    if (network, method, k) in PAPER:
        row["paper"] = dict(zip(("top1", "oracle"), PAPER[network, method, k], strict=True))
    return row


def number(place, found, *keys):
    """What stands under the keys in a file of metrics, which must be a number."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if type(found) not in (int, float) or not math.isfinite(found):
        raise ValueError(f"metrics/{place}.json: {'.'.join(keys)}: found {found!r}, expected a number")
    return found


def markdown(rows):
    """The table as a person reads it; bold is a network's best top-1."""
    lines = [
        "| network | method | k | top-1 | oracle | single | NLL | ECE | paper top-1 | paper oracle |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    ensembles = [row for row in rows.values() if row["method"] != "student"]
    best = {
        n: max(_top1(row) for row in ensembles if row["network"] == n)
        for n in {r["network"] for r in ensembles}
    }
    for row in rows.values():
        top1, oracle, single, nll, ece = (text(row, n) for n in ("top1", "oracle", "single", "nll", "ece"))
        if _top1(row) == best[row["network"]]:
            top1 = f"**{top1}**"
        paper = [f"{row['paper'][n]:.2f}" for n in ("top1", "oracle")] if "paper" in row else ["", ""]
        words = [
            row["network"].upper(),
            TITLES[row["method"]],
            row["k"] or "",
            top1,
            oracle,
            single,
            nll,
            ece,
            *paper,
        ]
        lines.append(f"| {' | '.join(map(str, words))} |")
    return "\n".join(lines) + "\n"


def _top1(row):
    return row["report"]["top1"]["mean"]


def text(row, number):
    value, digits = row["report"][number], 3 if number == "nll" else 2
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
