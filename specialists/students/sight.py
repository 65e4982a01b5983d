"""The eyes for new pictures: those that made the features, and the small ones of the student that is used.

Their weights lie beside the features that they made.
"""

import torch

from specialists.base import params
from specialists.eyes import scene_cnn, weights
from specialists.eyes import small as small_eyes

WIDE, SMALL = "data/features", "data/small"


def wide():
    known = params.read("features.eyes", str)
    if known != "scene_cnn":
        raise ValueError(f"features.eyes: {known!r} has a weights file; scene_cnn alone learns")
    eyes = scene_cnn.SceneCNN(_reader(), torch.Generator())
    return weights.load(eyes, f"{WIDE}/eyes.safetensors", "features.scene_cnn")


def blank(generator):
    """Small eyes that have learned nothing yet."""
    return small_eyes.SmallEyes(params.read("distill.small_eyes", small_eyes.Settings), _reader(), generator)


def small():
    return weights.load(blank(torch.Generator()), f"{SMALL}/eyes.safetensors", "distill.small_eyes")


def _reader():
    return params.read("features.scene_cnn", scene_cnn.Settings)
