"""python -m stages.rivals

Compare networks alone with their rivals, as `singles.rivals` pairs them: by how many points the answers to
`report` are better, paired over examples and seeds, with an interval of 95 %.

reads   params: singles; data/features, models/answers/singles
writes  metrics/rivals.json
"""

from specialists import data
from specialists.answers.ensemble import mean
from specialists.answers.said import right, said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.tables.paired import gain
from specialists.tables.sparse import Singles


def main():
    singles, prepared = read("singles", Singles), data.load("data/features")
    found, gains = {}, {}
    for each in singles.compared:
        answers = [mean(said(f"singles/{each}-s{seed}"), prepared.task) for seed in singles.seeds]
        found[each] = [right(said_BC, prepared) for said_BC in answers]
    for one, other in singles.rivals:
        gains.setdefault(one, {})[other] = gain(found[one], found[other])
    write_json("metrics/rivals.json", gains)


if __name__ == "__main__":
    run(main)
