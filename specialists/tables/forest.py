"""What one method gains over others, a line for each row of a table, with intervals where there are some."""

from specialists.tables.figures import BLUE, GREY, plt


def forest(labels, series):
    """`series`: over whom -> for each label {"gain": ..., and perhaps "low" and "high"}."""
    figure, axes = plt.subplots(figsize=(8, 0.34 * len(labels) + 1.4))
    for number, ((over, gains), colour) in enumerate(zip(series.items(), (GREY, BLUE), strict=True)):
        places = [place + 0.28 * number - 0.14 for place in range(len(labels))]
        for place, gain in zip(places, gains, strict=True):
            if "low" in gain:
                axes.plot([gain["low"], gain["high"]], [place, place], color=colour, linewidth=2)
        middles = [gain["gain"] for gain in gains]
        faces = [colour if "low" in gain else "white" for gain in gains]
        axes.scatter(middles, places, s=36, c=faces, edgecolors=colour, zorder=3)
        axes.plot([], [], "o", color=colour, label=over)
    axes.axvline(0, color="black", linewidth=1)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("top-1 that MCL-KD gains, in points; lines: 95 % intervals, hollow: no interval")
    axes.legend(loc="lower center", bbox_to_anchor=(0.35, 1), frameon=False, fontsize=9)
    axes.grid(axis="x", alpha=0.3)
    return figure
