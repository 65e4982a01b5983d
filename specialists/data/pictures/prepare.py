"""Pictures of one's own under data.root -> a folder that every network on boxes reads, as vqa2/read.py says.

Small eyes learn from questions of train, or a ResNet-101 has weights from a file. Cells of the grid are the
boxes. eyes.safetensors holds eyes that learned.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch

from specialists.data.limits import within
from specialists.data.pictures import grid, listed
from specialists.data.splits import SPLITS, hold_out
from specialists.data.vqa2.prepare import finished, learned
from specialists.eyes import extract, resnet101, taught, weights
from specialists.eyes.scene_cnn import Settings as Eyes
from specialists.eyes.small import SmallEyes

FORMATS = ("PNG", "JPEG")


@dataclass(frozen=True)
class Data:
    """The section `data` of params.yaml; `select`, `report`: shares of the pictures of train that are held
    out, the second only where there is no list of val."""

    format: str
    root: str
    select: float
    report: float
    seed: int

    def __post_init__(self):
        within(self, {"seed": (0, 2**31 - 1)})


@dataclass(frozen=True)
class Settings:
    """The section `features` of params.yaml.

    `weights`: a file of a ResNet-101, or '' for eyes that learn as `eyes` says. `longest`: words of a
    question. An answer is learned if it is right for `least` questions of train.
    """

    weights: str
    eyes: Eyes
    longest: int
    least: int
    threads: int
    answers: ClassVar[str] = "train"

    def __post_init__(self):
        within(self, {"longest": (1, 1000), "least": (1, 10**6)})


def prepare(data, settings, folder):
    """Fill an empty folder; returns the numbers of boxes and answers, and what is known without looking."""
    asked, pictures = listed.read(data.root)
    apart(asked, data.root)
    asked = asked if "val" in asked else divided(asked["train"], data)
    ids = sorted({each.image for questions, _ in asked.values() for each in questions})
    columns, about = learned(asked, ids, data, settings)
    paths, more = [pictures[each] for each in ids], []
    if settings.weights:
        eyes = resnet101.load(settings.weights)
    else:
        for _ in extract.batches(paths, (1, 1), FORMATS):  # finds files that are no pictures early
            pass
        eyes = taught_by(columns, about, paths, data, settings.eyes)
        weights.save(eyes, folder / "eyes.safetensors")
        more = ["eyes.safetensors"]
    grid.write(folder / "boxes", ids, eyes, extract.maps(eyes, paths, FORMATS))
    rows, across = eyes.grid
    return finished(columns, about | {"reader": "pictures", "boxes": rows * across}, folder, more)


def apart(asked, root):
    """Refuse a list of val with a question or a picture of train: what was learned says little about it."""
    for kind, key in (("question", "id"), ("picture", "image")):
        known = {getattr(each, key) for each in asked["train"][0]}
        for each in asked.get("val", ([], []))[0]:
            if getattr(each, key) in known:
                raise ValueError(
                    f"{root}: {kind} {getattr(each, key)} is in the list of val and in that of train"
                )


def divided(train, data):
    """{split: (questions, annotations)} where all are listed as train: some pictures are held out for val."""
    ids = sorted({each.image for each in train[0]})
    generator = torch.Generator().manual_seed(data.seed + 1)  # not that of select
    held = hold_out(len(ids), data.report, generator, "report")
    split_of = dict(zip(ids, held.tolist(), strict=True))
    rows = [*zip(*train, strict=True)]
    parts = {"train": SPLITS.index("train"), "val": SPLITS.index("report")}
    return {
        name: tuple(zip(*(row for row in rows if split_of[row[0].image] == part), strict=True))
        for name, part in parts.items()
    }


def taught_by(columns, about, paths, data, settings):
    """Eyes that learned from the questions of train about at most as many pictures as their settings say."""
    generator = torch.Generator().manual_seed(data.seed)
    eyes = SmallEyes(settings, settings, generator)
    image_Q = torch.from_numpy(columns["image"])
    of_train_Q = torch.from_numpy(columns["split"]) == SPLITS.index("train")
    image_N = image_Q[of_train_Q].unique()
    image_N = image_N[torch.randperm(len(image_N), generator=generator)[: settings.images]]
    row_Q = (of_train_Q & torch.isin(image_Q, image_N)).nonzero().squeeze(1)
    place_I = torch.zeros(len(paths), dtype=torch.int64)
    place_I[image_N] = torch.arange(len(image_N))
    images, _ = extract.load([paths[i] for i in image_N.tolist()], eyes.size, FORMATS)
    asked = (
        place_I[image_Q[row_Q]],
        *(torch.from_numpy(columns[name])[row_Q] for name in ("tokens", "length", "target")),
    )
    asked = [each if each.is_floating_point() else each.long() for each in asked]
    shape = eyes.channels + grid.PLACE, len(about["words"]), len(about["answers"])
    torch.manual_seed(data.seed)
    taught.learn(eyes, grid.cells, images, asked, shape, settings)
    return eyes
