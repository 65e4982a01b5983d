"""What every VQA network reads: fp16 maps of image features, and the questions in columns.

images.npy              (images, cells, channels) float16; many images go on in images1.npy, images2.npy, ...
questions.safetensors   tokens (questions, longest) int16, left-aligned, 0 after the end; length, answer,
                        family, category, image, split int32 (questions)
eyes.safetensors        the weights of eyes that learned from these images (scene_cnn)
meta.json               reader; words (with padding and unknown), answers, families, categories, splits, grid,
                        the eyes and how well they read, digest of the others
"""

from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from safetensors.torch import load_file

from specialists.answers import label
from specialists.base.files import DAMAGED, read_json
from specialists.base.runtime import DEVICE
from specialists.data import columns
from specialists.data.order import by_length, padded
from specialists.data.shards import Shards
from specialists.data.splits import SPLITS


@dataclass(frozen=True)
class Features:
    images: Shards
    questions: dict[str, torch.Tensor]
    meta: dict
    multiple: int = 1  # tokens of a batch are padded to a multiple of it
    task = label

    def rows(self, split):
        """The question rows of one split."""
        return (self.questions["split"] == SPLITS.index(split)).nonzero().squeeze(1)

    def order(self, batch, generator):
        """Positions within train for one epoch, shuffled, the questions of a batch alike in length."""
        return by_length(self.questions["length"][self.rows("train")], batch, generator)

    def batch(self, rows):
        """((image_BRF, tokens_BL, length_B), answer_B); tokens end with the longest question of the batch."""
        questions = self.questions
        length_B = questions["length"][rows].long()
        tokens_BL = questions["tokens"][rows, : padded(int(length_B.max()), self.multiple)].long()
        image_BRF = self.images[questions["image"][rows].long()]
        given = image_BRF, tokens_BL, length_B, self.targets(rows)
        image_BRF, tokens_BL, length_B, answer_B = (x.to(DEVICE, non_blocking=True) for x in given)
        return (image_BRF.float(), tokens_BL, length_B), answer_B

    def targets(self, rows):
        return self.questions["answer"][rows].long()

    def groups(self, rows):
        """The question family of each row, a position in `group_names`."""
        return self.questions["family"][rows].long()

    @property
    def group_names(self):
        return self.meta["families"]

    @property
    def shape(self):
        """What the data give to a network: grid, channels, words, answers."""
        return self.meta["grid"], self.images.shape[2], len(self.meta["words"]), len(self.meta["answers"])


def load(folder):
    meta = read_json(folder / "meta.json")
    try:
        images = maps(folder, np.float16, "IRF")
        if images.shape[1] != prod(meta["grid"]):
            raise ValueError(f"images: {images.shape[1]} cells, expected the grid {meta['grid']}")
        return Features(images, asked(folder, len(images), meta), meta)
    except DAMAGED as error:
        raise damaged(folder, error) from None


def maps(folder, dtype, letters):
    """Images, of one type, with a letter for each dimension."""
    images = Shards(folder / "images.npy")
    if (dtype, len(letters)) != (images.dtype, len(images.shape)):
        raise ValueError(f"images: {images.dtype} of {images.shape}, expected {np.dtype(dtype)} of {letters}")
    return images


def asked(folder, images, meta):
    """The questions, in columns."""
    last = {"answer": len(meta["answers"]) - 1, "category": len(meta["categories"]) - 1}
    return columns.questions(load_file(folder / "questions.safetensors"), images, meta, **last)


def damaged(folder, error):
    return ValueError(f"{folder}: features cannot be read ({error}); run the features stage again")
