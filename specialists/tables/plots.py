"""Pictures of a whole table, from its rows as stages/report.py wrote them and the curves of its cells."""

from dataclasses import dataclass

import numpy as np
from matplotlib.lines import Line2D

from specialists.tables.figures import kind, plt
from specialists.tables.titles import source, titles

GREY, VIOLET = "#57606a", "#8250df"  # generalists; the student
PALETTE = ("#d1242f", "#bf8700", "#1f6feb", "#1a7f37", "#bf3989", "#1b7c83", "#bc4c00", "#9a6700")
MARKS = "os^DvP"
FEW = 50  # a percentage of fewer answers shows chance alone


@dataclass(frozen=True)
class Look:
    """How a row is drawn, wherever it is."""

    title: str
    colour: str
    line: str = "-"

    def titled(self, k):
        return self.title + (f", k = {k}" if k else "")

    @property
    def style(self):
        return {"color": self.colour, "linestyle": self.line}

    @property
    def face(self):
        """For figures without lines: markers are half full for dotted lines, hollow for dashed ones."""
        fill = {"-": "full", ":": "left", "--": "none"}[self.line]
        return {"mfc": self.colour, "mfcalt": "white", "fillstyle": fill}


def looks(methods, generalists):
    """Method -> Look, of the rows of params `methods` and of the student.

    Generalists are grey; every other file of specialists/methods has the next colour of the palette. Within a
    colour, rows that share features are dashed; the first of the rest is solid, the others are dotted.
    """
    files = {row: source(row, settings, "methods") for row, settings in methods.items()}
    order = list(dict.fromkeys(file for row, file in files.items() if row not in generalists))
    called, found = titles(methods), {}
    for row, settings in methods.items():
        colour = GREY if row in generalists else PALETTE[order.index(files[row]) % len(PALETTE)]
        alone = all((look.colour, look.line) != (colour, "-") for look in found.values())
        found[row] = Look(called[row], colour, "--" if "sharing" in settings else "-" if alone else ":")
    return found | {"student": Look(called["student"], VIOLET)}


def mark(k):
    return MARKS[(k or 0) % len(MARKS)]


def spread(rows, number):
    """The standard deviations over seeds; with one seed none is known, and none is drawn."""
    std = [row["report"][number]["std"] for row in rows]
    return None if None in std else std


