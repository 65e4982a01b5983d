"""Accuracy against the operations of an answer, in the whole repository: one idea at two scales.

MCL-KD routes examples among whole networks, the sparse mixture among parts of one. Operations are counted in
those of one network of the same panel: M networks take M times as many, and what is no whole network was
counted by the stages `cost` and `routing`. `tools.pages` uses it.
"""

from contextlib import suppress

from specialists.base.files import read_json
from specialists.base.params import load
from specialists.tables.rows import name

# Title -> pipeline, network, and the pipeline of its smaller students.
TABLES = {
    "Table 1, SAN": ("pipelines/table1", "san", "pipelines/students"),
    "Table 1, MLP": ("pipelines/table1", "mlp", ""),
    "Table 2, BUTD": ("pipelines/vqa2", "butd", ""),
    "Table 4, ResNet-20": ("pipelines/cifar100", "resnet20", ""),
    "Table 4, VGG-17": ("pipelines/cifar100_vgg17", "vgg17", ""),
    "Pictures, BUTD": ("pipelines/pictures", "butd", ""),
}
SPARSE, PLAIN = "pipelines/sparse", "plain"
METHODS = ("ie", "ie_plus", "mcl_kd", "mcl_kd_fs", "student")
SMALLER = {"alone": "alone", "kd": "student", "kd_choice": "student"}  # a smaller student -> its kind


def draw(root):
    from specialists.tables import figures, panels  # half a second, which verify saves

    tables = [f"{folder}/metrics/table.json" for folder, *_ in TABLES.values()]
    costs = [f"{folder}/metrics/cost.json" for *_, folder in TABLES.values() if folder]
    if all((root / file).exists() for file in (*tables, *costs, f"{SPARSE}/metrics/sparse.json")):
        with suppress(KeyError):  # a table at smoke scale lacks rows of the figure
            parts = {title: whole(root, *where) for title, where in TABLES.items()}
            large = sparse(root / SPARSE)
            figures.save(panels.panels(large, parts), root / "docs/scales.png")


def whole(root, folder, network, smaller):
    """(points, oracle accuracy of MCL-KD, seeds); a point: (kind, cost, accuracy, label)."""
    table = read_json(root / folder / "metrics/table.json")
    axes = load(root / folder / "params.yaml")["table"]
    members, routed = len(axes["members"]), table[name(network, "mcl_kd", axes["ks"][0])]
    points = [("one", 1, table[name(network, "ie", None)]["report"]["single"], "")]
    points += [("member", 1, routed["report"]["single"], "")]
    own = [row for row in table.values() if row["network"] == network and row["method"] in METHODS]
    for row in sorted(own, key=lambda row: METHODS.index(row["method"])):
        cost = 1 if row["method"] == "student" else members
        points.append((row["method"], cost, row["report"]["top1"], ""))
    points += small(root / smaller, members) if smaller else []
    return points, routed["report"]["oracle"]["mean"], routed["n"]


def small(folder, members):
    """The points of students that are smaller than the members of their teacher."""
    rows, costs = read_json(folder / "metrics/table.json"), read_json(folder / "metrics/cost.json")
    params = load(folder / "params.yaml")
    network = params["distill"]["network"]
    cost = members * costs[network]["flops"] / costs[params["network"]]["flops"]
    tops = {method: rows[name(network, method, None)]["report"]["top1"] for method in SMALLER}
    return [(SMALLER[method], cost, top1, "") for method, top1 in tops.items()]


def sparse(folder):
    """The same of networks of which parts work, and of ensembles of the plain one."""
    rows, (points, *more) = read_json(folder / "metrics/sparse.json"), whole(folder, ".", PLAIN, "")
    for network, row in rows.items():
        if "flops" in row:
            kind = "chosen" if row["gates"] else "drawn" if row["effective"] else "dense"
            points.append((kind, row["flops"] / rows[PLAIN]["flops"], row["report"], network))
    return points, *more
