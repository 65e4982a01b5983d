"""Pictures of a whole table, from its rows as stages/report.py wrote them and the curves of its cells."""

import numpy as np
from matplotlib.lines import Line2D

from specialists.figures import plt
from specialists.report import TITLES

COLOURS = {"ie": "#57606a", "mcl": "#d1242f", "cmcl": "#bf8700", "mcl_kd": "#1f6feb", "student": "#8250df"}
MARKS = "os^DvP"
FEW = 50  # in percent of fewer answers chance is all one sees


def colour(method):
    return COLOURS[method.removesuffix("_fs").removesuffix("_plus")]


def mark(k):
    return MARKS[(k or 0) % len(MARKS)]


def titled(method, k):
    return TITLES[method] + (f", k = {k}" if k else "")


def style(method):
    return "--" if method.endswith("_fs") else ":" if method.endswith("_plus") else "-"


def face(method):
    """Where lines are no help: the markers of IE+ are half full, those with shared features hollow."""
    fill = {"-": "full", ":": "left", "--": "none"}[style(method)]
    return {"mfc": colour(method), "mfcalt": "white", "fillstyle": fill}


def spread(rows, number):
    """The standard deviations over seeds; of one seed none is known, and none is drawn."""
    std = [row["report"][number]["std"] for row in rows]
    return None if None in std else std


def against_k(rows, networks):
    """Top-1 and oracle against k, a line per method; those that know no k are level lines."""
    figure, grid = plt.subplots(2, len(networks), figsize=(6.2 * len(networks), 8), squeeze=False)
    for axes_N, number in zip(grid, ("top1", "oracle"), strict=True):
        for axes, network in zip(axes_N, networks, strict=True):
            _lines(axes, [row for row in rows.values() if row["network"] == network], number)
            axes.set_title(f"{network.upper()}: {NAMES[number]}")
    grid[0, -1].legend(fontsize=9, loc="upper left", bbox_to_anchor=(1, 1))
    figure.tight_layout()
    return figure


NAMES = {"top1": "top-1 in %", "oracle": "oracle in %", "ece": "ECE in % (lower is better)", "nll": "NLL"}


def _lines(axes, rows, number):
    ks = sorted({row["k"] for row in rows if row["k"]})
    for method in dict.fromkeys(row["method"] for row in rows):
        mine = [row for row in rows if row["method"] == method]
        mean = [row["report"][number]["mean"] for row in mine]
        std = spread(mine, number)
        look = {"color": colour(method), "linestyle": style(method), "label": TITLES[method]}
        if mine[0]["k"] is None:
            axes.axhline(mean[0], **look, linewidth=1.5)
            if std:
                axes.axhspan(
                    mean[0] - std[0], mean[0] + std[0], color=colour(method), alpha=0.12, linewidth=0
                )
        else:
            look |= {"marker": "o", "capsize": 4, "linewidth": 2} | face(method)
            axes.errorbar([row["k"] for row in mine], mean, std, **look)
    axes.set_xticks(ks)
    axes.set_xlabel("k")
    axes.grid(alpha=0.3)


def against_oracle(rows, networks):
    """A point per row: what the mean makes of what the members know together."""
    figure, grid = plt.subplots(1, len(networks), figsize=(6.6 * len(networks), 5.2), squeeze=False)
    for axes, network in zip(grid[0], networks, strict=True):
        mine = [row for row in rows.values() if row["network"] == network and row["method"] != "student"]
        for row in mine:
            x, y = (row["report"][number] for number in ("oracle", "top1"))
            look = {"color": colour(row["method"]), "ms": 7, "capsize": 3} | face(row["method"])
            axes.errorbar(x["mean"], y["mean"], y["std"], x["std"], marker=mark(row["k"]), **look)
        legend = [
            _mark("s", TITLES[method], color=colour(method), **face(method))
            for method in dict.fromkeys(row["method"] for row in mine)
        ]
        for k in dict.fromkeys(row["k"] for row in mine):
            legend.append(_mark(mark(k), f"k = {k}" if k else "no k", color="#24292f", fillstyle="none"))
        axes.legend(handles=legend, fontsize=8)
        axes.set(xlabel=NAMES["oracle"], ylabel=NAMES["top1"], title=network.upper())
        axes.grid(alpha=0.3)
    return figure


def _mark(shape, label, **look):
    return Line2D([], [], marker=shape, linestyle="", label=label, **look)


def curves(bases, cells, title):
    """Top-1 on `select` by epoch: the base models one by one, and every cell; each maps a name to a curve."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
    for curve in bases.values():
        left.plot(range(1, len(curve) + 1), [record["select_top1"] for record in curve], color=COLOURS["ie"])
    left.set(title=f"{title}: base models", xlabel="epoch", ylabel="top-1 on select in %")
    for (method, k), curve in cells.items():
        look = {"color": colour(method), "linestyle": style(method), "marker": mark(k)} | face(method)
        right.plot(
            range(1, len(curve) + 1), [r["select_top1"] for r in curve], **look, label=titled(method, k)
        )
        right.set_xticks(range(1, len(curve) + 1))
    right.set(title=f"{title}: specialising", xlabel="epoch")
    right.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def heat(values, title):
    """Accuracy by family of questions or images: `values` maps a row's title to {family: percent}."""
    names = list(dict.fromkeys(_kind(family) for row in values.values() for family in row))
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
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="top-1 in %, mean over families", pad=0.01)
    return figure


def _kind(family):
    """The families of a kind differ in the number at the end."""
    word, _, number = family.rpartition(" ")
    return word if number.isdecimal() else family


def _mean(row, name):
    return np.mean([value for family, value in row.items() if _kind(family) == name])


def reliability(bins, networks):
    """What the mean keeps against what it promises; `bins` maps rows to points of stages/evaluate.py."""
    figure, grid = plt.subplots(1, len(networks), figsize=(6.6 * len(networks), 6), squeeze=False)
    for axes, network in zip(grid[0], networks, strict=True):
        axes.plot([0, 100], [0, 100], color="#d0d7de", linewidth=6, zorder=0)
        for (_, method, k), points in ((row, bins[row]) for row in bins if row[0] == network):
            look = {"color": colour(method), "linestyle": style(method), "marker": mark(k)} | face(method)
            seen = [point for point in points if point["examples"] >= FEW]
            x, y = ([point[number] for point in seen] for number in ("confidence", "top1"))
            axes.plot(x, y, **look, label=titled(method, k), markersize=5)
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


def calibration(rows, networks):
    """Whether the mean's confidence can be trusted: ECE and NLL, a bar per row."""
    figure, grid = plt.subplots(2, len(networks), figsize=(6.6 * len(networks), 8), squeeze=False)
    for axes_N, number in zip(grid, ("ece", "nll"), strict=True):
        for axes, network in zip(axes_N, networks, strict=True):
            mine = [row for row in rows.values() if row["network"] == network]
            titles = [titled(row["method"], row["k"]) for row in mine]
            mean = [row["report"][number]["mean"] for row in mine]
            axes.bar(
                titles,
                mean,
                yerr=spread(mine, number),
                capsize=2,
                color=[colour(row["method"]) for row in mine],
            )
            axes.set_title(f"{network.upper()}: {NAMES[number]}")
            axes.tick_params(axis="x", rotation=70)
            axes.grid(axis="y", alpha=0.3)
    figure.tight_layout()
    return figure
