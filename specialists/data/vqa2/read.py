"""What every network on boxes reads: a memory map of boxes with their features, and questions in columns.

boxes/                  the store of store.py, without its state
questions.safetensors   tokens (questions, longest) int16, left-aligned, 0 after the end; length, split, image
                        (a place in the store), family (type of question), kind (type of answer) int32; id
                        int64, the official one; target (questions, 2, most) float32, as votes.py has it
vectors.npy             (words, E) float32 to begin with, if features.vectors names a file
meta.json               reader; words (with padding and unknown), answers, kinds (the type of each answer),
                        kind_names, families, splits, boxes (how many networks see), digest of the others
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from safetensors.torch import load_file

from specialists.answers import votes
from specialists.base.files import DAMAGED, read_json
from specialists.base.runtime import DEVICE
from specialists.data import columns
from specialists.data.order import by_length, padded
from specialists.data.splits import SPLITS
from specialists.data.vqa2 import store


class Words(int):
    """How many words there are; perhaps with vectors to begin with, (words, E)."""

    vectors = None


@dataclass(frozen=True)
class Boxes:
    store: store.Store
    place_I2: np.ndarray  # first box and number of boxes of each image
    questions: dict[str, torch.Tensor]
    meta: dict
    words: Words
    boxes: int
    multiple: int = 1  # tokens of a batch are padded to a multiple of it
    task = votes

    def best(self, boxes):
        """The same data, with another number of boxes for networks to see: the first of each image."""
        most = self.place_I2[:, 1].max()
        if not 1 <= boxes <= most:
            raise ValueError(f"boxes: {boxes} is out of range: 1 to {most}, the most of any image")
        return replace(self, boxes=boxes)

    def rows(self, split):
        return (self.questions["split"] == SPLITS.index(split)).nonzero().squeeze(1)

    def order(self, batch, generator):
        """Positions within train for one epoch, shuffled, the questions of a batch alike in length."""
        return by_length(self.questions["length"][self.rows("train")], batch, generator)

    def batch(self, rows):
        """((image_BKF, box_BK4, tokens_BL, length_B), target_B2A); missing boxes are zero."""
        length_B = self.questions["length"][rows].long()
        tokens_BL = self.questions["tokens"][rows, : padded(int(length_B.max()), self.multiple)].long()
        image_BKF, box_BK4 = self.seen(self.questions["image"][rows].numpy())
        given = image_BKF, box_BK4, tokens_BL, length_B, self.targets(rows)
        *inputs, target_B2A = (x.to(DEVICE, non_blocking=True) for x in given)
        return tuple(inputs), target_B2A

    def seen(self, image_B):
        """Features and corners of the first boxes of some images."""
        image_BKF = np.zeros((len(image_B), self.boxes, self.store.meta["channels"]), np.float16)
        box_BK4 = np.zeros((len(image_B), self.boxes, 4), np.float32)
        features, boxes = self.store.features, self.store.boxes
        for row, (first, count) in enumerate(self.place_I2[image_B].tolist()):
            count = min(count, self.boxes)
            image_BKF[row, :count] = features[first : first + count]
            box_BK4[row, :count] = boxes[first : first + count]
        return torch.from_numpy(image_BKF).float(), torch.from_numpy(box_BK4)

    def kinds(self, rows):
        """The type of the answer of each row, a position in `kind_names`."""
        return self.questions["kind"][rows].long()

    def targets(self, rows):
        return self.questions["target"][rows]

    def groups(self, rows):
        """The type of each question, a position in `group_names`."""
        return self.questions["family"][rows].long()

    @property
    def kind_names(self):
        return self.meta["kind_names"]

    @property
    def group_names(self):
        return self.meta["families"]

    @property
    def shape(self):
        """What the data give to a network: channels, words, answers."""
        return self.store.meta["channels"], self.words, len(self.meta["answers"])


def load(folder):
    meta, boxes = read_json(folder / "meta.json"), store.load(folder / "boxes")
    try:
        words, place_I2 = Words(len(meta["words"])), np.array([*boxes.images.values()])
        words.vectors = vectors(folder / "vectors.npy", words)
        count = len(boxes.boxes)
        if len(boxes.features) != count or place_I2.min() < 0 or place_I2.sum(1).max() > count:
            raise ValueError("boxes: images and features do not belong together")
        return Boxes(boxes, place_I2, asked(folder, len(place_I2), meta), meta, words, meta["boxes"])
    except DAMAGED as error:
        raise ValueError(f"{folder}: cannot be read ({error}); run the features stage again") from None


def vectors(path, words):
    """Those of words, if a file was named."""
    if path.exists():
        found_WE = torch.from_numpy(np.load(path))
        columns.checked({"vectors": found_WE}, {"vectors": (torch.float32, "WE")}, {})
        if len(found_WE) != words:
            raise ValueError(f"vectors: {len(found_WE)}, expected one for each of {words} words")
        return found_WE


def asked(folder, images, meta):
    """The questions, in columns, and how right each answer is."""
    found = load_file(folder / "questions.safetensors")
    columns.questions(found, images, meta, kind=len(meta["kind_names"]) - 1)
    place_QA, share_QA = found["target"].unbind(1)
    kinds = {name: (torch.float32, "QA") for name in ("answer", "share")}
    most = {"answer": len(meta["answers"]) - 1, "share": 1}
    columns.checked({"answer": place_QA, "share": share_QA}, kinds, most)
    columns.checked(found, {"length": (torch.int32, "Q"), "id": (torch.int64, "Q")}, {})
    return found
