"""python -m stages.features: CLEVR under data.root -> data/features, which every VQA network reads.

Official train without images held out for selection (train), those images (select), official val (report);
vocabulary and scene reader know the first alone. The files are described in specialists/data/features.py.

reads   params: data, features; data.root
writes  data/features/images.npy, questions.safetensors, meta.json
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save

from specialists import backbone, params
from specialists.data import clevr
from specialists.data.features import SPLITS
from specialists.data.splits import hold_out, join
from specialists.files import digest, replacing, write_json
from specialists.networks import resnet101, scene_cnn
from specialists.runtime import setup
from stages import run

FOLDER = Path("data/features")


@dataclass(frozen=True)
class Data:
    root: str
    select: float
    seed: int


@dataclass(frozen=True)
class Settings:
    backbone: str
    weights: str
    longest: int
    threads: int
    scene_cnn: dict

    def __post_init__(self):
        if self.backbone not in ("scene_cnn", "resnet101"):
            raise ValueError(f"backbone: {self.backbone!r} is unknown; known: scene_cnn, resnet101")
        if (self.backbone == "scene_cnn") != (self.weights == ""):
            right = "'' for scene_cnn, which learns its own" if self.weights else "the path of a weights file"
            raise ValueError(f"weights: found {self.weights!r}, expected {right}")
        if self.longest < 1:
            raise ValueError(f"longest: {self.longest} is out of range: at least 1")


def main():
    data = params.read("data", Data)
    settings = params.read("features", Settings)
    reader = params.read("features.scene_cnn", scene_cnn.Settings)
    setup(settings.threads)
    generator = torch.Generator().manual_seed(data.seed)
    learns = settings.backbone == "scene_cnn"
    network = scene_cnn.SceneCNN(reader, generator) if learns else resnet101.load(settings.weights)

    train, report = clevr.read(data.root, "train"), clevr.read(data.root, "val")
    # A generator of its own: which images are held out must not depend on the backbone.
    split = hold_out(len(train.images), data.select, torch.Generator().manual_seed(data.seed))
    columns, words = join(train, report, split, settings.longest)
    splits = counts(columns)
    for name, count in splits.items():
        if not count["questions"]:
            raise ValueError(f"{data.root}: no question is left for {name}; data.select is {data.select}")
    if learns:
        teach(network, train, split, reader, generator)

    FOLDER.mkdir(parents=True, exist_ok=True)
    for left in FOLDER.glob(".*.tmp"):  # of a run that was killed
        left.unlink()
    images, questions = FOLDER / "images.npy", FOLDER / "questions.safetensors"
    with replacing(images) as draft, open(draft, "wb") as file:
        sizes = backbone.extract(network, train.images + report.images, file)
        (FOLDER / "meta.json").unlink(missing_ok=True)  # never the old one beside new files
    with replacing(questions) as draft:
        draft.write_bytes(save(columns))
    accuracy, first = {}, len(train.images)
    if learns:
        accuracy = network.accuracy(np.load(images, mmap_mode="r")[first:], report.objects, sizes[first:])
    meta = {
        "reader": "features",
        "words": words,
        "answers": clevr.ANSWERS,
        "families": clevr.FAMILIES,
        "categories": clevr.CATEGORIES,
        "splits": splits,
        "grid": network.grid,
        "backbone": settings.backbone,
        "accuracy": accuracy,
        "digest": digest(images, questions),
    }
    write_json(FOLDER / "meta.json", meta)
    print(*(f"{name} {value:.4f}" for name, value in accuracy.items()))


def teach(network, train, split, settings, generator):
    """Train the scene reader on images of the train split, at most as many as its settings say."""
    mine = np.flatnonzero(split == SPLITS.index("train"))
    mine = mine[torch.randperm(len(mine), generator=generator)[: settings.images].numpy()]
    images, sizes = backbone.load([train.images[i] for i in mine], network.size)
    scene_cnn.train(network, images, clevr.objects_of(train, mine), sizes, settings, generator)


def counts(columns):
    """Questions and images of each split."""
    mine = {name: columns["split"] == i for i, name in enumerate(SPLITS)}
    return {
        name: {"questions": int(rows.sum()), "images": len(np.unique(columns["image"][rows]))}
        for name, rows in mine.items()
    }


if __name__ == "__main__":
    run(main)
