"""python -m stages.whiten: CIFAR-100 under data.root -> data/features, which every CIFAR network reads.

The features stage of CIFAR-100. Of the official train, data.select images of every class are held out for
selection (select), the others are train; the official test is report. What is fitted, is fitted on train.

reads   params: data, features; data.root
writes  data/features/images.safetensors, meta.json
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from sklearn.model_selection import StratifiedShuffleSplit

from specialists.data import pickles, whitening
from specialists.files import digest, replacing, write_json
from specialists.params import read
from specialists.runtime import setup
from stages import run

FOLDER = Path("data/features")
CHUNK = 5000


@dataclass(frozen=True)
class Data:
    root: str
    official: bool
    select: int
    seed: int


@dataclass(frozen=True)
class Settings:
    whiten: str
    threads: int

    def __post_init__(self):
        if self.whiten not in whitening.KINDS:
            raise ValueError(f"whiten: {self.whiten!r} is unknown; known: {', '.join(whitening.KINDS)}")


def main():
    data, settings = read("data", Data), read("features", Settings)
    setup(settings.threads)
    train, test, classes, superclasses = pickles.read(data.root, data.official)
    rows = hold_out(train.fine, data.select, data.seed)
    rows["report"] = np.arange(len(train.fine), len(train.fine) + len(test.fine))
    pixels = np.concatenate([train.pixels, test.pixels])
    columns = {
        "image": whitened(pixels, rows["train"], settings.whiten),
        "label": np.append(train.fine, test.fine),
        "group": np.append(train.coarse, test.coarse),
    }
    images = FOLDER / "images.safetensors"
    with replacing(images) as draft:
        (FOLDER / "meta.json").unlink(missing_ok=True)  # never the old one beside a new file
        tensors = {name: torch.as_tensor(column) for name, column in (columns | rows).items()}
        draft.write_bytes(save(tensors))
    meta = {
        "reader": "cifar100",
        "answers": classes,
        "families": superclasses,
        "whiten": settings.whiten,
        "splits": {name: {"images": len(mine)} for name, mine in rows.items()},
        "digest": digest(images),
    }
    write_json(FOLDER / "meta.json", meta)
    print(*(f"{name} {len(mine)}" for name, mine in rows.items()))


def hold_out(label_N, count, seed):
    """The rows of train and select: `count` images of every class go to select."""
    least, *_, most = np.sort(np.bincount(label_N, minlength=pickles.CLASSES))
    if least < most:
        raise ValueError(f"data.root: train has {least} to {most} images of a class, expected equally many")
    if not 0 < count < least:
        raise ValueError(f"data.select: {count} is out of range: 1 to {least - 1} images of each class")
    splits = StratifiedShuffleSplit(1, test_size=count * pickles.CLASSES, random_state=seed)
    train, select = next(splits.split(label_N, label_N))
    return {"train": np.sort(train), "select": np.sort(select)}


def whitened(pixels, train, kind):
    """(N, 32, 32, 3) bf16, a chunk at a time: fitting takes three times train in float64 as it is."""
    prepare = whitening.KINDS[kind](_values(pixels[train]))
    chunks = (pixels[i : i + CHUNK] for i in range(0, len(pixels), CHUNK))
    parts = [prepare(_values(chunk)).bfloat16() for chunk in chunks]
    return torch.cat(parts).unflatten(1, pixels.shape[1:])


def _values(pixels):
    return torch.from_numpy(pixels.reshape(len(pixels), -1)).double()


if __name__ == "__main__":
    run(main)
