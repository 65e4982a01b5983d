"""CLEVR under data.root -> a folder that every network from pixels reads; its files are described in read.py.

Splits and vocabulary are those of clevr/prepare.py.
"""

from dataclasses import dataclass

import numpy as np
import torch
from safetensors.numpy import save
from tqdm import tqdm

from specialists.base.files import digest, replacing, write_json
from specialists.data.clevr import official
from specialists.data.clevr.prepare import Data, counts, join
from specialists.data.limits import within
from specialists.data.splits import hold_out
from specialists.eyes import extract

__all__ = ["Data", "Settings", "prepare"]


@dataclass(frozen=True)
class Settings:
    """The section `features` of params.yaml: the size of pictures, and how many words of a question."""

    height: int
    width: int
    longest: int
    threads: int

    def __post_init__(self):
        within(self, {"height": (16, 1024), "width": (16, 1024), "longest": (1, 1000)})


def prepare(data, settings, folder):
    """Fill an empty folder; returns the numbers of questions."""
    train, report = official.read(data.root, "train"), official.read(data.root, "val")
    split_I = hold_out(len(train.images), data.select, torch.Generator().manual_seed(data.seed))
    columns, words = join(train, report, split_I, settings.longest)
    splits = counts(columns, data)
    files = [folder / "images.npy", folder / "questions.safetensors"]
    with replacing(files[0]) as draft, open(draft, "wb") as file:
        write(train.images + report.images, (settings.height, settings.width), file)
    with replacing(files[1]) as draft:
        draft.write_bytes(save(columns))
    meta = {
        "reader": "clevr_pixels",
        "words": words,
        "answers": official.ANSWERS,
        "families": official.FAMILIES,
        "categories": official.CATEGORIES,
        "splits": splits,
        "digest": digest(*files),
    }
    write_json(folder / "meta.json", meta)
    return {name: count["questions"] for name, count in splits.items()}


def write(paths, size, file):
    """The pictures, made smaller, as one .npy array (images, height, width, 3)."""
    header = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), *size, 3)}
    np.lib.format.write_array_header_1_0(file, header)
    for image_BHW3, _ in tqdm(
        extract.batches(paths, size), "features", -(-len(paths) // extract.BATCH), disable=None
    ):
        file.write(image_BHW3.numpy().tobytes())
