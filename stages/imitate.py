"""python -m stages.imitate

Small eyes for a student that is to be used, taught by those that made the features.

reads   params: threads, features.scene_cnn, distill.small_eyes; data.root, data/features,
        models/eyes.safetensors
writes  models/small/eyes.safetensors; metrics/small_eyes.json: what a picture costs both, and how well the
        scenes of `report` can be read from what they see
"""

import io
import time

import numpy as np
import torch
from safetensors.torch import load_file

from specialists import backbone, cost, environment, params, small_eyes
from specialists.data import clevr, prepared
from specialists.ensemble import save
from specialists.files import write_json
from specialists.networks import scene_cnn
from specialists.runtime import setup
from stages import run


def main():
    setup(params.read("threads", int))
    start = time.monotonic()
    settings, data = params.read("distill.small_eyes", small_eyes.Settings), prepared.load("data/features")
    root, generator = params.read("data.root", str), torch.Generator().manual_seed(0)
    train, report = clevr.read(root, "train"), clevr.read(root, "val")
    wide, small = sight(), blank(generator, small=True)
    mine = data.questions["image"][data.rows("train")].unique().long()[: reader().images]
    pictures, _ = backbone.load([train.images[i] for i in mine], wide.size)
    spread_F = data.images[mine].float().flatten(0, 1).std(0).clamp_min(1e-3)
    small_eyes.imitate(small, wide, pictures, spread_F, settings, generator)
    result = {}
    for name, each in (("wide", wide), ("small", small)):
        map_NRF, sizes_N2 = seen(each, report.images)
        result[name] = wide.accuracy(map_NRF, report.objects, sizes_N2)
        result[name]["flops"] = cost.flops(each, torch.zeros(1, *each.size, 3, dtype=torch.uint8))
    save(small, "models/small/eyes.safetensors")
    write_json("metrics/small_eyes.json", result)
    environment.write("metrics/environment/small_eyes.json", time.monotonic() - start)
    print(*(f"{name} {value:.4f}" for name, value in result["small"].items()))


def reader():
    return params.read("features.scene_cnn", scene_cnn.Settings)


def blank(generator, *, small=False):
    """Eyes that have learned nothing yet."""
    if small:
        return small_eyes.SmallEyes(
            params.read("distill.small_eyes", small_eyes.Settings), reader(), generator
        )
    return scene_cnn.SceneCNN(reader(), generator)


def sight(*, small=False):
    """The eyes that stages/eyes.py trained, or the small ones."""
    found, path = blank(torch.Generator(), small=small), f"models/{'small/' if small else ''}eyes.safetensors"
    try:
        found.load_state_dict(load_file(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        section, stage = ("distill.small_eyes", "imitate") if small else ("features.scene_cnn", "eyes")
        raise ValueError(f"{path}: not eyes of {section} ({reason}); run stages.{stage} again") from None
    return found.eval()


def seen(network, paths):
    """(map_NRF of the pictures, their sizes), as the features stage makes them."""
    sizes_N2 = backbone.extract(network, paths, file := io.BytesIO())
    file.seek(0)
    return np.load(file), sizes_N2


if __name__ == "__main__":
    run(main)
