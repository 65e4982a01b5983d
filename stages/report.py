"""python -m stages.report

Collect the cells of the table: mean, std and n over seeds, ours beside the paper's. Draw its Figure 3.

reads   params: table, data.format, and titles from methods; data/features/meta.json, metrics/cells,
        metrics/curves, paper.csv
writes  metrics/table.json, table.csv, table.md, metrics/figures/*.png
"""

from specialists.base.command import run
from specialists.base.files import read_json, replacing, write_json
from specialists.base.params import load, read
from specialists.tables.learned import assigned
from specialists.tables.paper import published
from specialists.tables.rows import Table, cell
from specialists.tables.table import csv, markdown, table
from specialists.tables.titles import group, titles


def main():
    from specialists.tables import figures  # half a second, which verify saves

    axes, made = read("table", Table), tables()
    called, kind = titles(load()["methods"]), group(read("data.format", str))
    families, k = read_json("data/features/meta.json")["families"], axes.ks[0]
    rows = [(network, method, k) for network in axes.networks for method in axes.methods]
    counts = {row: assigned(cell(*row, axes.seeds[0]), families) for row in rows}
    write(made)
    for (network, method, k), count_FM in counts.items():
        title = f"{network.upper()}, {called[method]}, k = {k}: who learns what"
        path = f"metrics/figures/families-{cell(network, method, k, axes.seeds[0])}.png"
        figures.save(figures.specialization(count_FM, families, title, kind), path)
    print(made["md"])


def tables():
    """Ending of the file -> the table, computed from its cells."""
    axes, called = read("table", Table), titles(load()["methods"])
    metrics = {name: read_json(f"metrics/cells/{name}.json") for name in axes.cells()}
    rows = table(axes, metrics, published())
    return {"json": rows, "csv": csv(rows), "md": markdown(rows, called)}


def write(made):
    write_json("metrics/table.json", made["json"])
    for kind in ("csv", "md"):
        with replacing(f"metrics/table.{kind}") as draft:
            draft.write_text(made[kind])


if __name__ == "__main__":
    run(main)
