"""From the metrics of cells to the table: one row per network, method and k; mean, std and n over seeds."""

from dataclasses import dataclass
from statistics import mean, stdev

from specialists.losses import GENERALISTS, METHODS

# Table 1 of the paper, CLEVR validation: (network, method, k) -> top-1, oracle.
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
}
TITLES = {"ie": "IE", "ie_plus": "IE+", "mcl": "MCL", "cmcl": "CMCL", "mcl_kd": "MCL-KD", "student": "student"}
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
        for axis, known in (("generalists", GENERALISTS), ("methods", sorted({*METHODS} - {*GENERALISTS}))):
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


def cell(network, method, k, seed):
    """The one name of a cell: stage, weights, metrics, run."""
    return "-".join([network, method, *([] if k is None else [f"k{k}"]), f"s{seed}"])


def table(axes, metrics):
    """Rows of plain numbers; `metrics` maps a cell's name to the content of metrics/cells/CELL.json."""
    return [_row(axes, metrics, *key) for key in axes.rows()]


def _row(axes, metrics, network, method, k):
    cells = [metrics[cell(network, method, k, seed)] for seed in axes.seeds]
    row = {"network": network, "method": method, "k": k, "n": len(cells)}
    row["parameters"] = cells[0]["parameters"]
    for split in ("select", "report"):
        row[split] = {}
        for name in NUMBERS:
            values = [metric[split][name] for metric in cells]
            row[split][name] = {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}
    if (network, method, k) in PAPER:
        row["paper"] = dict(zip(("top1", "oracle"), PAPER[network, method, k], strict=True))
    return row


def markdown(rows):
    """The table as a person reads it; bold is a network's best top-1 of the report split."""
    lines = [
        "| network | method | k | top-1 | oracle | single | NLL | ECE | paper top-1 | paper oracle |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        best = max(r["report"]["top1"]["mean"] for r in rows if r["network"] == row["network"])
        numbers = {name: _number(row["report"][name], name) for name in ("top1", "oracle", "single", "nll", "ece")}
        if row["report"]["top1"]["mean"] == best:
            numbers["top1"] = f"**{numbers['top1']}**"
        paper = [f"{row['paper'][name]:.2f}" for name in ("top1", "oracle")] if "paper" in row else ["", ""]
        k = "" if row["k"] is None else row["k"]
        words = [row["network"].upper(), TITLES[row["method"]], k, *numbers.values(), *paper]
        lines.append(f"| {' | '.join(map(str, words))} |")
    return "\n".join(lines) + "\n"


def _number(value, name):
    digits = 3 if name == "nll" else 2
    spread = "" if value["std"] is None else f" ± {value['std']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{spread}"


def csv(rows):
    """The same numbers, one line per row, means and standard deviations in columns."""
    names = [f"{split}_{name}" for split in ("select", "report") for name in NUMBERS]
    lines = [",".join(["network", "method", "k", "n", *(f"{name}{end}" for name in names for end in ("", "_std"))])]
    for row in rows:
        values = [row[s][name][part] for s in ("select", "report") for name in NUMBERS for part in ("mean", "std")]
        numbers = ["" if value is None else f"{value:.4f}" for value in values]
        lines.append(",".join([row["network"], row["method"], str(row["k"] or ""), str(row["n"]), *numbers]))
    return "\n".join(lines) + "\n"
