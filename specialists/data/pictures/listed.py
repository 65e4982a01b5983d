"""A folder of pictures, and a list of what was asked about them.

images/**               PNG or JPEG
train.csv               image,question,answer and perhaps group; `image` is a path in images/
val.csv                 the same, for report; without it some pictures of train are held out for that

In place of each CSV there may be two files as in VQA v2, *train*questions.json and *train*annotations.json,
about pictures whose names end in their id.
"""

import csv
import os
import re
from pathlib import Path

from specialists.data.text import tokenize
from specialists.data.vqa2 import official
from specialists.data.vqa2.official import Annotation, Question
from specialists.data.vqa2.scoring import normalized

SPLITS = ("train", "val")
COLUMNS = ("image", "question", "answer")
ENDINGS = (".png", ".jpg", ".jpeg")
PEOPLE = 10  # the answer of a list counts as that of all of them


def read(root):
    """({split: (questions, annotations)}, {id of a picture: its path}); val may be missing."""
    if not (images := Path(root) / "images").is_dir():
        raise ValueError(f"data.root: {root}: no folder images there; it needs PNG or JPEG files in images/")
    pictures = sorted(path for path in _files(images) if path.suffix.lower() in ENDINGS)
    if not pictures:
        raise ValueError(f"data.root: {root}: no file in images/ ends in {', '.join(ENDINGS)}")
    found = {split: _split(Path(root), split) for split in SPLITS}
    if not found["train"]:
        raise ValueError(
            f"{root}/train.csv: not found; expected a table of {', '.join(COLUMNS)} and perhaps group, or "
            "*train*questions.json and *train*annotations.json as in VQA v2"
        )
    kinds = {len(files) for files in found.values() if files}
    if len(kinds) > 1:
        raise ValueError(f"{root}: train and val are not both CSV or both JSON")
    found = {split: files for split, files in found.items() if files}
    return _tables(found, Path(root), pictures) if kinds == {1} else _official(found, pictures)


def _files(images):
    """The files below a folder, also behind links, but for those that lead back."""
    for at, folders, names in os.walk(images, followlinks=True):
        way = {os.path.realpath(each) for each in (at, *Path(at).parents)}
        folders[:] = [each for each in folders if os.path.realpath(os.path.join(at, each)) not in way]
        yield from (Path(at) / name for name in names)


def _split(root, split):
    """The files that list a split: a CSV, two JSON, or none."""
    table = root / f"{split}.csv"
    files = [sorted(root.glob(f"*{split}*{kind}.json")) for kind in ("questions", "annotations")]
    if table.exists():
        if any(files):
            raise ValueError(f"{root}: {split}: found both {table.name} and JSON, expected one of them")
        return [table]
    if any(len(each) > 1 for each in files) or len(files[0]) != len(files[1]):
        names = ", ".join(path.name for each in files for path in each)
        raise ValueError(
            f"{root}: {split}: found {names}, expected one file of questions, one of annotations"
        )
    return [*files[0], *files[1]]


def _official(found, pictures):
    """Questions and annotations as in VQA v2; ids of pictures stand at the end of their names."""
    asked, by_id = {split: official.joined(*files) for split, files in found.items()}, {}
    for path in pictures:
        if number := re.search(r"\d+$", path.stem):
            other = by_id.setdefault(int(number[0]), path)
            if other != path:
                raise ValueError(f"{path}: the same id as {other}: names must end in the id of the picture")
    for split, (questions, _) in asked.items():
        for each in questions:
            if each.image not in by_id:
                raise ValueError(
                    f"{found[split][0]}: question {each.id}: no picture whose name ends in {each.image}"
                )
    return asked, by_id


def _tables(found, root, pictures):
    """Rows of CSV, each answer as if of ten people; a group is its column or a question's first word."""
    id_of, asked, seen, count = {path: i for i, path in enumerate(pictures)}, {}, {}, 0
    for split, (table,) in found.items():
        questions, annotations = [], []
        for line, row in _rows(table):
            path, question, answer = root / "images" / row["image"], row["question"], row["answer"]
            if path not in id_of:
                raise ValueError(f"{table}: line {line}: image: no PNG or JPEG at {path}")
            if seen.setdefault(path, split) != split:
                raise ValueError(f"{table}: line {line}: image: {row['image']} is in {seen[path]}.csv too")
            count += 1
            group, answers = row.get("group") or tokenize(question)[0], (answer,) * PEOPLE
            questions.append(Question(count, id_of[path], question))
            annotations.append(Annotation(count, id_of[path], group, kind(answer), answer, answers))
        if not questions:
            raise ValueError(f"{table}: no row below the names of its columns")
        asked[split] = questions, annotations
    return asked, dict(enumerate(pictures))


def _rows(table):
    """(line, {column: text}) of a CSV; required columns and values must be there."""
    try:
        with open(table, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            names = [*(rows.fieldnames or ())]
            if (missing := [each for each in COLUMNS if each not in names]) or len({*names}) < len(names):
                wrong = f"no column {', '.join(missing)}" if missing else "a column comes twice"
                raise ValueError(f"{table}: {wrong}; found {names}, expected names between commas")
            for row in rows:
                place = f"{table}: line {rows.line_num}"
                if None in row:
                    raise ValueError(f"{place}: more cells than columns")
                row = {column: (text or "").strip() for column, text in row.items()}
                for column in COLUMNS:
                    if not row[column]:
                        raise ValueError(f"{place}: {column}: nothing there")
                if not tokenize(row["question"]):
                    raise ValueError(f"{place}: question: {row['question']!r} has no words")
                if not normalized(row["answer"]):
                    said = f"{row['answer']!r} is nothing where answers are compared as in VQA v2"
                    raise ValueError(f"{place}: answer: {said}; write it as a word")
                yield rows.line_num, row
    except UnicodeDecodeError as error:
        raise ValueError(f"{table}: byte {error.start} is not UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{table}: line {rows.line_num}: not a CSV: {error}") from None


def kind(answer):
    """The type of an answer, as annotators of VQA v2 would have it."""
    form = normalized(answer)
    if form in ("yes", "no"):
        return "yes/no"
    return "number" if form.isdecimal() else "other"
