"""A small folder of pictures and questions: a few flat things, and a CSV of what was asked about them."""

import csv
import random
import zlib
from collections import Counter

from PIL import Image, ImageDraw

from specialists.data.clevr.programs import VALUES
from specialists.data.clevr.stand_in import CHUNK, parts
from specialists.data.clevr.world import World
from specialists.data.vqa2 import wordings

__all__ = ["World", "write"]

COLORS = {
    "gray": (110, 110, 110),
    "red": (200, 40, 40),
    "blue": (40, 70, 210),
    "green": (30, 150, 50),
    "brown": (130, 75, 30),
    "purple": (140, 40, 180),
    "cyan": (50, 200, 210),
    "yellow": (250, 230, 50),
}
NUMBER = 2, 5  # of things, the fewest and the most
PLACES = 4, 3  # of things, across and down, of which no two share one
SIZES = {"large": 0.42, "small": 0.24}  # half a thing, in places
BACKGROUND, LIGHT = (235, 235, 235), (255, 255, 255)


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
        scene, name = arranged(world, rng), f"{split}_{index:06d}.png"
        drawn(world, scene).save(folder / "images" / name, compress_type=zlib.Z_RLE)
        for _ in range(world.questions_per_image):
            make, asked, answer = wordings.drawn(scene, rng, tally)
            tally[make] += 1
            rows.append([name, asked.text, answer, asked.type])
    return rows


def arranged(world, rng, number=NUMBER, places=PLACES):
    """Things as those of a scene of CLEVR, and where they are."""
    across, down = places
    places = rng.sample([(x, y) for y in range(down) for x in range(across)], rng.randint(*number))
    objects = []
    for x, y in places:
        thing = {key: rng.choice(values) for key, values in VALUES.items()}
        free = 0.5 - SIZES[thing["size"]]
        centre = x + 0.5 + rng.uniform(-free, free), y + 0.5 + rng.uniform(-free, free)
        thing["pixel_coords"] = [centre[0] * world.width / across, centre[1] * world.height / down]
        objects.append(thing)
    return {"objects": objects}


def drawn(world, scene, places=PLACES):
    """A ball is a disc, a cube a square, a cylinder an upright bar; metal has a spot of light."""
    image = Image.new("RGB", (world.width, world.height), BACKGROUND)
    draw, unit = ImageDraw.Draw(image), min(world.width / places[0], world.height / places[1])
    for thing in scene["objects"]:
        (x, y), half = thing["pixel_coords"], SIZES[thing["size"]] * unit
        across = half / 2 if thing["shape"] == "cylinder" else half
        shape = draw.ellipse if thing["shape"] == "sphere" else draw.rectangle
        shape((x - across, y - half, x + across, y + half), fill=COLORS[thing["color"]])
        if thing["material"] == "metal":
            light = half / 3
            draw.ellipse((x - light, y - light, x + light, y + light), fill=LIGHT)
    return image
