"""Spheres, cubes and cylinders that stand on a floor, and the camera that looks at them: all but the light.

World axes: x to the right, y away from the camera, z up. Points and directions are tuples (x, y, z).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import cos, inf, radians, sin, sqrt

import numpy as np

RADIUS = {"large": 0.7, "small": 0.35}
EYE = (0.0, -9.6, 6.9)
AIM = (0.0, -0.4, 0.3)


def unit(x, y, z):
    length = sqrt(x * x + y * y + z * z)
    return x / length, y / length, z / length


@dataclass(frozen=True)
class Solid:
    """An object of a scene as geometry: radius or half side, half height, place on the floor, turn."""

    shape: str
    r: float
    x: float
    y: float
    cos: float
    sin: float

    @classmethod
    def of(cls, thing):
        r = RADIUS[thing["size"]] * (sqrt(0.5) if thing["shape"] == "cube" else 1)
        x, y = thing["3d_coords"][:2]
        turn = radians(thing["rotation"])
        return cls(thing["shape"], r, x, y, cos(turn), sin(turn))

    @property
    def reach(self):
        """Half the width of the footprint, whatever the turn."""
        return self.r * (sqrt(2) if self.shape == "cube" else 1)

    def local(self, x, y):
        return self.cos * x + self.sin * y, self.cos * y - self.sin * x

    def span(self, origin, ray):
        """Where rays enter and leave the solid, as multiples of `ray`; a miss enters after it leaves."""
        ox, oy, oz = origin[0] - self.x, origin[1] - self.y, origin[2] - self.r
        if self.shape == "sphere":
            return _quadratic(*ray, ox, oy, oz, self.r)
        low, high = _slab(oz, ray[2], self.r)
        if self.shape == "cylinder":
            enter, leave = _quadratic(ray[0], ray[1], 0.0, ox, oy, 0.0, self.r)
            return np.maximum(low, enter), np.minimum(high, leave)
        for o, d in zip(self.local(ox, oy), self.local(ray[0], ray[1]), strict=True):
            enter, leave = _slab(o, d, self.r)
            low, high = np.maximum(low, enter), np.minimum(high, leave)
        return low, high

    def normal(self, point):
        """Outward unit normals; the 33rd power makes faces flat and rounds their last percent."""
        x, y, z = (point[0] - self.x) / self.r, (point[1] - self.y) / self.r, (point[2] - self.r) / self.r
        if self.shape == "cylinder":
            round_ = power16(x * x + y * y)
            x, y, z = x * round_, y * round_, z * power16(z * z)
        elif self.shape == "cube":
            x, y = self.local(x, y)
            x, y, z = x * power16(x * x), y * power16(y * y), z * power16(z * z)
            x, y = self.cos * x - self.sin * y, self.sin * x + self.cos * y
        length = 1 / np.sqrt(x * x + y * y + z * z)
        return x * length, y * length, z * length

    def shadow(self, x, y, lamp):
        """Signed distance of floor points to the shadow: the footprint swept along the floor."""
        x, y = x - self.x, y - self.y
        sweep = tuple(-toward / lamp[2] * 2 * self.r for toward in lamp[:2])
        if self.shape == "cube":
            (x, y), (sx, sy) = self.local(x, y), self.local(*sweep)
            along = np.maximum(np.abs(x - sx / 2) - abs(sx / 2), np.abs(y - sy / 2) - abs(sy / 2)) - self.r
            length = sqrt(sx * sx + sy * sy)
            across = np.abs(x * sy - y * sx) / length - self.r * (abs(sx) + abs(sy)) / length
            return np.maximum(along, across)
        start, end = (0.0, 1.0) if self.shape == "cylinder" else (0.33, 0.67)
        t = (x * sweep[0] + y * sweep[1]) / (sweep[0] ** 2 + sweep[1] ** 2)
        t = np.clip(t, start, end)
        return np.sqrt((x - t * sweep[0]) ** 2 + (y - t * sweep[1]) ** 2) - self.r


def power16(x):
    for _ in range(4):
        x = x * x
    return x


def _slab(o, d, half):
    a, b = (-half - o) / d, (half - o) / d
    return np.minimum(a, b), np.maximum(a, b)


def _quadratic(dx, dy, dz, ox, oy, oz, r):
    a, b = dx * dx + dy * dy + dz * dz, dx * ox + dy * oy + dz * oz
    inside = b * b - a * (ox * ox + oy * oy + oz * oz - r * r)
    root = np.sqrt(np.maximum(inside, 0))
    return np.where(inside > 0, (-b - root) / a, inf), (root - b) / a


class Camera:
    """The fixed view: a ray per sample, scaled so that its multiple is the depth along the axis of view."""

    def __init__(self, width, height):
        self.width, self.height = width, height
        self.focal = min(1.14 * width, 1.5 * height)
        self.forward = unit(*(a - e for a, e in zip(AIM, EYE, strict=True)))
        self.up = (0.0, -self.forward[2], self.forward[1])

    @cached_property
    def rays(self):
        x = (np.arange(self.width, dtype=np.float32) + 0.5 - self.width / 2) / self.focal
        y = (self.height / 2 - np.arange(self.height, dtype=np.float32)[:, None] - 0.5) / self.focal
        rays = (x + 0 * y, *(0 * x + self.forward[i] + self.up[i] * y for i in (1, 2)))
        return tuple(np.ascontiguousarray(plane, dtype=np.float32) for plane in rays)

    @cached_property
    def floor(self):
        """The points of the floor (x, y) that the rays meet."""
        depth = -EYE[2] / self.rays[2]
        return depth * self.rays[0], EYE[1] + depth * self.rays[1]

    def project(self, x, y, z):
        """Screen column, row (from the top) and depth of a point."""
        y, z = y - EYE[1], z - EYE[2]
        depth = y * self.forward[1] + z * self.forward[2]
        scale = self.focal / depth
        return self.width / 2 + x * scale, self.height / 2 - (y * self.up[1] + z * self.up[2]) * scale, depth

    def window(self, xs, ys, zs):
        """The rectangle of pixels that covers a box given by its two ends per axis."""
        columns, rows, _ = zip(*(self.project(x, y, z) for x in xs for y in ys for z in zs), strict=True)
        return (
            slice(max(0, int(min(rows))), max(0, int(max(rows)) + 1)),
            slice(max(0, int(min(columns))), max(0, int(max(columns)) + 1)),
        )


camera = lru_cache(maxsize=4)(Camera)


def trace(solids, view):
    """(which solid each ray meets first or -1, its depth, how many rays meet each solid were it alone)."""
    ids = np.full((view.height, view.width), -1, np.int8)
    depth = np.full((view.height, view.width), inf, np.float32)
    alone, windows = [], []
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, solid in enumerate(solids):
            r = solid.reach
            place = view.window((solid.x - r, solid.x + r), (solid.y - r, solid.y + r), (0, 2 * solid.r))
            enter, leave = solid.span(EYE, tuple(plane[place] for plane in view.rays))
            hit = enter < leave
            alone.append(int(hit.sum()))
            windows.append(place)
            nearer = hit & (enter < depth[place])
            ids[place][nearer] = i
            depth[place][nearer] = enter[nearer]
    return ids, depth, alone, windows
