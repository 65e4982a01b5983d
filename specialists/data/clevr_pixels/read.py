"""What every network from pixels reads: small pictures, and the questions of clevr/read.py.

images.npy              (images, height, width, 3) uint8
questions.safetensors   as in clevr/read.py
meta.json               reader; words (with padding and unknown), answers, families, categories, splits,
                        digest of the others
"""

import numpy as np

from specialists.base.files import DAMAGED, read_json
from specialists.data.clevr import read


class Pixels(read.Features):
    @property
    def shape(self):
        """What the data give to a network: height and width, words, answers."""
        return tuple(self.images.shape[1:3]), len(self.meta["words"]), len(self.meta["answers"])

    def kinds(self, rows):
        """What each row asks for, a position in `kind_names`."""
        return self.questions["category"][rows].long()

    @property
    def kind_names(self):
        return self.meta["categories"]


def load(folder):
    meta = read_json(folder / "meta.json")
    try:
        images = read.maps(folder, np.uint8, "IHW3")
        return Pixels(images, read.asked(folder, len(images), meta), meta)
    except DAMAGED as error:
        raise read.damaged(folder, error) from None
