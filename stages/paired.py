"""python -m stages.paired NETWORK

Compare every row of a network with its generalists, such as IE and IE+: by how many points its answers to
`report` are better, paired over examples and seeds, with an interval of 95 %.

reads   params: table; data/features, models/answers
writes  metrics/paired/NETWORK.json
"""

from specialists import data
from specialists.answers.ensemble import mean
from specialists.answers.said import said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.rows import Table, cell, name


def main(network: str):
    axes, prepared = read("table", Table), data.load("data/features")
    rows = [row for row in axes.rows() if row[0] == network]
    right = {row: [right_B(cell(*row, seed), prepared) for seed in axes.seeds] for row in rows}
    controls = [row for row in rows if row[1] in axes.generalists]
    gains = {
        name(*row): {
            name(*control): gain(right[row], right[control]) for control in controls if control != row
        }
        for row in rows
    }
    write_json(f"metrics/paired/{network}.json", gains)


def right_B(cell, prepared):
    """How right the members' mean is on each example of report."""
    rows, task = prepared.rows("report"), prepared.task
    answer_B = mean(said(f"cells/{cell}"), task).argmax(1)
    return task.right(answer_B, prepared.targets(rows)).double().tolist()


if __name__ == "__main__":
    run(main)