def against_k(rows, networks, looks):
    """Top-1 and oracle against k, a line per method; methods without k are level lines."""
    figure, grid = plt.subplots(2, len(networks), figsize=(6.2 * len(networks), 8), squeeze=False)
    for axes_N, number in zip(grid, ("top1", "oracle"), strict=True):
        for axes, network in zip(axes_N, networks, strict=True):
            _lines(axes, [row for row in rows.values() if row["network"] == network], number, looks)
            axes.set_title(f"{network.upper()}: {NAMES[number]}")
    grid[0, -1].legend(fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    return figure


NAMES = {
    "top1": "top-1 in %",
    "oracle": "oracle in %",
    "ece": "ECE in % (lower is better)",
    "nll": "NLL (lower is better)",
}


def _lines(axes, rows, number, looks):
    ks = sorted({row["k"] for row in rows if row["k"]})
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        mean = [row["report"][number]["mean"] for row in mine]
        std = spread(mine, number)
        style = looks[method].style | {"label": looks[method].title}
        if mine[0]["k"] is None:
            axes.axhline(mean[0], **style, linewidth=1.5)
            if std:
                low, high = mean[0] - std[0], mean[0] + std[0]
                axes.axhspan(low, high, color=looks[method].colour, alpha=0.12, linewidth=0)
        else:
            style |= {"marker": "o", "capsize": 4, "linewidth": 2} | looks[method].face
            axes.errorbar([row["k"] for row in mine], mean, std, **style)
    axes.set_xticks(ks)
    axes.set_xlabel("k")
    axes.grid(alpha=0.3)


def against_oracle(rows, networks, looks):
    """A point per row: what the mean makes of what the members know together."""
    figure, grid = plt.subplots(1, len(networks), figsize=(6.6 * len(networks), 5.2), squeeze=False)
    for axes, network in zip(grid[0], networks, strict=True):
        mine = [row for row in rows.values() if row["network"] == network and row["method"] != "student"]
        for row in mine:
            x, y = (row["report"][number] for number in ("oracle", "top1"))
            look = looks[row["method"]]
            style = {"color": look.colour, "ms": 7, "capsize": 3, "marker": mark(row["k"])} | look.face
            axes.errorbar(x["mean"], y["mean"], y["std"], x["std"], **style)
        legend = [
            _mark("s", look.title, color=look.colour, **look.face)
            for look in dict.fromkeys(looks[row["method"]] for row in mine)
        ]
        for k in dict.fromkeys(row["k"] for row in mine):
            legend.append(_mark(mark(k), f"k = {k}" if k else "no k", color="#24292f", fillstyle="none"))
        axes.set(xlabel=NAMES["oracle"], ylabel=NAMES["top1"], title=network.upper())
        axes.grid(alpha=0.3)
    axes.legend(handles=legend, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def _mark(shape, label, **look):
    return Line2D([], [], marker=shape, linestyle="", label=label, **look)


def curves(bases, cells, title, looks):
    """Top-1 on `select` by epoch: the base models one by one, and every cell; each maps a name to a curve."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
    for curve in bases.values():
        left.plot(range(1, len(curve) + 1), [record["select_top1"] for record in curve], color=GREY)
    left.set(title=f"{title}: base models", xlabel="epoch", ylabel="top-1 on select in %")
    for (method, k), curve in cells.items():
        epochs, look = range(1, len(curve) + 1), looks[method]
        style = look.style | {"marker": mark(k), "label": look.titled(k)} | look.face
        right.plot(epochs, [record["select_top1"] for record in curve], **style)
        right.set_xticks(epochs)
    right.set(title=f"{title}: specialising", xlabel="epoch")
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def heat(values, title, group):
    """Accuracy by family, which the data call `group`: `values` maps a row's title to {family: percent}."""
    names = list(dict.fromkeys(kind(family) for row in values.values() for family in row))
    shown = np.array([[_mean(row, name) for name in names] for row in values.values()])
    figure, axes = plt.subplots(figsize=(2.6 + 0.62 * len(names), 1.9 + 0.36 * len(values)))
    image = axes.imshow(shown, aspect="auto", cmap="viridis")
    axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
    axes.set_yticks(range(len(values)), values)
    middle = (np.nanmin(shown) + np.nanmax(shown)) / 2
    for r, row in enumerate(shown):
        for c, value in enumerate(row):
            ink = "white" if value < middle else "black"
            axes.text(c, r, f"{value:.0f}", ha="center", va="center", fontsize=8, color=ink)
    axes.set_title(f"{title} by {group}, first seed")
    figure.colorbar(image, ax=axes, label="top-1 in %", pad=0.01)
    return figure


def _mean(row, name):
    return np.mean([value for family, value in row.items() if kind(family) == name])


def reliability(bins, networks, looks):
    """The mean's accuracy against its confidence; `bins` maps rows to points of stages/evaluate.py."""
    figure, grid = plt.subplots(1, len(networks), figsize=(6.6 * len(networks), 6), squeeze=False)
    for axes, network in zip(grid[0], networks, strict=True):
        axes.plot([0, 100], [0, 100], color="#d0d7de", linewidth=6, zorder=0)
        for (_, method, k), points in ((row, bins[row]) for row in bins if row[0] == network):
            look = looks[method]
            style = look.style | {"marker": mark(k), "label": look.titled(k), "markersize": 5} | look.face
            seen = [point for point in points if point["examples"] >= FEW]
            x, y = ([point[number] for point in seen] for number in ("confidence", "top1"))
            axes.plot(x, y, **style)
        axes.set(title=f"{network.upper()}: reliability", xlabel="confidence in %", ylabel=NAMES["top1"])
        axes.annotate(
            f"first seed; a point stands for {FEW} answers or more",
            (0.02, 0.98),
            xycoords="axes fraction",
            va="top",
        )
        axes.legend(fontsize=8)
        axes.grid(alpha=0.3)
    return figure


def calibration(rows, networks, looks):
    """Whether the mean's confidence can be trusted: ECE and NLL, a bar per row."""
    figure, grid = plt.subplots(2, len(networks), figsize=(6.6 * len(networks), 8), squeeze=False)
    for axes_N, number in zip(grid, ("ece", "nll"), strict=True):
        for axes, network in zip(axes_N, networks, strict=True):
            mine = [row for row in rows.values() if row["network"] == network]
            names = [looks[row["method"]].titled(row["k"]) for row in mine]
            mean = [row["report"][number]["mean"] for row in mine]
            colours = [looks[row["method"]].colour for row in mine]
            axes.bar(names, mean, yerr=spread(mine, number), capsize=2, color=colours)
            axes.set_xticks(range(len(names)), names, rotation=50, ha="right", rotation_mode="anchor")
            axes.set_title(f"{network.upper()}: {NAMES[number]}")
            axes.grid(axis="y", alpha=0.3)
    figure.tight_layout()
    return figure
