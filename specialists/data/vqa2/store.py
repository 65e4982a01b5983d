"""Bottom-up features of boxes as a memory map with offsets: a folder, which convert.py writes.

features.f16   (boxes, F) float16
boxes.f32      (boxes, 4) float32: x1 y1 x2 y2 as shares of the image
images.i64     (images, 3) int64: image id, first box, number of boxes
meta.json      channels, images, boxes; `most`, how many of an image were kept, all with 0; `again`, images
               that the files held twice, of which the first counts; `read`, names and sizes of the files
state.json     how far the conversion is, and of which files
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from specialists.base.files import read_json

FILES = {"features.f16": np.float16, "boxes.f32": np.float32, "images.i64": np.int64}


@dataclass(frozen=True)
class Store:
    folder: Path
    meta: dict

    @cached_property
    def features(self):
        return self._mapped("features.f16", (-1, self.meta["channels"]))

    @cached_property
    def boxes(self):
        return self._mapped("boxes.f32", (-1, 4))

    @cached_property
    def images(self):
        """image id -> (first box, number of boxes)"""
        rows = self._mapped("images.i64", (-1, 3)).tolist()
        return {image: (first, count) for image, first, count in rows}

    def _mapped(self, name, shape):
        return np.memmap(self.folder / name, FILES[name], "r").reshape(shape)


def load(folder):
    return Store(Path(folder), read_json(Path(folder) / "meta.json"))
