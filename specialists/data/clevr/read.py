"""What every VQA network reads: fp16 maps of image features, and the questions in columns.

images.npy              (images, cells, channels) float16; many images go on in images1.npy, images2.npy, ...
questions.safetensors   tokens (questions, longest) int16, left-aligned, 0 after the end; length, answer,
                        family, category, image, split int32 (questions)
eyes.safetensors        the weights of eyes that learned from these images (scene_cnn)
meta.json               reader; words (with padding and unknown), answers, families, categories, splits, grid,
                        the eyes and how well they read, digest of the others
"""

from dataclasses import dataclass

import torch
from safetensors.torch import load_file

from specialists.answers import label
from specialists.base.files import DAMAGED, read_json
from specialists.base.runtime import DEVICE
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
        image_BRF = self.images[questions["image"][rows].long()].to(DEVICE).float()
        return (image_BRF, tokens_BL.to(DEVICE), length_B.to(DEVICE)), self.targets(rows).to(DEVICE)

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
        images = Shards(folder / "images.npy")
        questions = load_file(folder / "questions.safetensors")
        if questions["image"].max() >= len(images) or len({len(each) for each in questions.values()}) > 1:
            raise ValueError("images and questions do not belong together")
    except DAMAGED as error:
        raise ValueError(
            f"{folder}: features cannot be read ({error}); run the features stage again"
        ) from None
    return Features(images, questions, meta)
