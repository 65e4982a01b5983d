"""Three splits: train; select, held out of it for every choice; report, for the tables."""

import numpy as np
import torch

SPLITS = ("train", "select", "report")


def hold_out(images, share, generator, split="select"):
    """split_I of the official train: a random share of the images goes to `split`, the rest is train."""
    count = round(images * share)
    if not 0 < count < images:
        raise ValueError(f"{split}: {share} of {images} train images is {count}: nothing is left on one side")
    split_I = np.full(images, SPLITS.index("train"), np.int32)
    split_I[torch.randperm(images, generator=generator)[:count].numpy()] = SPLITS.index(split)
    return split_I
