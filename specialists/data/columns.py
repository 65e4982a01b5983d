"""Columns of prepared data, checked where they are loaded: a network looks up words, answers and pictures by
their numbers, and past the end it would crash, or learn from something else.

Q questions, L words of the longest
"""

import torch

from specialists.data.splits import SPLITS


def checked(columns, kinds, most):
    """The columns, equally long; of each its type, a letter for each dimension, perhaps the largest value."""
    if missing := sorted(kinds.keys() - columns.keys()):
        raise ValueError(f"{', '.join(missing)}: missing")
    for name, (dtype, letters) in kinds.items():
        if (dtype, len(letters)) != (columns[name].dtype, columns[name].dim()):
            shape = tuple(columns[name].shape)
            raise ValueError(f"{name}: {columns[name].dtype} of shape {shape}, expected {dtype} of {letters}")
    if len({len(columns[name]) for name in kinds}) > 1:
        raise ValueError(f"{', '.join(kinds)}: not equally long")
    for name, last in most.items():
        if (wrong := ~((columns[name] >= 0) & (columns[name] <= last))).any():
            raise ValueError(f"{name}: {columns[name][wrong][0].item()} is out of range: 0 to {last}")
    return columns


def questions(columns, images, meta, **more):
    """Columns that all questions have; `more` are of the same kind: the last place that each may name."""
    kinds = {"tokens": (torch.int16, "QL")}
    kinds |= {name: (torch.int32, "Q") for name in ("length", "image", "split", "family", *more)}
    most = {"tokens": len(meta["words"]) - 1, "image": images - 1, "split": len(SPLITS) - 1}
    checked(columns, kinds, most | {"family": len(meta["families"]) - 1} | more)
    if ((length_B := columns["length"]) < 1).any() or (length_B > columns["tokens"].shape[1]).any():
        raise ValueError(f"length: out of range: 1 to {columns['tokens'].shape[1]}, the longest question")
    return columns
