"""python -m stages.imitate

Teach small eyes for the student that is used, by the eyes that made the features; write what they see.

reads   params: compute, features.eyes, features.scene_cnn, distill.small_eyes; data.root, data/features
writes  data/small: data/features as these eyes see it; metrics/small_eyes.json: what a picture costs both,
        and how well the scenes of `report` can be read from what they see
"""

import shutil
import time

import torch

from specialists import data as prepared
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import digest, write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.data.clevr import official
from specialists.data.folders import replacing
from specialists.data.shards import Shards
from specialists.eyes import extract, small, weights
from specialists.students import sight
from specialists.tables import cost


def main():
    setup(read("compute", Compute), convolutions=True)
    start, root = time.monotonic(), read("data.root", str)
    settings, most = read("distill.small_eyes", small.Settings), read("features.scene_cnn.images", int)
    data, generator = prepared.load(sight.WIDE), torch.Generator().manual_seed(0)
    train, report = official.read(root, "train"), official.read(root, "val")
    wide, eyes = sight.wide(), sight.blank(generator)
    mine = data.questions["image"][data.rows("train")].unique().long()[:most]
    pictures, _ = extract.load([train.images[i] for i in mine], wide.size)
    spread_F = data.images[mine].float().flatten(0, 1).std(0).clamp_min(1e-3)
    small.imitate(eyes, wide, pictures, spread_F, settings, generator)
    seen = look(eyes, wide, data, train, report)
    result = {"wide": data.meta["accuracy"], "small": seen}
    for name, each in (("wide", wide), ("small", eyes)):
        picture = torch.zeros(1, *each.size, 3, dtype=torch.uint8)
        result[name] = result[name] | {"flops": cost.flops(each, picture)}
    write_json("metrics/small_eyes.json", result)
    environment.write("small_eyes", time.monotonic() - start, "metrics/small_eyes.json")
    print(*(f"{name} {value:.4f}" for name, value in seen.items()))


def look(eyes, wide, data, train, report):
    """Write data/small; returns how well the scenes of report can be read from it."""
    with replacing(sight.SMALL) as draft:
        sizes_N2, images = extract.extract(eyes, train.images + report.images, draft / "images.npy")
        files = [*images, *(draft / name for name in ("questions.safetensors", "eyes.safetensors"))]
        shutil.copyfile(f"{sight.WIDE}/questions.safetensors", files[-2])
        weights.save(eyes, files[-1])
        found = wide.accuracy(Shards(images[0]), report.objects, sizes_N2, len(train.images))
        meta = {"eyes": "small", "accuracy": found, "digest": digest(*files)}
        write_json(draft / "meta.json", data.meta | meta)
    return found


if __name__ == "__main__":
    run(main)
