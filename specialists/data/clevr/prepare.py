"""CLEVR under data.root -> a folder that every VQA network reads; its files are described in read.py.

The splits are the official train without images held out for selection (train), those images (select), and
the official val (report). Vocabulary and scene reader learn from train alone.

N, I images, R cells, F channels
"""

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import save

from specialists.base.files import digest, replacing, write_json
from specialists.data import text
from specialists.data.clevr import official
from specialists.data.limits import within
from specialists.data.shards import Shards
from specialists.data.splits import SPLITS, hold_out
from specialists.eyes import extract, resnet101, scene_cnn, weights


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
    """The section `features` of params.yaml; `longest`: words of a question."""

    eyes: str
    weights: str
    longest: int
    threads: int
    scene_cnn: scene_cnn.Settings

    def __post_init__(self):
        if self.eyes not in ("scene_cnn", "resnet101"):
            raise ValueError(f"eyes: {self.eyes!r} is unknown; known: scene_cnn, resnet101")
        if self.learns != (self.weights == ""):
            right = "'' for scene_cnn, which learns its own" if self.weights else "the path of a weights file"
            raise ValueError(f"weights: found {self.weights!r}, expected {right}")
        within(self, {"longest": (1, 1000)})

    @property
    def learns(self):
        return self.eyes == "scene_cnn"


def prepare(data, settings, folder):
    """Fill an empty folder; returns how well the eyes read the pictures of report, if they read any."""
    generator = torch.Generator().manual_seed(data.seed)
    if settings.learns:
        eyes = scene_cnn.SceneCNN(settings.scene_cnn, generator)
    else:
        eyes = resnet101.load(settings.weights)
    train, report = official.read(data.root, "train"), official.read(data.root, "val")
    # A generator of its own: which images are held out must not depend on the eyes.
    split_I = hold_out(len(train.images), data.select, torch.Generator().manual_seed(data.seed))
    columns, words = join(train, report, split_I, settings.longest)
    splits = counts(columns, data)
    if settings.learns:
        teach(eyes, train, split_I, settings.scene_cnn, generator)
    accuracy, (images, *others) = _write(eyes, settings.learns, train, report, columns, folder)
    meta = {
        "reader": "clevr",
        "words": words,
        "answers": official.ANSWERS,
        "families": official.FAMILIES,
        "categories": official.CATEGORIES,
        "splits": splits,
        "grid": eyes.grid,
        "eyes": settings.eyes,
        "accuracy": accuracy,
        "digest": digest(*images, *others),
    }
    write_json(folder / "meta.json", meta)
    return accuracy


def join(train, report, split_I, longest):
    """(columns of all questions, words): images count on from train to report, words are those of train."""
    names = ("answer", "family", "category")
    columns = {name: np.append(getattr(train, name), getattr(report, name)) for name in names}
    columns["image"] = np.append(train.image, report.image + len(train.images)).astype(np.int32)
    split_I = np.append(split_I, np.full(len(report.images), SPLITS.index("report"), np.int32))
    columns["split"] = split_I[columns["image"]]
    questions, learnt = train.text + report.text, columns["split"] == SPLITS.index("train")
    words = text.vocabulary(q for q, ours in zip(questions, learnt, strict=True) if ours)
    columns["tokens"], columns["length"] = text.encode(questions, words, longest)
    return columns, words


def counts(columns, data):
    """Questions and images of each split, of which none may be without."""
    mine = {name: columns["split"] == i for i, name in enumerate(SPLITS)}
    for name, rows in mine.items():
        if not rows.any():
            raise ValueError(f"{data.root}: no question is left for {name}; data.select is {data.select}")
    return {
        name: {"questions": int(rows.sum()), "images": len(np.unique(columns["image"][rows]))}
        for name, rows in mine.items()
    }


def teach(eyes, train, split_I, settings, generator):
    """Train the scene reader on images of the train split, at most as many as its settings say."""
    mine = np.flatnonzero(split_I == SPLITS.index("train"))
    mine = mine[torch.randperm(len(mine), generator=generator)[: settings.images].numpy()]
    objects = official.objects_of(train, mine)
    if not len(objects):
        raise ValueError(
            f"{train.images[0].parent}: no object in the scenes of {len(mine)} images of train: "
            "nothing for scene_cnn to learn from"
        )
    images, sizes_N2 = extract.load([train.images[i] for i in mine], eyes.size)
    scene_cnn.train(eyes, images, objects, sizes_N2, settings, generator)


def _write(eyes, learned, train, report, columns, folder):
    """(accuracy of eyes that learned, [the files of features, each other file])"""
    questions, accuracy = folder / "questions.safetensors", {}
    sizes_N2, images = extract.extract(eyes, train.images + report.images, folder / "images.npy")
    with replacing(questions) as draft:
        draft.write_bytes(save(columns))
    if not learned:
        return accuracy, [images, questions]
    weights.save(eyes, folder / "eyes.safetensors")
    accuracy = eyes.accuracy(Shards(images[0]), report.objects, sizes_N2, len(train.images))
    return accuracy, [images, questions, folder / "eyes.safetensors"]
