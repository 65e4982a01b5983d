"""python -m stages.specialties NETWORK

Write the paper's Table 3: for each member of the last method, of the first k and seed of the table, the group
of which it learns the largest share, with some questions of that group.

reads   params: table, data; data/features, metrics/curves/cells, and the questions of data.root
writes  metrics/specialties/NETWORK.md
"""

from specialists import data
from specialists.base.command import run
from specialists.base.files import replacing
from specialists.base.params import read
from specialists.tables.learned import assigned, dominated
from specialists.tables.rows import Table, cell
from specialists.tables.titles import group

QUESTIONS = 3


def main(network: str):
    axes, prepared = read("table", Table), data.load("data/features")
    chosen = cell(network, axes.methods[-1], axes.ks[0], axes.seeds[0])
    found = [*dominated(assigned(chosen, prepared.group_names))]
    rows = [asked(prepared, place) for place, _ in found]
    text = texts(prepared, sum(rows, []))
    lines = [f"| member | {group(read('data.format', str))} | its share | questions |", "|---|---|---|---|"]
    for member, (place, share) in enumerate(found):
        questions = " ".join(sorted({text[row] for row in rows[member]}))
        lines.append(f"| {member + 1} | {prepared.group_names[place]} | {share:.0f} % | {questions} |")
    with replacing(f"metrics/specialties/{network}.md") as draft:
        draft.write_text("\n".join(lines) + "\n")


def asked(prepared, place):
    """The first rows of report in a group."""
    rows = prepared.rows("report")
    return rows[prepared.groups(rows) == place][:QUESTIONS].tolist()


def texts(prepared, rows):
    """Row -> its question, as it stands in a cell of a table."""
    picture = data.part(read("data.format", str), "picture")
    shown = picture.shown(read("data.root", str), prepared, rows)
    return {row: text.replace("|", "\\|") for row, (text, _) in zip(rows, shown, strict=True)}


if __name__ == "__main__":
    run(main)
