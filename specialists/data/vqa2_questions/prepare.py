"""VQA v2 under data.root without its boxes -> a folder that every network on boxes reads, as by vqa2/read.py.

Each image is one box that shows nothing, so a network learns what questions and answers alone give away.
Splits and vocabularies are those of vqa2/prepare.py.
"""

from types import SimpleNamespace

import numpy as np

from specialists.data.pictures import grid
from specialists.data.vqa2 import official
from specialists.data.vqa2.prepare import Data, Settings, finished, joined, learned

__all__ = ["Data", "Settings", "prepare"]

NOTHING = SimpleNamespace(grid=(1, 1), channels=0)  # eyes that see no more than where the box is


def prepare(data, settings, folder):
    """Fill an empty folder; returns the numbers of boxes and answers, and what is known without looking."""
    if settings.vectors:
        raise ValueError(f"params.yaml: features.vectors: {settings.vectors!r}: vqa2_questions takes none")
    asked = {split: joined(data.root, split) for split in official.SPLITS}
    ids = sorted({each.image for questions, _ in asked.values() for each in questions})
    columns, about = learned(asked, ids, data, settings)
    empty = np.zeros((len(ids), 1, 1, 0), np.float16)
    grid.write(folder / "boxes", ids, NOTHING, [(empty, None)])
    return finished(columns, about | {"reader": "vqa2_questions", "boxes": 1}, folder, [])
