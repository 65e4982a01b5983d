"""python -m stages.report

Collect the cells of the table: mean, std and n over seeds, ours beside the paper's, and draw its Figure 3.

reads   params: table; data/features/meta.json, metrics/cells, metrics/curves
writes  metrics/table.json, table.csv, table.md, metrics/figures/*.png
"""

from specialists.files import read_json, replacing, write_json
from specialists.params import read
from specialists.report import TITLES, Table, cell, csv, markdown, table
from stages import run


def main():
    from specialists import figures  # half a second, which verify need not wait for

    axes, made = read("table", Table), tables()
    write(made)
    meta = read_json("data/features/meta.json")
    kind = {"features": "question family", "cifar100": "superclass"}[meta["reader"]]
    for network in axes.networks:
        for method in axes.methods:
            name = cell(network, method, axes.ks[0], axes.seeds[0])
            title = f"{network.upper()}, {TITLES[method]}, k = {axes.ks[0]}: who learns what"
            figure = figures.specialization(assigned(name, meta["families"]), meta["families"], title, kind)
            figures.save(figure, f"metrics/figures/families-{name}.png")
    print(made["md"])


def tables():
    """The table as its cells make it, by the ending of the file."""
    axes = read("table", Table)
    rows = table(axes, {name: read_json(f"metrics/cells/{name}.json") for name in axes.cells()})
    return {"json": rows, "csv": csv(rows), "md": markdown(rows)}


def write(made):
    write_json("metrics/table.json", made["json"])
    for kind in ("csv", "md"):
        with replacing(f"metrics/table.{kind}") as draft:
            draft.write_text(made[kind])


def assigned(name, families):
    """How many examples of each family a cell assigned to each member."""
    path = f"metrics/curves/cells/{name}.json"
    curves = read_json(path)
    counts = curves.get("families") if isinstance(curves, dict) else None
    if not isinstance(counts, list) or len(counts) != len(families):
        raise ValueError(
            f"{path}: families: found {counts!r:.60}, expected counts for {len(families)} families"
        )
    return counts


if __name__ == "__main__":
    run(main)
