"""python -m stages.sparse

Collect networks whose groups are chosen: the tables of Pahuja et al. (2019), ours beside theirs; which group
works for which family of questions; accuracy against the operations of an answer, single networks beside
ensembles, MCL-KD and the student of the table. Milliseconds are those of the machine that measured.

reads   params: singles, data.format, published, table, and titles from methods; data/features/meta.json;
        metrics/singles, metrics/routing, metrics/rivals.json, metrics/blind, metrics/published,
        metrics/table.json, metrics/environment/routing, metrics/environment/published, published.csv
writes  metrics/sparse.json, metrics/sparse.md, metrics/routes/NETWORK.png, metrics/routes/cost.png
"""

from specialists.base.command import run
from specialists.base.files import md5, read_json, replacing, write_json
from specialists.base.params import load, read
from specialists.tables import plots, sparse
from specialists.tables.figures import save
from specialists.tables.rows import Table, name
from specialists.tables.sparse import Singles
from specialists.tables.table import number, over
from specialists.tables.titles import group


def main():
    singles, rows = read("singles", Singles), collected()
    sizes = read("published.networks", list[str])
    costs = {network: metrics(f"published/{network}") for network in sizes}
    latency = {network: beside(f"published/{network}")["latency"] for network in sizes}
    write_json("metrics/sparse.json", rows)
    with replacing("metrics/sparse.md") as draft:
        tables = sparse.trained(rows), sparse.gains(metrics("rivals"))
        draft.write_text("\n".join([*tables, sparse.costs(costs, latency, sparse.published())]))
    families, kind = read_json("data/features/meta.json")["families"], group(read("data.format", str))
    for network in singles.networks:
        if used := metrics(f"routing/singles/{network}-s{singles.seeds[0]}")["used"]:
            title = f"{network.replace('_', ' ')}: which groups work for which questions"
            save(sparse.usage(used, families, title, kind), f"metrics/routes/{network}.png")
    save(sparse.frontier(points(rows), rows[singles.blind]["report"]["mean"]), "metrics/routes/cost.png")


def collected():
    """Row -> numbers: every single network, and what the question alone gives away."""
    singles = read("singles", Singles)
    rows = {each: sparse.row(each, singles.seeds, metrics, beside) for each in singles.networks}
    files = [f"blind/{singles.blind}-s{seed}" for seed in singles.seeds]
    blind = {
        split: over([number(file, metrics(file), split, "overall") for file in files])
        for split in ("select", "report")
    }
    return rows | {singles.blind: {"n": len(files)} | blind}


def points(rows):
    """Title -> (operations, percent, colour, marker) of what is compared: a network, or many at once."""
    axes, table, shown = read("table", Table), read_json("metrics/table.json"), {}
    for network, each in rows.items():
        if "flops" in each:
            shown[network.replace("_", " ")] = each["flops"], each["report"]["mean"], *sparse.looks(each)
    looks = plots.looks(load()["methods"], axes.generalists)
    for row in axes.rows():
        network, method, k = row
        members = 1 if method == "student" else len(axes.members)
        title = f"{looks[method].titled(k)}, {members} x {network.replace('_', ' ')}"
        percent = table[name(*row)]["report"]["top1"]["mean"]
        shown[title] = members * rows[network]["flops"], percent, looks[method].colour, plots.mark(k)
    return shown


def metrics(name):
    return read_json(f"metrics/{name}.json")


def beside(name):
    """What was measured on the machine, which must belong to today's metrics."""
    path = f"metrics/environment/{name}.json"
    found = read_json(path)
    if found.get("made") != md5(f"metrics/{name}.json"):
        raise ValueError(f"{path}: was measured with another metrics/{name}.json; run its stage again")
    return found


if __name__ == "__main__":
    run(main)
