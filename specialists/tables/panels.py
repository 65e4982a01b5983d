"""What an answer costs and how often it is right: a panel for each world, for worlds cannot be compared."""

from matplotlib.ticker import MultipleLocator
from matplotlib.transforms import ScaledTranslation

from specialists.tables.figures import BLUE, GREY, plt

BLACK, GREEN, AMBER, VIOLET, SKY = "#24292f", "#1a7f37", "#bf8700", "#8250df", "#54aeff"
# Kind -> what the legend says, marker, colour, whether it is filled; below, where a label stands.
LOOKS = {
    "one": ("one network of an ensemble", "o", GREY, False),
    "ie": ("ensemble: IE", "o", GREY, True),
    "ie_plus": ("ensemble: IE+, trained on for as long", "o", BLACK, True),
    "member": ("one member of MCL-KD", "D", BLUE, False),
    "mcl_kd": ("routed ensemble: MCL-KD", "D", BLUE, True),
    "mcl_kd_fs": ("the same, features shared", "D", SKY, True),
    "student": ("distilled student", "s", GREEN, True),
    "alone": ("as small, without a teacher", "s", GREEN, False),
    "dense": ("plain block", "X", BLACK, True),
    "chosen": ("routed block, k of 12 groups chosen", "^", VIOLET, True),
    "drawn": ("the same, k drawn by chance", "v", AMBER, True),
}
LEFT, RIGHT = {"xytext": (-7, 3), "ha": "right"}, {"xytext": (7, -3), "ha": "left"}
SPAN, BESIDE = 14, 7  # points of accuracy from bottom to top; typographic points between what costs the same


def panels(large, small):
    """`large`, the panel of parts of a network; `small`, title -> the panel of whole ones.

    A panel: its points, the percentage of a perfect router, seeds. A point: its kind, what it costs, the mean
    and std of its accuracy, its label.
    """
    figure = plt.figure(figsize=(15, 8))
    grid = figure.add_gridspec(2, 5, wspace=0.25, hspace=0.3)
    for place, (title, (points, oracle, seeds)) in enumerate(small.items()):
        axes, ticks = figure.add_subplot(grid[place // 3, place % 3]), (0.5, 1, 2, 5)
        panel(axes, f"{title}, {seeds} seed{'s' * (seeds > 1)}", points, oracle, ticks, BESIDE, SPAN)
    points, oracle, seeds = large
    title = f"Sparse mixture, Relation Network; ensembles: {seeds} seed{'s' * (seeds > 1)}"
    panel(figure.add_subplot(grid[:, 3:]), title, points, oracle, (0.75, 1, 1.5, 2), 0, SPAN * 1.2)
    figure.supxlabel("operations of an answer, in those of one network", y=0.04, fontsize=11)
    figure.supylabel("top-1 on report in %", x=0.085, fontsize=11)
    marks = [plt.Line2D([], [], linestyle="", label=look[0], **marked(look)) for look in LOOKS.values()]
    figure.legend(handles=marks, loc="upper center", bbox_to_anchor=(0.51, 0.035), ncols=4, frameon=False)
    return figure


def panel(axes, title, points, oracle, ticks, space, span):
    moves = beside([cost for _, cost, *_ in points], space)
    for (kind, cost, accuracy, label), move in zip(points, moves, strict=True):
        mean, std, look = accuracy["mean"], accuracy["std"] or 0, LOOKS[kind]
        moved = axes.transData + ScaledTranslation(move / 72, 0, axes.figure.dpi_scale_trans)
        axes.plot([cost, cost], [mean - std, mean + std], color=look[2], alpha=0.5, transform=moved)
        axes.plot(cost, mean, linestyle="", zorder=3, transform=moved, **marked(look))
        place = LEFT if kind == "chosen" else RIGHT
        axes.annotate(label, (cost, mean), xycoords=moved, textcoords="offset points", fontsize=8, **place)
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(ticks[0] / 1.3, ticks[-1] * (2 if space else 1.2))
    means = [accuracy["mean"] for _, _, accuracy, _ in points]
    middle = (min(means) + max(means)) / 2
    axes.set_ylim(middle - span / 2, middle + span / 2)
    axes.yaxis.set_major_locator(MultipleLocator(2))
    axes.set_title(title, fontsize=10, pad=18)
    axes.grid(alpha=0.3)
    said = f"MCL-KD with a perfect router: {oracle:.0f}"
    place = {"xycoords": "axes fraction", "xytext": (0, 5), "textcoords": "offset points", "ha": "center"}
    axes.annotate(said, (0.5, 1), color=BLUE, fontsize=8, **place)


def beside(costs, space):
    """How far each is moved, so that those of equal cost stand side by side around it."""
    return [space * (costs[:i].count(cost) - (costs.count(cost) - 1) / 2) for i, cost in enumerate(costs)]


def marked(look):
    _, marker, colour, full = look
    face = colour if full else "white"
    return {"marker": marker, "color": colour, "markerfacecolor": face, "markersize": 7}
