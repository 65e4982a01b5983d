"""python -m stages.students

Collect the students beside their teacher: mean, std and n over seeds, what each recovers of the gap between
the student that learned alone and the ensemble, and what an answer costs.

reads   params: table, network, method, k, distill.network; metrics/cells, metrics/alone, metrics/cost.json
writes  metrics/table.json, table.csv, table.md, metrics/figures/students.png
"""

from specialists import students
from specialists.files import read_json
from specialists.params import read
from specialists.report import cell
from stages import run
from stages.report import write


def main():
    from specialists.figures import save  # half a second, which verify need not wait for

    made = tables()
    write(made)
    save(students.picture(made["json"]), "metrics/figures/students.png")
    print(made["md"])


def tables():
    """The table as its cells make it, by the ending of the file."""
    axes, network = read("table", students.Axes), read("distill.network", str)
    teacher = read("network", str), read("method", str), read("k", int)
    rows = [teacher, *((network, student, None) for student in axes.students)]
    cells = [cell(*row, seed) for row in rows for seed in axes.seeds]
    metrics, alone = (
        {each: read_json(f"metrics/{kind}/{each}.json") for each in cells}
        for kind in ("cells", "alone/cells")
    )
    rows = students.table(axes, teacher, network, metrics, alone, read_json("metrics/cost.json"))
    return {"json": rows, "csv": students.csv(rows), "md": students.markdown(rows)}


if __name__ == "__main__":
    run(main)
