"""VQA v2 under data.root -> a folder that every network on boxes reads; its files are described in read.py.

The splits are the official train without images held out for selection (train), those images (select), and
the official val (report). Vocabularies and the types of answers are learned from train alone. Answers may be
learned from all, as the published lists are.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from specialists.answers import votes
from specialists.base.files import digest, replacing, write_json
from specialists.data import text
from specialists.data.limits import within
from specialists.data.splits import SPLITS, hold_out
from specialists.data.vqa2 import convert, official, store, vocabulary

LEARNED = ("train", "all")
SCRATCH = Path("scratch/boxes")  # until the rest is prepared: what fails there converts no boxes again


@dataclass(frozen=True)
class Data:
    """The section `data` of params.yaml; `select`: the share of train images held out."""

    format: str
    root: str
    select: float
    seed: int

    def __post_init__(self):
        within(self, {"seed": (0, 2**31 - 1)})


@dataclass(frozen=True)
class Settings:
    """The section `features` of params.yaml.

    Each image keeps its `most` first boxes; networks see the `boxes` first. These are the best only if files
    list boxes by confidence (convert.py). `longest`: words of a question. An answer is learned if it is the
    common one of `least` questions of `answers`, train or all.
    `vectors`: a text file of words and numbers (GloVe's), or ''.
    """

    most: int
    boxes: int
    longest: int
    least: int
    answers: str
    vectors: str
    threads: int

    def __post_init__(self):
        within(self, {"most": (1, 1000), "boxes": (1, self.most), "longest": (1, 1000), "least": (1, 10**6)})
        if self.answers not in LEARNED:
            raise ValueError(f"answers: {self.answers!r} is unknown; known: {', '.join(LEARNED)}")


def prepare(data, settings, folder):
    """Fill an empty folder; returns the numbers of boxes and answers, and what is known without looking."""
    root = Path(data.root)
    asked = {split: joined(root, split) for split in official.SPLITS}
    converted(root, settings.most, folder / "boxes")
    images = store.load(folder / "boxes").images
    columns, about = learned(asked, images, data, settings)
    more = []
    if settings.vectors:
        np.save(folder / "vectors.npy", vocabulary.vectors(settings.vectors, about["words"]))
        more = ["vectors.npy"]
    found = finished(columns, about | {"reader": "vqa2", "boxes": settings.boxes}, folder, more)
    (SCRATCH / "state.json").unlink()  # first, for what is killed now is not whole
    shutil.rmtree(SCRATCH)
    return found


def finished(columns, about, folder, more):
    """Write what is missing from a folder that holds the boxes, and `more` files of other kinds."""
    with replacing(folder / "questions.safetensors") as draft:
        draft.write_bytes(save(columns))
    boxes = [f"boxes/{name}" for name in (*store.FILES, "meta.json")]
    files = [folder / name for name in ("questions.safetensors", *boxes, *more)]
    answers = about["answers"]
    meta = about | {
        "kind_names": official.ANSWER_TYPES,
        "splits": {name: int((columns["split"] == i).sum()) for i, name in enumerate(SPLITS)},
        "blind": blind(columns, len(answers)),
        "digest": digest(*files),
    }
    write_json(folder / "meta.json", meta)
    count = store.load(folder / "boxes").meta["boxes"]
    return {"boxes": count, "answers": len(answers), "blind": meta["blind"]}


def joined(root, split):
    """(questions, annotations) of a split, one to one in the order of the questions."""
    asked, answered, _ = official.layout(root, split)
    for path in (asked, answered):
        if not path.exists():
            raise ValueError(
                f"{path}: not found. data.root ({root}) must hold v2_OpenEnded_mscoco_SPLIT_questions.json, "
                "v2_mscoco_SPLIT_annotations.json, SPLIT being train2014 and val2014, and boxes/* (but for "
                "data.format: vqa2_questions): fetch VQA v2 from https://visualqa.org, or set data.root back "
                "to data/stand_in"
            )
    return official.joined(asked, answered)


def converted(root, most, folder):
    """The store of all boxes. It is made in SCRATCH, where a killed conversion goes on."""
    sources = sorted(path for path in (root / "boxes").glob("*") if path.suffix != ".pkl")
    if not sources:
        raise ValueError(f"{root}/boxes: nothing there; expected bottom-up features as *.tsv or *.hdf5")
    convert.convert(sources, SCRATCH, most)
    shutil.copytree(SCRATCH, folder, copy_function=os.link, ignore=lambda *_: ["state.json"])


def learned(asked, images, data, settings):
    """(columns of all questions; words, answers, the type of each answer, and families)

    `asked`: (questions, annotations) of train, then of report; `images`: all ids in the order of the store.
    """
    (questions, answered), (more, later) = asked.values()
    ids = sorted({each.image for each in questions})
    held = hold_out(len(ids), data.select, torch.Generator().manual_seed(data.seed))
    split_of = dict(zip(ids, held.tolist(), strict=True))
    split = [split_of[each.image] for each in questions] + [SPLITS.index("report")] * len(more)
    questions, answered = [*questions, *more], [*answered, *later]
    for each in questions:
        if not text.tokenize(each.text):
            raise ValueError(f"{data.root}: question {each.id}: {each.text!r} has no words")
    train = [i for i, each in enumerate(split) if each == SPLITS.index("train")]
    words = text.vocabulary(questions[i].text for i in train)
    answers = vocabulary.vocabulary(
        answered if settings.answers == "all" else [answered[i] for i in train], settings.least
    )
    if not answers:
        raise ValueError(f"{data.root}: no answer is common to {settings.least} questions, features.least")
    places = {answer: i for i, answer in enumerate(answers)}
    tokens, length = text.encode([each.text for each in questions], words, settings.longest)
    families = {name: i for i, name in enumerate(sorted({each.question_type for each in answered}))}
    row = {image: i for i, image in enumerate(images)}
    for each in questions:
        if each.image not in row:
            raise ValueError(
                f"{data.root}/boxes: no boxes of image {each.image}, which question {each.id} asks about"
            )
    columns = {
        "tokens": tokens,
        "length": length,
        "split": np.array(split, np.int32),
        "id": np.array([each.id for each in questions], np.int64),
        "image": np.array([row[each.image] for each in questions], np.int32),
        "family": np.array([families[each.question_type] for each in answered], np.int32),
        "kind": np.array([official.ANSWER_TYPES.index(each.answer_type) for each in answered], np.int32),
        "target": vocabulary.packed([vocabulary.shares(each.answers, places) for each in answered]),
    }
    return columns, {
        "words": words,
        "answers": answers,
        "kinds": vocabulary.kinds([answered[i] for i in train], answers),
        "families": [*families],
    }


def blind(columns, answers):
    """Accuracy on report, in percent, of answering from the type of a question and the answers of train."""
    target, family = torch.from_numpy(columns["target"]), torch.from_numpy(columns["family"]).long()
    train, report = (torch.from_numpy(columns["split"] == SPLITS.index(name)) for name in ("train", "report"))
    total = torch.zeros(int(family.max()) + 1, answers, dtype=torch.float64)
    place_NA, share_NA = target[train].double().unbind(1)
    family_NA = family[train].unsqueeze(1).expand_as(place_NA)
    total.index_put_((family_NA, place_NA.long()), share_NA, accumulate=True)
    return 100 * votes.right(total.argmax(1)[family[report]], target[report]).double().mean().item()
