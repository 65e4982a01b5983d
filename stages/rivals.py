"""python -m stages.rivals

Compare networks alone with their rivals, as `singles.rivals` pairs them: by how many points the answers to
`report` are better, paired over examples and seeds, with an interval of 95 %.

reads   params: singles; data/features, models/answers/singles
writes  metrics/rivals.json
"""

from specialists import data
from specialists.answers.ensemble import mean
from specialists.answers.said import said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.sparse import Singles


def main():
    singles, prepared = read("singles", Singles), data.load("data/features")
    right, gains = {}, {}
    for each in singles.compared:
        right[each] = [right_B(f"{each}-s{seed}", prepared) for seed in singles.seeds]
    for one, other in singles.rivals:
        gains.setdefault(one, {})[other] = gain(right[one], right[other])
    write_json("metrics/rivals.json", gains)


def right_B(name, prepared):
    """How right a network alone is on each example of report."""
    rows, task = prepared.rows("report"), prepared.task
    answer_B = mean(said(f"singles/{name}"), task).argmax(1)
    return task.right(answer_B, prepared.targets(rows)).double().tolist()


if __name__ == "__main__":
    run(main)
