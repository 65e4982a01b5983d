"""python -m stages.students

Collect the students beside their teacher: mean, std and n over seeds, what each recovers of the gap between
the student that learned alone and the ensemble, and what an answer costs.

reads   params: table, network, method, k, distill.network; metrics/cells, metrics/alone, metrics/cost.json,
        metrics/environment/cost.json
writes  metrics/table.json, table.csv, table.md, metrics/figures/students.png
"""

from specialists.base.command import run
from specialists.base.files import md5, read_json
from specialists.base.params import read
from specialists.tables import students
from specialists.tables.rows import cell
from stages.report import write


def main():
    from specialists.tables.figures import save  # half a second, which verify saves

    made = tables()
    write(made)
    save(students.picture(made["json"]), "metrics/figures/students.png")
    print(made["md"])


def tables():
    """Ending of the file -> the table, computed from its cells."""
    axes, network = read("table", students.Axes), read("distill.network", str)
    teacher = read("network", str), read("method", str), read("k", int)
    rows = [teacher, *((network, student, None) for student in axes.students)]
    cells = [cell(*row, seed) for row in rows for seed in axes.seeds]
    metrics, alone = (
        {each: read_json(f"metrics/{kind}/{each}.json") for each in cells}
        for kind in ("cells", "alone/cells")
    )
    rows = students.table(axes, teacher, network, metrics, alone, costs())
    return {"json": rows, "csv": students.csv(rows), "md": students.markdown(rows)}


def costs():
    """Network -> what an answer costs; milliseconds are those that were measured with metrics/cost.json."""
    path, beside = "metrics/cost.json", "metrics/environment/cost.json"
    spent, measured = read_json(path), read_json(beside)
    if measured.get("made") != md5(path):
        again = "dvc repro --force --single-item cost"
        raise ValueError(f"{beside}: was measured with another {path}; {again} measures again")
    return {network: spent[network] | measured["latency"][network] for network in spent}


if __name__ == "__main__":
    run(main)
