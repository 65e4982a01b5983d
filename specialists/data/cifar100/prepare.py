"""CIFAR-100 under data.root -> a folder that every CIFAR network reads; its files are described in read.py.

Of the official train, data.select images of every class are held out for selection (select), the others are
train; the official test is report. Everything is fitted on train.
"""

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.torch import save
from sklearn.model_selection import StratifiedShuffleSplit

from specialists.base.files import digest, replacing, write_json
from specialists.data.cifar100 import official, whitening
from specialists.data.limits import within

CHUNK = 5000


@dataclass(frozen=True)
class Data:
    """The section `data` of params.yaml; `official`: the published files alone."""

    format: str
    root: str
    official: bool
    select: int
    seed: int

    def __post_init__(self):
        within(self, {"seed": (0, 2**31 - 1)})


@dataclass(frozen=True)
class Settings:
    """The section `features` of params.yaml."""

    whiten: str
    threads: int

    def __post_init__(self):
        if self.whiten not in whitening.KINDS:
            raise ValueError(f"whiten: {self.whiten!r} is unknown; known: {', '.join(whitening.KINDS)}")


def prepare(data, settings, folder):
    """Fill an empty folder; returns the number of images of each split."""
    train, test, classes, superclasses = official.read(data.root, data.official)
    rows = hold_out(train.fine, data.select, data.seed)
    rows["report"] = np.arange(len(train.fine), len(train.fine) + len(test.fine))
    columns = {
        "image": whitened(np.concatenate([train.pixels, test.pixels]), rows["train"], settings.whiten),
        "label": np.append(train.fine, test.fine),
        "group": np.append(train.coarse, test.coarse),
    }
    images = folder / "images.safetensors"
    with replacing(images) as draft:
        tensors = {name: torch.as_tensor(column) for name, column in (columns | rows).items()}
        draft.write_bytes(save(tensors))
    counts = {name: len(mine) for name, mine in rows.items()}
    meta = {
        "reader": "cifar100",
        "answers": classes,
        "families": superclasses,
        "whiten": settings.whiten,
        "splits": {name: {"images": count} for name, count in counts.items()},
        "digest": digest(images),
    }
    write_json(folder / "meta.json", meta)
    return counts


def hold_out(label_N, count, seed):
    """The rows of train and select: `count` images of every class go to select."""
    least, *_, most = np.sort(np.bincount(label_N, minlength=official.CLASSES))
    if least < most:
        raise ValueError(f"data.root: train has {least} to {most} images of a class, expected equally many")
    if not 0 < count < least:
        raise ValueError(f"data.select: {count} is out of range: 1 to {least - 1} images of each class")
    splits = StratifiedShuffleSplit(1, test_size=count * official.CLASSES, random_state=seed)
    train, select = next(splits.split(label_N, label_N))
    return {"train": np.sort(train), "select": np.sort(select)}


def whitened(pixels, train, kind):
    """(N, 32, 32, 3) bf16, a chunk at a time: fitting alone takes three times train in float64."""
    prepare = whitening.KINDS[kind](_values(pixels[train]))
    chunks = (pixels[i : i + CHUNK] for i in range(0, len(pixels), CHUNK))
    parts = [prepare(_values(chunk)).bfloat16() for chunk in chunks]
    return torch.cat(parts).unflatten(1, pixels.shape[1:])


def _values(pixels):
    return torch.from_numpy(pixels.reshape(len(pixels), -1)).double()
