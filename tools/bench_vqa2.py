"""python -m tools.bench_vqa2 [--images N] [--share PERCENT]

What VQA v2 costs before anything trains, on synthetic files of its form: a TSV of 36 boxes of 2,048 channels
of N images (4,096 if not said: 1.6 GB; the real ones are 123,287) to a memory map, beside base64 alone;
PERCENT of all questions and annotations, 658,111 in all, to what networks read; a results file of the
questions of val to its score. Each is done by a process of its own, whose peak of memory is told.

reads   nothing
writes  scratch/bench_vqa2, which it deletes again: about twice the TSV, and 0.8 GB for all questions
"""

import base64
import json
import random
import resource
import shutil
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from specialists.base.command import run
from specialists.data.vqa2 import convert, official, read, scoring
from specialists.data.vqa2_questions import prepare

FOLDER = Path("scratch/bench_vqa2")
BOXES, CHANNELS, DRAWN = 36, 2048, 64  # images that differ; the rest repeat them
QUESTIONS, PICTURES = {"train2014": 443_757, "val2014": 214_354}, {"train2014": 82_783, "val2014": 40_504}
KINDS = {
    "yes/no": ["yes", "no"],
    "number": [*map(str, range(20))],
    "other": [f"thing {i}" for i in range(9000)],
}
WORDS = [f"word{i}" for i in range(15_000)]


def main(*, images: int = 4096, share: int = 100):
    if images < 1:
        raise ValueError(f"--images: {images} is out of range: at least 1")
    if not 1 <= share <= 100:
        raise ValueError(f"--share: {share} is out of range: 1 to 100")
    shutil.rmtree(FOLDER, ignore_errors=True)
    (FOLDER / "boxes").mkdir(parents=True)
    try:
        alone(boxes, FOLDER / "boxes/train2014.tsv", images)
        for split, count in QUESTIONS.items():
            alone(asked, split, count * share // 100)
        for task in (decoded, converted, learned, scored):
            seconds, mib, (amount, unit) = alone(measured, task)
            rate = f"{amount:,.0f} {unit}, {amount / seconds:,.0f}/s"
            print(f"{task.__name__:10} {seconds:6.1f} s  {mib:6.0f} MiB  {rate}")
    finally:
        shutil.rmtree(FOLDER)


def alone(task, *given):
    """In a process that is begun for it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(task, *given).result()


def measured(task):
    """(seconds, MiB at the peak, what was done) of a task."""
    before = time.perf_counter()
    done = task()
    return time.perf_counter() - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, done


def decoded():
    """What nothing that reads a TSV can do without."""
    with open(path := FOLDER / "boxes/train2014.tsv", "rb") as file:
        for line in file:
            for field in line.split(b"\t")[4:]:
                base64.b64decode(field)
    return path.stat().st_size / 1e6, "MB of TSV"


def converted():
    convert.convert([path := FOLDER / "boxes/train2014.tsv"], FOLDER / "store")
    return path.stat().st_size / 1e6, "MB of TSV"


def learned():
    data = prepare.Data(format="vqa2_questions", root=str(FOLDER), select=0.05, seed=0)
    rest = {"least": 9, "answers": "all", "vectors": "", "threads": 1}
    (folder := FOLDER / "features").mkdir()
    prepare.prepare(data, prepare.Settings(most=1, boxes=1, longest=14, **rest), folder)
    return len(read.load(folder).questions["id"]), "questions"


def scored():
    questions, annotations, _ = official.layout(FOLDER, "val2014")
    known = {each.id for each in official.questions(questions)}
    answers = official.results(FOLDER / "results.json", known)
    scoring.table(answers, [*official.annotations(annotations)], ())
    return len(answers), "answers"


def boxes(path, images):
    rng, lines = np.random.default_rng(0), []
    for _ in range(DRAWN):
        corner_N2 = rng.uniform(0, 300, (BOXES, 2))
        box_N4 = np.concatenate([corner_N2, corner_N2 + rng.uniform(9, 300, (BOXES, 2))], 1).astype("f4")
        feature_NF = rng.gamma(0.5, size=(BOXES, CHANNELS)).astype("f4")
        packed = (base64.b64encode(each.tobytes()).decode() for each in (box_N4, feature_NF))
        lines.append("\t".join(["640", "640", str(BOXES), *packed]))
    with open(path, "w") as file:
        for image in range(images):
            file.write(f"{image}\t{lines[image % DRAWN]}\n")


def asked(split, count):
    """Questions and annotations of a split, and of val results that are right now and then."""
    rng, questions, annotations, results = random.Random(split), [], [], []
    for i in range(count):
        record = {"image_id": i % PICTURES[split], "question_id": 10 * i + len(split)}
        kind = rng.choices([*KINDS], [38, 12, 50])[0]
        common, other = (rng.choice(KINDS[kind][: rng.choice([2, 50, 9000])]) for _ in range(2))
        said = [{"answer_id": j, "answer": rng.choice([common, common, other])} for j in range(1, 11)]
        questions.append(record | {"question": " ".join(rng.choices(WORDS, k=7)) + "?"})
        types = {"question_type": f"what {i % 65}", "answer_type": kind, "multiple_choice_answer": common}
        annotations.append(
            record | types | {"answers": [each | {"answer_confidence": "yes"} for each in said]}
        )
        results.append({"question_id": record["question_id"], "answer": other})
    for path, tree in zip(
        official.layout(FOLDER, split), ({"questions": questions}, {"annotations": annotations}), strict=False
    ):
        path.write_text(json.dumps(tree))
    (FOLDER / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    run(main)
