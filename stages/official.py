"""python -m stages.official

Score the cells of the table by the metric of VQA v2 itself, against what people wrote instead of targets: in
all, by type of answer and of question, and for pairs of pictures about which one question has two answers.

reads   params: table, data.root; data/features, models/answers/cells, annotations and pairs under data.root
writes  models/results/CELL.json: answers to the questions of report, in the official form;
        metrics/official.json
"""

from pathlib import Path

from specialists import data as prepared
from specialists.answers.ensemble import mean
from specialists.answers.said import said
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.data.vqa2 import official, scoring
from specialists.tables.rows import Table


def main():
    data, root = prepared.load("data/features"), read("data.root", str)
    rows = data.rows("report")
    ids, answers = data.questions["id"][rows].tolist(), data.meta["answers"]
    _, annotated, paired = official.layout(root, official.SPLITS[1])
    annotations = [*official.annotations(annotated)]
    pairs = [*official.pairs(paired, set(ids))] if Path(paired).exists() else []
    result = {}
    for cell in read("table", Table).cells():
        answer_B = mean(said(f"cells/{cell}"), data.task).argmax(1).tolist()
        by_id = {each: answers[answer] for each, answer in zip(ids, answer_B, strict=True)}
        listed = [{"question_id": each, "answer": answer} for each, answer in by_id.items()]
        write_json(f"models/results/{cell}.json", listed)
        result[cell] = scoring.table(by_id, annotations, pairs)
    write_json("metrics/official.json", result)


if __name__ == "__main__":
    run(main)
