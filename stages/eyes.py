"""python -m stages.eyes

The features stage keeps what its scene reader sees, not the reader: train it again, for whoever asks about
new pictures, and check that it sees the same to the bit.

reads   params: data, features; data.root, data/features
writes  models/eyes.safetensors
"""

import io

import numpy as np
import torch

from specialists import backbone, params
from specialists.data import clevr
from specialists.data.splits import hold_out
from specialists.ensemble import save
from specialists.networks import scene_cnn
from specialists.runtime import setup
from stages import run
from stages.features import FOLDER, Data, Settings, teach


def main():
    data, settings = params.read("data", Data), params.read("features", Settings)
    if settings.backbone != "scene_cnn":
        raise ValueError(
            f"features.backbone: {settings.backbone!r} has a weights file; scene_cnn alone learns"
        )
    reader = params.read("features.scene_cnn", scene_cnn.Settings)
    setup(settings.threads)
    generator = torch.Generator().manual_seed(data.seed)
    network, train = scene_cnn.SceneCNN(reader, generator), clevr.read(data.root, "train")
    split = hold_out(len(train.images), data.select, torch.Generator().manual_seed(data.seed))
    teach(network, train, split, reader, generator)
    few = train.images[: backbone.BATCH]
    backbone.extract(network, few, seen := io.BytesIO())
    seen.seek(0)
    if not np.array_equal(np.load(seen), np.load(FOLDER / "images.npy", mmap_mode="r")[: len(few)]):
        raise ValueError(f"{FOLDER}: was computed on another kind of machine; run the features stage again")
    save(network, "models/eyes.safetensors")


if __name__ == "__main__":
    run(main)
