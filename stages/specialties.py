"""python -m stages.specialties NETWORK

Write the paper's Table 3: for each member of the last method, of the first k and seed of the table, the group
of which it learns the largest share, with some questions of that group.

reads   params: table, data; data/features, metrics/curves/cells, and the questions of data.root
writes  metrics/specialties/NETWORK.md
"""

from specialists import data
from specialists.base.command import run
from specialists.base.files import read_json, replacing
from specialists.base.params import read
from specialists.tables.rows import Table, cell
from specialists.tables.titles import group

QUESTIONS = 3


def main(network: str):
    axes, prepared = read("table", Table), data.load("data/features")
    picture, root = data.part(read("data.format", str), "picture"), read("data.root", str)
    chosen = cell(network, axes.methods[-1], axes.ks[0], axes.seeds[0])
    count_FM = read_json(f"metrics/curves/cells/{chosen}.json")["families"]
    lines = [f"| member | {group(read('data.format', str))} | its share | questions |", "|---|---|---|---|"]
    for member, (place, share) in enumerate(dominated(count_FM), 1):
        rows = asked(prepared, place)
        texts = sorted({picture.shown(root, prepared, row)[0].replace("|", "\\|") for row in rows})
        lines.append(f"| {member} | {prepared.group_names[place]} | {share:.0f} % | {' '.join(texts)} |")
    with replacing(f"metrics/specialties/{network}.md") as draft:
        draft.write_text("\n".join(lines) + "\n")


def dominated(count_FM):
    """(group, percent) of each member: the (first) group of which it learns the largest share."""
    for count_F in zip(*count_FM, strict=True):
        share_F = [100 * count / max(sum(all_M), 1) for count, all_M in zip(count_F, count_FM, strict=True)]
        yield share_F.index(max(share_F)), max(share_F)


def asked(prepared, place):
    """The first rows of report in a group."""
    rows = prepared.rows("report")
    return rows[prepared.groups(rows) == place][:QUESTIONS].tolist()


if __name__ == "__main__":
    run(main)
