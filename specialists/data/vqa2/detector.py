"""What a detector would find in a scene of the stand-in: boxes by confidence, and a feature of each.

Objects are found several times, each time a little aside; some only after much clutter. A feature mixes the
attributes of what its box covers, and noise. So counting is hard, and more boxes see more.

O objects, N boxes, A attributes, F channels
"""

import numpy as np

from specialists.data.clevr.programs import VALUES
from specialists.data.clevr.solids import Solid, camera, trace

SCALE = (160, 120)  # of the picture on which outlines are found
AGAIN = 4  # an object is found up to so many times
NAMES = [(key, value) for key, values in sorted(VALUES.items()) for value in values]


def detect(scene, width, height, projection_AF, boxes, noise, rng):
    """(box_N4 in pixels, feature_NF), the most confident first, as many as a draw from `boxes` says."""
    outline_O4 = outlines(scene) * np.array([width, height] * 2) / np.array([*SCALE] * 2)
    number = int(rng.integers(boxes[0], boxes[1] + 1))
    found = [
        (jitter(box, rng), 1.0 + rng.normal())
        for box in outline_O4
        for _ in range(rng.integers(1, AGAIN + 1))
    ]
    found = found[:number]
    found += [(clutter(width, height, rng), -0.5 + rng.normal()) for _ in range(number - len(found))]
    box_N4 = np.array([box for box, _ in sorted(found, key=lambda each: -each[1])])
    box_N4 = np.clip(box_N4, 0, [width, height] * 2)
    covered_NO = covering(box_N4, outline_O4)
    seen_NF = covered_NO @ described(scene) @ projection_AF
    feature_NF = np.maximum(seen_NF + noise * rng.normal(size=seen_NF.shape), 0)
    return box_N4.astype(np.float32), feature_NF.astype(np.float32)


def outlines(scene):
    """Corners x1 y1 x2 y2 of what shows of each object, on a picture of SCALE."""
    ids, *_ = trace([Solid.of(thing) for thing in scene["objects"]], camera(*SCALE))
    ids = ids.reshape(SCALE[1], SCALE[0])
    places = [np.nonzero(ids == i) for i in range(len(scene["objects"]))]
    return np.array([[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in places], np.float64)


def jitter(box, rng):
    x1, y1, x2, y2 = box
    return box + rng.normal(0, 0.08, 4) * np.array([x2 - x1, y2 - y1] * 2)


def clutter(width, height, rng):
    """A box anywhere, of any size."""
    (x1, x2), (y1, y2) = (np.sort(rng.uniform(0, size, 2)) for size in (width - 8, height - 8))
    return np.array([x1, y1, x2 + 8, y2 + 8])


def covering(box_N4, outline_O4):
    """Intersection over union of each box and each object."""
    near_NO2 = np.maximum(box_N4[:, None, :2], outline_O4[:, :2])
    far_NO2 = np.minimum(box_N4[:, None, 2:], outline_O4[:, 2:])
    both_NO = np.maximum(far_NO2 - near_NO2, 0).prod(2)
    areas = [(each[:, 2:] - each[:, :2]).prod(1) for each in (box_N4, outline_O4)]
    return both_NO / (areas[0][:, None] + areas[1] - both_NO)


def described(scene):
    """(O, A) one where an object has an attribute."""
    return np.array([[float(thing[key] == value) for key, value in NAMES] for thing in scene["objects"]])
