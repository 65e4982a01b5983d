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
TITLES = {
    "ie": "IE",
    "ie_plus": "IE+",
    "mcl": "MCL",
    "cmcl": "CMCL",
    "mcl_kd": "MCL-KD",
    "student": "student",
}
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
    cells = [metrics[cell(network, method, k, seed)] for seed in axes.seeds]
    row = {"network": network, "method": method, "k": k, "n": len(cells)}
    row["parameters"] = cells[0]["parameters"]
    for split in ("select", "report"):
        row[split] = {}
        for number in NUMBERS:
            values = [metric[split][number] for metric in cells]
            row[split][number] = {"mean": mean(values), "std": stdev(values) if len(values) > 1 else None}
    if (network, method, k) in PAPER:
        row["paper"] = dict(zip(("top1", "oracle"), PAPER[network, method, k], strict=True))
    return row


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
        top1, oracle, single, nll, ece = (_text(row, n) for n in ("top1", "oracle", "single", "nll", "ece"))
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


def _text(row, number):
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
