"""A small folder of pictures and questions: rendered scenes, as CSV."""

import csv
import random
import zlib
from collections import Counter

from PIL import Image

from specialists.data.clevr.render import render
from specialists.data.clevr.stand_in import CHUNK, parts
from specialists.data.clevr.world import World, scene
from specialists.data.vqa2 import wordings

__all__ = ["World", "write"]


def write(world, folder, processes=None):
    """Fill an empty folder, by as many processes as there are cores."""
    (folder / "images").mkdir()
    for split, made in parts(world, folder, _chunk, processes).items():
        with open(folder / f"{split}.csv", "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["image", "question", "answer", "group"])
            table.writerows(row for rows in made for row in rows)


def _chunk(world, folder, place):
    """Rows of up to CHUNK pictures, which are written on the way."""
    split, start = place
    rng, tally, rows = random.Random(f"{world.seed} {split} {start}"), Counter(), []
    for index in range(start, min(start + CHUNK, world.images(split))):
        drawn, name = scene(world, split, index), f"{split}_{index:06d}.png"
        picture = Image.fromarray(render(drawn, world.width, world.height))
        picture.save(folder / "images" / name, compress_type=zlib.Z_RLE)
        for _ in range(world.questions_per_image):
            make, asked, answer = wordings.drawn(drawn, rng, tally)
            tally[make] += 1
            rows.append([name, asked.text, answer, asked.type])
    return rows
