"""The published JSON of VQA v2, a record at a time: questions, annotations, results, complementary pairs.

ROOT/v2_OpenEnded_mscoco_SPLIT_questions.json, ROOT/v2_mscoco_SPLIT_annotations.json and, if there are any,
ROOT/v2_mscoco_SPLIT_complementary_pairs.json; SPLIT is train2014 or val2014. Beside them boxes/*, features of
boxes in any number of files, and images/SPLIT/COCO_SPLIT_ID.png or .jpg, which only pictures need.

{"questions": [{"image_id", "question_id", "question"}]}
{"annotations": [{"question_id", "image_id", "question_type", "answer_type", "multiple_choice_answer",
                  "answers": [{"answer_id", "answer", "answer_confidence"}] * 10}]}
[{"question_id", "answer"}]                             results, for every question once
[[question_id, question_id]]                            the same question about two images
"""

from dataclasses import dataclass
from pathlib import Path

from specialists.base.files import read_json
from specialists.data.records import Place, records

ANSWER_TYPES = ("yes/no", "number", "other")
SPLITS = ("train2014", "val2014")


@dataclass(frozen=True, slots=True)
class Question:
    id: int
    image: int
    text: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """What people answered: `common` is the answer of most of them."""

    id: int
    image: int
    question_type: str
    answer_type: str
    common: str
    answers: tuple[str, ...]


def layout(root, split):
    """The files of questions, of annotations and of pairs."""
    names = "OpenEnded_mscoco_{}_questions", "mscoco_{}_annotations", "mscoco_{}_complementary_pairs"
    return [Path(root) / f"v2_{name.format(split)}.json" for name in names]


def picture(root, split, image, end="png"):
    return Path(root) / f"images/{split}/COCO_{split}_{image:012d}.{end}"


def questions(path):
    """Yield every question of a file."""
    for place, record in _once(path, "questions"):
        yield Question(
            record["question_id"], place.take(record, "image_id", int), place.take(record, "question", str)
        )


def annotations(path):
    """Yield every annotation of a file."""
    for place, record in _once(path, "annotations"):
        answers = place.take(record, "answers", list)
        if len(answers) < 2:
            raise place.wrong("answers", answers, "those of ten people, or of two at least")
        kind = place.take(record, "answer_type", str)
        if kind not in ANSWER_TYPES:
            raise place.wrong("answer_type", kind, f"one of {', '.join(ANSWER_TYPES)}")
        yield Annotation(
            record["question_id"],
            place.take(record, "image_id", int),
            place.take(record, "question_type", str),
            kind,
            place.take(record, "multiple_choice_answer", str),
            tuple(Place(path, f"{place.at}.answers").take(answer, "answer", str) for answer in answers),
        )


def joined(asked, answered):
    """(questions, annotations) of two files, one to one in the order of the questions."""
    by_id = {each.id: each for each in annotations(answered)}
    listed = [*questions(asked)]
    for each in listed:
        if each.id not in by_id or by_id[each.id].image != each.image:
            raise ValueError(f"{answered}: no annotation of question {each.id} about image {each.image}")
    if len(by_id) > len(listed):
        known = {each.id for each in listed}
        other = next(i for i in by_id if i not in known)
        raise ValueError(f"{asked}: no question {other}, which is annotated")
    return listed, [by_id[each.id] for each in listed]


def _once(path, key):
    """(place, record) of each record; a question id comes once."""
    seen = set()
    for i, record in enumerate(records(path, key)):
        place = Place(path, f"{key}[{i}]")
        if place.take(record, "question_id", int) in seen:
            raise place.wrong("question_id", record["question_id"], "an id that no earlier record has")
        seen.add(record["question_id"])
        yield place, record


def results(path, known):
    """Question id -> answer, of a results file that answers every question in `known` and no other."""
    listed, found = read_json(path), {}
    if type(listed) is not list:
        raise ValueError(f"{path}: found {listed!r:.60}, expected a list of question_id and answer")
    for i, record in enumerate(listed):
        place = Place(path, f"[{i}]")
        identity, answer = place.take(record, "question_id", int), place.take(record, "answer", str)
        if identity not in known:
            raise place.wrong("question_id", identity, "the id of a question that was asked")
        if identity in found:
            raise place.wrong("question_id", identity, "an id that no earlier record has")
        found[identity] = answer
    for missing in known - found.keys():
        more = len(known) - len(found) - 1
        raise ValueError(f"{path}: no answer to question {missing}, nor to {more} more; expected one to each")
    return found


def pairs(path, known):
    """(question id, question id) of every complementary pair of which both are known."""
    listed = read_json(path)
    for i, pair in enumerate(listed if type(listed) is list else [listed]):
        if type(pair) is not list or [type(each) for each in pair] != [int, int]:
            raise Place(path, f"[{i}]").wrong("", pair, "two question ids")
        if known.issuperset(pair):
            yield tuple(pair)
