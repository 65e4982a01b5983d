"""From networks whose groups are chosen to the tables and figures of Pahuja et al. (2019), beside theirs.

P gates, G groups, S seeds, X families
"""

from dataclasses import dataclass

import numpy as np

from specialists.tables.figures import plt
from specialists.tables.plots import GREY
from specialists.tables.slides import printed
from specialists.tables.table import number, over, shown

MILLION = 1e6
PUBLISHED = ("network", "active", "FLOPs", "accuracy")
COSTS = ("convolutions", "gates")
COLOURS = {"chosen": "#1f6feb", "drawn": "#bf8700", "all": "#24292f"}  # the groups of a network alone


@dataclass(frozen=True)
class Singles:
    """The section `singles`: networks that train alone, the one that sees nothing, and who is compared."""

    seeds: list[int]
    networks: list[str]
    blind: str
    rivals: list[list[str]]

    def __post_init__(self):
        for pair in self.rivals:
            if len(pair) != 2 or not {*pair} <= {*self.networks}:
                raise ValueError(f"rivals: {pair} is no pair of singles.networks")

    @property
    def compared(self):
        """Every network that is compared, once."""
        return sorted({each for pair in self.rivals for each in pair})


def row(name, seeds, read, beside):
    """Numbers of a network over seeds; `read` gives metrics/..., `beside` the record of the machine."""
    files = [f"{name}-s{seed}" for seed in seeds]
    single, routed = ([read(f"{room}/{file}") for file in files] for room in ("singles", "routing/singles"))
    found = {"n": len(files), "parameters": number(f"singles/{files[0]}", single[0], "parameters")}
    for split in ("select", "report"):
        values = [number(f"singles/{f}", m, split, "overall") for f, m in zip(files, single, strict=True)]
        found[split] = over(values)
    place = f"routing/singles/{files[0]}"
    found |= {each: number(place, routed[0], "multiplications", each) for each in COSTS}
    found["flops"] = number(place, routed[0], "flops")
    effective = [value for each in routed for value in each["effective"]]
    found["effective"] = float(np.mean(effective)) if effective else None
    share_SPG = np.array([[shares(used_XG) for used_XG in each["used"]] for each in routed])
    found |= {"least_used": share_SPG.min().item(), "most_used": share_SPG.max().item()} if effective else {}
    return found | beside(f"routing/singles/{files[0]}")["latency"]


def shares(used_XG):
    """The share of the questions for which each group works: the mean over the families that were asked."""
    return np.mean([share_G for share_G in used_XG if share_G], axis=0)


def trained(rows):
    """The table of what was trained; bold is the best."""
    heads = ["", "top-1", "convolutions", "gates", "FLOPs in all", "groups at work", "a group works for"]
    heads += ["ms, 1", "ms, 64"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    best = max(each["report"]["mean"] for each in rows.values())
    for name, each in rows.items():
        top1 = shown(each["report"])
        words = [name.replace("_", " "), f"**{top1}**" if each["report"]["mean"] == best else top1]
        if "flops" in each:
            words += [f"{each[cost] / MILLION:.2f}" for cost in (*COSTS, "flops")]
            if each["effective"] is None:
                words += ["all", "all"]
            else:
                used = (f"{each[end]:.0%}" for end in ("least_used", "most_used"))
                words += [f"{each['effective']:.1f}", " to ".join(used)]
            words += times(each)
        lines.append(f"| {' | '.join([*words, *[''] * (len(heads) - len(words))])} |")
    return "\n".join(lines) + "\n"


def times(latency):
    return [f"{latency[f'latency_{size}_ms']:,.1f}" for size in (1, 64)]


def gains(compared):
    """The table of who is better than whom; bold is an interval without zero."""
    lines = ["| | over | points | 95 % interval | by seed |", "|---|---|---|---|---|"]
    for one, others in compared.items():
        for other, each in others.items():
            sure = "**" if each["low"] * each["high"] > 0 else ""
            words = [one, other, f"{sure}{each['gain']:+.2f}{sure}"]
            words += [f"{each['low']:+.2f} to {each['high']:+.2f}"]
            words += [", ".join(f"{seed:+.2f}" for seed in each["seeds"])]
            lines.append(f"| {' | '.join(words)} |".replace("_", " "))
    return "\n".join(lines) + "\n"


def published(path="published.csv"):
    """(network, active) -> (FLOPs, accuracy) as printed."""
    return {tuple(fields[:2]): tuple(fields[2:]) for fields in printed(path, PUBLISHED)}


def costs(rows, latency, paper):
    """The table of networks of the published sizes, whose weights are random."""
    heads = ["network, random weights", "active", "parameters", "convolutions", "gates", "FLOPs in all"]
    heads += ["ms, 1", "ms, 64", "paper FLOPs", "paper accuracy"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for network, each in rows.items():
        for active in sorted(each, key=lambda active: (active != "0", -int(active))):
            found = each[active]
            words = [network.replace("_", " "), "all, no gates" if active == "0" else active]
            words += [f"{found['parameters'] / MILLION:.1f}"]
            words += [f"{found['multiplications'][cost] / MILLION:,.1f}" for cost in COSTS]
            words += [f"{found['flops'] / MILLION:,.1f}", *times(latency[network][active])]
            words += paper.get((network, active), ("", ""))
            lines.append(f"| {' | '.join(words)} |")
    return "\n".join(lines) + "\n"


def usage(used, families, title, group):
    """The share of the questions of each family, a column, for which each group of each gate works."""
    asked = [x for x in range(len(families)) if used[0][x]]
    figure, grid = plt.subplots(1, len(used), figsize=(1.2 + 3.6 * len(used), 4.2), squeeze=False)
    names = [families[x] for x in asked]
    for place, axes in enumerate(grid[0]):
        share_GX = np.array([used[place][x] for x in asked]).T
        image = axes.imshow(share_GX, aspect="auto", cmap="viridis", vmin=0, vmax=1)
        axes.set_title(f"block {place + 1}")
        axes.set_yticks(range(len(share_GX)), range(1, len(share_GX) + 1), fontsize=7)
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=6 if len(names) < 40 else 4)
        axes.set_xlabel(group)
    grid[0][0].set_ylabel("group of the block")
    figure.suptitle(title)
    figure.colorbar(image, ax=list(grid[0]), label="share of questions that it works for", pad=0.01)
    return figure


def looks(row):
    """(colour, marker) of a network alone, by how its groups are chosen."""
    how = "all" if row["effective"] is None else "chosen" if row["gates"] else "drawn"
    return COLOURS[how], "o"


def frontier(points, blind):
    """Accuracy against the operations of an answer: title -> (operations, percent, colour, marker)."""
    figure, axes = plt.subplots(figsize=(9, 6))
    axes.axhline(blind, color=GREY, linewidth=1, linestyle=":")
    axes.annotate(
        "the question alone", (0.99, blind), xycoords=("axes fraction", "data"), ha="right", va="bottom"
    )
    for title, (operations, percent, colour, marker) in points.items():
        axes.plot(operations / MILLION, percent, marker, color=colour, markersize=8)
        axes.annotate(title, (operations / MILLION, percent), (6, 4), textcoords="offset points", fontsize=8)
    axes.set_xlim(0, 1.2 * max(operations for operations, *_ in points.values()) / MILLION)
    axes.set(xlabel="million operations of an answer", ylabel="top-1 on report in %")
    axes.set_title("What an answer costs, and how often it is right")
    axes.grid(alpha=0.3)
    return figure
