"""Flat things on a plain ground, laid out as CLEVR v1.0: what few pixels show and small networks learn.

Scenes, questions and files are as in clevr/stand_in.py. Right means right, and in front means further down.
"""

import random
import zlib
from dataclasses import dataclass

from specialists.data.clevr import families, official, world
from specialists.data.clevr.stand_in import CHUNK, lay_out, record
from specialists.data.limits import within
from specialists.data.pictures.stand_in import arranged, drawn

__all__ = ["World", "write"]

EXTENT = 2 * world.HALF_FLOOR  # of the ground, each way, in units of CLEVR
AHEAD = 10.0  # how far away all things are


@dataclass(frozen=True)
class World(world.World):
    """The section `world` of params.yaml: from `fewest` to `most` things, on places `across` and `down`.

    `families` to ask about are named by group (zero_hop) or one by one (zero_hop 2); no name means all.
    """

    fewest: int
    most: int
    across: int
    down: int
    families: list[str]

    def __post_init__(self):
        super().__post_init__()
        within(self, {"across": (1, 8), "down": (1, 8), "fewest": (1, world.MOST)})
        within(self, {"most": (self.fewest, min(world.MOST, self.across * self.down))})
        named(self.families)


def named(names):
    """The families with these names, as in clevr/official.py; all without a name."""
    called = [{name, name.rpartition(" ")[0]} for name in official.FAMILIES]
    if unknown := set(names).difference(*called):
        known = ", ".join(official.TEMPLATES)
        raise ValueError(f"families: {min(unknown)!r} is unknown; known: {known}, or one of them (one_hop 0)")
    return [f for f, each in enumerate(called) if not names or each & set(names)]


def write(world, folder, processes=None):
    """Fill an empty folder, by as many processes as there are cores."""
    lay_out(world, folder, _chunk, processes)


def _chunk(world, folder, place):
    """(scenes, questions) of up to CHUNK images, whose pictures are written on the way."""
    split, start = place
    rng, tally = random.Random(f"{world.seed} {split} {start}"), families.tallies()
    scenes, questions, among = [], [], named(world.families)
    for index in range(start, min(start + CHUNK, world.images(split))):
        scene, picture = pictured(world, split, index, rng)
        picture.save(folder / "images" / split / scene["image_filename"], compress_type=zlib.Z_RLE)
        scenes.append(scene)
        for asked in families.ask(scene, world.questions_per_image, rng, tally, among):
            questions.append(record(scene, *asked))
    return scenes, questions


def pictured(setting, split, index, rng):
    """(a scene in the official form, its picture)"""
    places = setting.across, setting.down
    things = arranged(setting, rng, (setting.fewest, setting.most), places)["objects"]
    picture = drawn(setting, {"objects": things}, places)
    for thing in things:
        x, y = thing["pixel_coords"]
        right, front = (x / setting.width - 0.5) * EXTENT, (y / setting.height - 0.5) * EXTENT
        thing |= {"pixel_coords": [round(x), round(y), AHEAD], "rotation": 0.0}
        thing["3d_coords"] = [round(right, 4), round(-front, 4), 0.0]
    scene = {
        "split": split,
        "image_index": index,
        "image_filename": f"CLEVR_{split}_{index:06d}.png",
        "directions": {side: list(vector) for side, vector in world.DIRECTIONS.items()},
        "objects": things,
        "relationships": world.relationships(things),
    }
    return scene, picture
