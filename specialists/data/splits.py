"""Three splits, by image: official train without images held out for selection, those, official val.

I images, Q questions, L tokens
"""

import numpy as np
import torch

from specialists.data import text
from specialists.data.features import SPLITS


def hold_out(images, share, generator):
    """The split of each image of the official train: a random share of them is select, the rest is train."""
    count = round(images * share)
    if not 0 < count < images:
        raise ValueError(f"select: {share} of {images} train images is {count}: nothing is left on one side")
    split_I = np.full(images, SPLITS.index("train"), np.int32)
    split_I[torch.randperm(images, generator=generator)[:count].numpy()] = SPLITS.index("select")
    return split_I


def join(train, report, split_I, longest):
    """(columns of all questions, words): images count on from train to report, words are those of train."""
    names = ("answer", "family", "category")
    columns = {name: np.append(getattr(train, name), getattr(report, name)) for name in names}
    columns["image"] = np.append(train.image, report.image + len(train.images)).astype(np.int32)
    split_I = np.append(split_I, np.full(len(report.images), SPLITS.index("report"), np.int32))
    columns["split"] = split_I[columns["image"]]
    questions, learnt = train.text + report.text, columns["split"] == SPLITS.index("train")
    words = text.vocabulary(q for q, ours in zip(questions, learnt, strict=True) if ours)
    columns["tokens"], columns["length"] = text.encode(questions, words, longest)
    return columns, words
