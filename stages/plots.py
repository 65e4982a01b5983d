"""python -m stages.plots

Draw the table: accuracy against k, top-1 against oracle, and calibration. For its first seed draw curves,
accuracy by family, and reliability (first k only). It reads only what is committed, so any clone can draw it
again.

reads   params: table, data.format, and titles from methods; metrics/table.json, metrics/curves,
        metrics/families
writes  metrics/plots/*.png
"""

from specialists.base.command import run
from specialists.base.files import read_json
from specialists.base.params import load, read
from specialists.tables import plots
from specialists.tables.figures import save
from specialists.tables.rows import Table, cell, name
from specialists.tables.titles import group


def main():
    axes, table = read("table", Table), read_json("metrics/table.json")
    looks = plots.looks(load()["methods"], axes.controls)
    rows = {name(*row): table[name(*row)] for row in axes.rows()}
    save(plots.against_k(rows, axes.networks, looks), "metrics/plots/accuracy.png")
    save(plots.against_oracle(rows, axes.networks, looks), "metrics/plots/oracle.png")
    save(plots.calibration(rows, axes.networks, looks), "metrics/plots/calibration.png")
    seed = axes.seeds[0]
    groups = {row: read_json(f"metrics/families/cells/{cell(*row, seed)}.json") for row in axes.rows()}
    bins = {row: groups[row]["confidence"]["report"] for row in groups if row[2] in (None, axes.ks[0])}
    save(plots.reliability(bins, axes.networks, looks), "metrics/plots/reliability.png")
    for network in axes.networks:
        mine = [row for row in axes.rows() if row[0] == network]
        bases = {
            member: read_json(f"metrics/curves/base/{network}-m{member}-s{seed}.json")["curve"]
            for member in axes.members
        }
        cells = {
            row[1:]: curve
            for row in mine
            if row[1] != "student"
            and (curve := read_json(f"metrics/curves/cells/{cell(*row, seed)}.json")["curve"])
        }
        save(plots.curves(bases, cells, network.upper(), looks), f"metrics/plots/curves-{network}.png")
        families = {looks[row[1]].titled(row[2]): groups[row]["report"] for row in mine}
        path = f"metrics/plots/families-{network}.png"
        save(plots.heat(families, network.upper(), group(read("data.format", str))), path)


if __name__ == "__main__":
    run(main)
