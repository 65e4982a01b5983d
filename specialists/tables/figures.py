"""The paper's Figures 3 and 4 as PNG, from what the pipeline computed.

M members, C answers
"""

import zlib

import matplotlib
import numpy as np
from matplotlib.patches import Rectangle

from specialists.base.files import replacing

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # noqa: E402  (after the choice of the backend)

BLUE, GREY, RED = "#1f6feb", "#8b949e", "#d1242f"


def save(figure, path):
    """Write a PNG, the same bytes for equal pictures: it has no version, and needs no particular zlib."""
    kept = {"metadata": {"Software": None}, "pil_kwargs": {"compress_type": zlib.Z_RLE}}
    with replacing(path) as draft:
        figure.savefig(draft, format="png", dpi=110, bbox_inches="tight", **kept)
    plt.close(figure)


def specialization(counts, families, title, group):
    """Figure 3: of the training examples of each family (a column), the share assigned to each member."""
    count_FM = np.array(counts, float)
    share_MF = (count_FM / np.maximum(count_FM.sum(1, keepdims=True), 1)).T
    members, columns = share_MF.shape
    figure, axes = plt.subplots(figsize=(15, 0.55 * members + 1.6))
    image = axes.imshow(share_MF, aspect="auto", cmap="viridis", vmin=0, vmax=1)
    axes.set_yticks(range(members), [f"S{m + 1}" for m in range(members)])
    axes.set_xticks(range(0, columns, 5))
    axes.set_xlabel(group)
    spans = _spans(families)
    level = columns > 2 * len(spans)  # names of single columns stand askew
    place = {"ha": "center"} if level else {"ha": "left", "rotation": 35, "rotation_mode": "anchor"}
    for name, first, last in spans:
        axes.axvline(first - 0.5, color="white", linewidth=1.5)
        axes.text((first + last) / 2, -0.62, name.replace("_", " "), va="bottom", fontsize=8, **place)
    axes.set_title(title, pad=24 if level else 104)
    figure.colorbar(image, ax=axes, label="share assigned", pad=0.01)
    return figure


def _spans(families):
    """(name, first, last) of each run of families of a kind."""
    names = [kind(family) for family in families]
    starts = [i for i, name in enumerate(names) if i == 0 or names[i - 1] != name]
    return [(names[a], a, b - 1) for a, b in zip(starts, [*starts[1:], len(names)], strict=True)]


def kind(family):
    """The kind of a family: its name without the number at the end."""
    word, _, number = family.rpartition(" ")
    return word if number.isdecimal() else family


def distributions(methods, answers, truth, question, picture):
    """Figure 4: each member's distribution for one question, a row per method; the specialist framed in red.

    `methods` maps a title to (probability_MC, specialist, top-1 answer of the mean).
    """
    members = len(next(iter(methods.values()))[0])
    figure = plt.figure(figsize=(3.2 * members + 1, 1.9 * len(methods) + 3.2))
    grid = figure.add_gridspec(
        len(methods) + 1, members, height_ratios=[1.7, *[1] * len(methods)], hspace=0.45, wspace=0.12
    )
    top = figure.add_subplot(grid[0, :])
    top.imshow(picture)
    top.set_axis_off()
    top.set_title(f"{question}\nright answer: {truth}", wrap=True, fontsize=12)
    for r, (title, (probability_MC, specialist, answer)) in enumerate(methods.items(), 1):
        for m, probability_C in enumerate(probability_MC):
            axes = figure.add_subplot(grid[r, m])
            _bars(axes, probability_C, answers, truth, last=r == len(methods))
            if m == 0:
                axes.set_ylabel(
                    f"{title}\nmean: {answer}", color=BLUE if answer == truth else "black", fontsize=11
                )
            if r == 1:
                axes.set_title(f"member {m + 1}", fontsize=10)
            if m == specialist:
                axes.add_patch(
                    Rectangle((0, 0), 1, 1, transform=axes.transAxes, fill=False, color=RED, linewidth=4)
                )
    return figure


def _bars(axes, probability_C, answers, truth, last):
    best = int(probability_C.argmax())
    colour = BLUE if answers[best] == truth else GREY
    axes.bar(range(len(answers)), probability_C, color=colour, width=0.9)
    says = f"{answers[best]}  {probability_C[best]:.2f}"
    place = {"transform": axes.transAxes, "ha": "right", "va": "top"}
    axes.text(0.97, 0.93, says, **place, color=colour if colour == BLUE else "black", weight="bold")
    axes.set_ylim(0, 1.25)
    axes.set_yticks([])
    axes.set_xticks(range(len(answers)), answers if last else [], rotation=90, fontsize=6)
