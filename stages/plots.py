"""python -m stages.plots

Draw the table: accuracy against k, top-1 against oracle, calibration; and of its first seed reliability (of
its first k), curves, accuracy by family. Reads what is committed alone, so that it can be drawn again in any
clone.

reads   params: table; metrics/table.json, metrics/curves, metrics/families
writes  metrics/plots/*.png
"""

from specialists import plots
from specialists.figures import save
from specialists.files import read_json
from specialists.params import read
from specialists.report import Table, cell, name
from stages import run


def main():
    axes, table = read("table", Table), read_json("metrics/table.json")
    rows = {name(*row): table[name(*row)] for row in axes.rows()}
    save(plots.against_k(rows, axes.networks), "metrics/plots/accuracy.png")
    save(plots.against_oracle(rows, axes.networks), "metrics/plots/oracle.png")
    save(plots.calibration(rows, axes.networks), "metrics/plots/calibration.png")
    seed = axes.seeds[0]
    groups = {row: read_json(f"metrics/families/cells/{cell(*row, seed)}.json") for row in axes.rows()}
    bins = {row: groups[row]["confidence"]["report"] for row in groups if row[2] in (None, axes.ks[0])}
    save(plots.reliability(bins, axes.networks), "metrics/plots/reliability.png")
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
        save(plots.curves(bases, cells, network.upper()), f"metrics/plots/curves-{network}.png")
        families = {plots.titled(*row[1:]): groups[row]["report"] for row in mine}
        save(plots.heat(families, f"{network.upper()}, by family"), f"metrics/plots/families-{network}.png")


if __name__ == "__main__":
    run(main)
