"""The stand-in for CLEVR: its settings and its scenes, in the official scene format.

Everything random about image i of a split comes from (seed, split, i), so that any part can be made alone.
"""

from dataclasses import dataclass

import numpy as np

from specialists.data.clevr.programs import SIDES, VALUES
from specialists.data.clevr.solids import RADIUS, Solid, camera, trace
from specialists.data.limits import within

SPLITS = ("train", "val")
FEWEST, MOST = 3, 10
GAP = 0.2  # between two footprints
MARGIN = 0.25  # between two centres along each direction, so that left and right are beyond doubt
HALF_FLOOR = 3.0
SEEN = 0.5  # smallest share of its outline that an object shows
DIRECTIONS = {
    "right": (1.0, 0.0, 0.0),
    "left": (-1.0, 0.0, 0.0),
    "front": (0.0, -1.0, 0.0),
    "behind": (0.0, 1.0, 0.0),
    "above": (0.0, 0.0, 1.0),
    "below": (0.0, 0.0, -1.0),
}
LIMITS = {
    "seed": (0, 2**31 - 1),
    "train_images": (1, 999_999),
    "val_images": (1, 999_999),
    "questions_per_image": (1, 30),
    "width": (64, 1024),
    "height": (48, 1024),
}


@dataclass(frozen=True)
class World:
    """The size of the stand-in: the section `world` of params.yaml."""

    seed: int
    train_images: int
    val_images: int
    questions_per_image: int
    width: int
    height: int

    def __post_init__(self):
        within(self, LIMITS)

    def images(self, split):
        return {"train": self.train_images, "val": self.val_images}[split]


def scene(world, split, index):
    """The scene of one image as the official dict; arrangements that hide an object are drawn again."""
    rng = np.random.default_rng([world.seed, SPLITS.index(split), index])
    things = _arrange(rng, int(rng.integers(FEWEST, MOST + 1)))
    view = camera(world.width, world.height)
    for thing in things:
        x, y, depth = view.project(*thing["3d_coords"])
        thing["pixel_coords"] = [round(x), round(y), round(depth, 4)]
    return {
        "split": split,
        "image_index": index,
        "image_filename": f"CLEVR_{split}_{index:06d}.png",
        "directions": {side: list(vector) for side, vector in DIRECTIONS.items()},
        "objects": things,
        "relationships": relationships(things),
    }


def relationships(things):
    """side -> for each object the objects on that side of it, further than the margin."""

    def beyond(side, a, b):
        step = [q - p for p, q in zip(a["3d_coords"], b["3d_coords"], strict=True)]
        return sum(s * d for s, d in zip(step, DIRECTIONS[side], strict=True)) > 0.8 * MARGIN

    return {side: [[j for j, b in enumerate(things) if beyond(side, a, b)] for a in things] for side in SIDES}


def visible(things):
    """Whether every object shows at least `SEEN` of its outline, counted on a coarse picture."""
    ids, _, alone, _ = trace([Solid.of(thing) for thing in things], camera(160, 120))
    return all((ids == i).sum() >= SEEN * outline for i, outline in enumerate(alone))


def _arrange(rng, number):
    while True:
        things = []
        while len(things) < number and (thing := _place(rng, things)):
            things.append(thing)
        if len(things) == number and visible(things):
            return things


def _place(rng, things):
    """A random object on the first of some random places that keeps its distances, or None."""
    thing = {kind: values[rng.integers(len(values))] for kind, values in VALUES.items()}
    radius = RADIUS[thing["size"]]
    spots = rng.uniform(-HALF_FLOOR, HALF_FLOOR, (64, 2)).round(4)
    rotation = round(float(rng.uniform(0, 360)), 4)
    if things:
        others = np.array([other["3d_coords"][:2] for other in things])
        room = np.array([RADIUS[other["size"]] for other in things]) + radius + GAP
        step = spots[:, None] - others
        fits = ((step**2).sum(-1) > room**2).all(1) & (np.abs(step) > MARGIN).all((1, 2))
        spots = spots[fits]
    if not len(spots):
        return None
    x, y = spots[0].tolist()
    z = round(radius * (0.5**0.5 if thing["shape"] == "cube" else 1), 4)
    return {**thing, "3d_coords": [x, y, z], "rotation": rotation}
