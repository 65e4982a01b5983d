"""A small CIFAR-100 of our own: pickles as those of the python version, so data.official must be false."""

import pickle
from dataclasses import dataclass

import numpy as np

from specialists.data.cifar100 import patterns
from specialists.data.limits import within

LIMITS = {"seed": (0, 2**31 - 1), "train_images": (1, 999_999), "test_images": (1, 999_999)}


@dataclass(frozen=True)
class World:
    """The size of the stand-in: the section `world` of params.yaml."""

    seed: int
    train_images: int
    test_images: int

    def __post_init__(self):
        within(self, LIMITS)
        for name in ("train_images", "test_images"):
            if (images := getattr(self, name)) % len(patterns.CLASSES):
                raise ValueError(
                    f"{name}: {images} is not a multiple of {len(patterns.CLASSES)}, the classes"
                )


def write(world, folder):
    """Fill an empty folder with the files train, test and meta."""
    for number, (name, images) in enumerate((("train", world.train_images), ("test", world.test_images))):
        rng = np.random.default_rng([world.seed, number])
        fine = rng.permutation(images) % len(patterns.CLASSES)
        pixels = np.stack([patterns.image(label, rng) for label in fine])
        tree = {
            b"data": pixels.transpose(0, 3, 1, 2).reshape(images, -1),
            b"fine_labels": fine.tolist(),
            b"coarse_labels": (fine // len(patterns.HUES)).tolist(),
            b"filenames": [f"{patterns.CLASSES[c]} {i}.png".encode() for i, c in enumerate(fine)],
            b"batch_label": f"{name} of a stand-in".encode(),
        }
        _pickle(folder / name, tree)
    names = {b"fine_label_names": patterns.CLASSES, b"coarse_label_names": patterns.SUPERCLASSES}
    _pickle(folder / "meta", {key: [name.encode() for name in value] for key, value in names.items()})


def _pickle(path, tree):
    path.write_bytes(pickle.dumps(tree, protocol=2))
