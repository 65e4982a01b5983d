"""Pictures of a scene by casting rays: matte rubber and mirroring metal on a grey floor.

Four rays per pixel meet the solids only inside each one's rectangle on the screen; the floor and its shadows,
which have no sharp edges, are computed once per pixel. Colours are linear light: the square of what is shown.
"""

from math import sqrt

import numpy as np

from specialists.data.clevr.solids import EYE, Solid, camera, power16, trace, unit

PAINT = {
    "gray": (0.36, 0.37, 0.38),
    "red": (0.75, 0.12, 0.13),
    "blue": (0.15, 0.29, 0.85),
    "green": (0.10, 0.49, 0.13),
    "brown": (0.47, 0.26, 0.10),
    "purple": (0.52, 0.16, 0.72),
    "cyan": (0.14, 0.76, 0.78),
    "yellow": (0.96, 0.86, 0.15),
}
LAMP = unit(-0.62, -0.45, 1.0)
FILL = unit(0.9, -0.6, 0.5)
PANELS = (unit(0.5, 0.6, 0.62), unit(-0.9, 0.2, 0.55), unit(0.55, -0.35, 0.8))
SHINE = unit(LAMP[0], LAMP[1] - 1, 0)  # halfway between the lamp and the eye, seen from above


def render(scene, width, height):
    """The picture of a scene, uint8 of (height, width, 3)."""
    solids = [Solid.of(thing) for thing in scene["objects"]]
    paints = [tuple(c * c for c in PAINT[thing["color"]]) for thing in scene["objects"]]
    fine = camera(2 * width, 2 * height)
    ids, depth, _, windows = trace(solids, fine)
    light = np.zeros((4, 2 * height, 2 * width), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, place in enumerate(windows):
            seen = ids[place] == i
            far = depth[place][seen]
            ray = tuple(plane[place][seen] for plane in fine.rays)
            point = tuple(e + far * d for e, d in zip(EYE, ray, strict=True))
            surface = _metal if scene["objects"][i]["material"] == "metal" else _rubber
            light[:3, *place][:, seen] = surface(i, point, ray, solids, paints)
            light[3, *place][seen] = 1
    light = light[:, 0::2] + light[:, 1::2]
    light = (light[:, :, 0::2] + light[:, :, 1::2]) * 0.25
    picture = light[:3] + (1 - light[3]) * _floor(solids, camera(width, height))
    picture = (np.sqrt(np.minimum(picture, 1)) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(picture.transpose(1, 2, 0))


def _floor(solids, view):
    """Light grey, brightest near the middle; shadows with soft edges, darker where a solid stands."""
    x, y = view.floor
    lit, open_ = np.ones_like(x), np.ones_like(x)
    for solid in solids:
        r, tail = 2.2 * solid.reach, 2 * solid.r / LAMP[2]
        xs = (solid.x - r, solid.x + r - LAMP[0] * tail)
        ys = (solid.y - r, solid.y + r - LAMP[1] * tail)
        place = view.window(xs, ys, (0,))
        px, py = x[place], y[place]
        lit[place] = np.minimum(lit[place], _step(solid.shadow(px, py, LAMP) * 3.6 + 0.5))
        apart = np.maximum(np.sqrt((px - solid.x) ** 2 + (py - solid.y) ** 2) / solid.reach - 0.9, 0)
        open_[place] *= 1 - 0.45 * _step(1 - apart)
    return _pool(x, y) * (0.42 + 0.58 * lit) * open_


def _pool(x, y):
    return 0.26 + 0.28 / (1 + 0.012 * (x * x + (y + 1) ** 2))


def _rubber(i, point, ray, solids, paints):
    """Linear colour (3, N) of points of a matte solid."""
    matte = _matte(solids[i], point, solids[i].normal(point), solids)
    return np.stack([c * matte for c in paints[i]])


def _matte(solid, point, normal, solids):
    lit = np.maximum(_dot(normal, LAMP), 0) * _reached(solid, point, solids)
    fill = np.maximum(_dot(normal, FILL), 0)
    return (0.26 + 0.10 * normal[2]) * _open(solid, point) + 0.85 * lit + 0.16 * fill


def _open(solid, point):
    """Less light arrives near the floor."""
    return 0.55 + 0.45 * np.minimum(point[2] / (1.2 * solid.r), 1)


def _metal(i, point, ray, solids, paints):
    """Linear colour (3, N): a tinted mirror of the room and of the other solids, with white glints."""
    solid, normal = solids[i], solids[i].normal(point)
    facing, size = _dot(ray, normal), np.sqrt(_dot(ray, ray))
    mirror = tuple((d - 2 * facing * n) / size for d, n in zip(ray, normal, strict=True))
    room = np.broadcast_to(_room(point, mirror) * _open(solid, point), (3, *point[0].shape)).copy()
    _mirror_others(room, i, point, mirror, solids, paints)
    matte = _matte(solid, point, normal, solids)
    free = _reached(solid, point, solids)
    glint = np.minimum(1.6 * np.maximum(_dot(mirror, LAMP), 0) ** 77 * free, 1)
    glint = glint + 0.45 * _gloss(solid, point, normal) * free
    rim = 0.35 * np.maximum(1 + facing / size, 0) ** 3
    tint = np.array(paints[i], np.float32)[:, None]
    return tint * (0.30 * matte + 1.25 * room) + rim * room + glint


def _gloss(solid, point, normal):
    """The streak that gives metal away: down a brushed cylinder, aslant over each face of a cube."""
    if solid.shape == "cylinder":
        return power16(np.maximum(_dot(normal, SHINE), 0)) ** 2
    if solid.shape == "cube":
        x, y, z = ((p - c) / solid.r for p, c in zip(point, (solid.x, solid.y, solid.r), strict=True))
        top = np.exp(-4 * (y + 0.6 * x - 0.7) ** 2)
        side = np.exp(-6 * (z + 0.35 * x - 0.25) ** 2)
        return np.where(normal[2] > 0.7, 0.5 * top, 0.7 * side)
    return 0.0


def _room(point, way):
    """What metal mirrors: the floor below, a dark wall at the horizon, a dim ceiling with bright panels."""
    up = way[2]
    far = np.minimum(point[2] / np.maximum(-up, 1e-3), 30)
    floor = 0.9 * _pool(2 * (point[0] + far * way[0]), 2 * (point[1] + far * way[1]))
    sky = np.clip(0.06 + 0.5 * up, 0.06, 0.4)
    for panel in PANELS:
        sky = sky + 0.9 * _step((_dot(way, panel) - 0.93) * 30)
    return np.where(up > 0, sky, floor * np.clip(-6 * up, 0.15, 1))


def _mirror_others(room, i, point, mirror, solids, paints):
    """Put the nearest other solids that the mirrored rays meet, in plain shading, over the room."""
    nearest = np.full_like(point[0], np.inf)
    for j, other in enumerate(solids):
        if j == i or (other.x - solids[i].x) ** 2 + (other.y - solids[i].y) ** 2 > 9:
            continue
        enter, leave = other.span(point, mirror)
        hit = (enter < leave) & (enter > 0) & (enter < nearest)
        if hit.any():
            nearest[hit] = enter[hit]
            met = tuple(p[hit] + enter[hit] * d[hit] for p, d in zip(point, mirror, strict=True))
            plain = 0.3 + 0.5 * np.maximum(_dot(other.normal(met), LAMP), 0)
            room[:, hit] = np.array(paints[j], np.float32)[:, None] * plain


def _reached(solid, point, solids):
    """1 where the lamp reaches, 0 in the shadow of another solid."""
    free = np.ones_like(point[0])
    for other in solids:
        if other is not solid and _may_shade(other, solid):
            enter, leave = other.span(point, LAMP)
            free[(leave > enter) & (leave > 0)] = 0
    return free


def _may_shade(other, solid):
    """Whether the shadow sweeps of two solids come near each other, seen from above."""
    x, y = other.x - solid.x, other.y - solid.y
    flat = sqrt(LAMP[0] ** 2 + LAMP[1] ** 2)
    along, across = (x * LAMP[0] + y * LAMP[1]) / flat, (x * LAMP[1] - y * LAMP[0]) / flat
    near = other.reach + solid.reach
    return abs(across) < near and 0 < along < near + 2 * other.r * flat / LAMP[2]


def _step(x):
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
