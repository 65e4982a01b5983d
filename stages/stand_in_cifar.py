"""python -m stages.stand_in_cifar: a small CIFAR-100 of our own -> data/stand_in, in the official layout.

For whoever has no data: the files are pickles as those of the python version, data.official must be false.

reads   params: world
writes  data/stand_in/train, test, meta
"""

import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specialists.data import patterns
from specialists.files import replacing
from specialists.params import read
from stages import run

FOLDER = Path("data/stand_in")


@dataclass(frozen=True)
class World:
    seed: int
    train_images: int
    test_images: int

    def __post_init__(self):
        for name in ("train_images", "test_images"):
            if (images := getattr(self, name)) < 1 or images % len(patterns.CLASSES):
                raise ValueError(
                    f"{name}: {images} is not a multiple of {len(patterns.CLASSES)}, the classes"
                )


def main():
    world = read("world", World)
    for number, (name, images) in enumerate((("train", world.train_images), ("test", world.test_images))):
        rng = np.random.default_rng([world.seed, number])
        fine = rng.permutation(images) % len(patterns.CLASSES)
        pixels = np.stack([patterns.image(label, rng) for label in fine])
        _write(
            name,
            {
                b"data": pixels.transpose(0, 3, 1, 2).reshape(images, -1),
                b"fine_labels": fine.tolist(),
                b"coarse_labels": (fine // len(patterns.HUES)).tolist(),
                b"filenames": [f"{patterns.CLASSES[c]} {i}.png".encode() for i, c in enumerate(fine)],
                b"batch_label": f"{name} of a stand-in".encode(),
            },
        )
    names = {b"fine_label_names": patterns.CLASSES, b"coarse_label_names": patterns.SUPERCLASSES}
    _write("meta", {key: [name.encode() for name in value] for key, value in names.items()})


def _write(name, tree):
    with replacing(FOLDER / name) as draft:
        draft.write_bytes(pickle.dumps(tree, protocol=2))


if __name__ == "__main__":
    run(main)
