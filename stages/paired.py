"""python -m stages.paired NETWORK

Compare every row of a network with its generalists, such as IE and IE+: by how many points its answers to
`report` are better, paired over examples and seeds, with an interval of 95 %.

reads   params: table; data/features, models/answers
writes  metrics/paired/NETWORK.json
"""

from specialists import data
from specialists.answers.ensemble import mean
from specialists.answers.said import right, said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.rows import Table, cell, name


def main(network: str):
    axes, prepared = read("table", Table), data.load("data/features")
    rows = [row for row in axes.rows() if row[0] == network]
    found = {}
    for row in rows:
        answers = [mean(said(f"cells/{cell(*row, seed)}"), prepared.task) for seed in axes.seeds]
        found[row] = [right(said_BC, prepared) for said_BC in answers]
    controls = [row for row in rows if row[1] in axes.controls]
    gains = {
        name(*row): {
            name(*control): gain(found[row], found[control]) for control in controls if control != row
        }
        for row in rows
    }
    write_json(f"metrics/paired/{network}.json", gains)


if __name__ == "__main__":
    run(main)
