"""Pictures: what the camera says is what the pixels show."""

import colorsys
from itertools import pairwise, product
from math import sqrt

import numpy as np
import pytest

from specialists.data.clevr import world
from specialists.data.clevr.programs import VALUES
from specialists.data.clevr.render import PAINT, render
from specialists.data.clevr.solids import EYE, RADIUS, Solid, camera, trace

SETTINGS = world.World(seed=1, train_images=9, val_images=9, questions_per_image=1, width=320, height=240)


def thing(shape="sphere", size="large", color="red", material="rubber", at=(0.0, 0.0), rotation=20.0):
    z = RADIUS[size] * (sqrt(0.5) if shape == "cube" else 1)
    names = {"shape": shape, "size": size, "color": color, "material": material}
    return {**names, "3d_coords": [*at, z], "rotation": rotation}


def patch(picture, item):
    """The pixels around the projected centre."""
    x, y, _ = camera(320, 240).project(*item["3d_coords"])
    return picture[int(y) - 3 : int(y) + 3, int(x) - 3 : int(x) + 3].reshape(-1, 3).astype(float)


@pytest.mark.parametrize("i", range(8))
def test_the_centre_of_a_visible_object_has_its_hue(i):
    scene = world.scene(SETTINGS, "train", i)
    picture = render(scene, 320, 240)
    ids, *_ = trace([Solid.of(item) for item in scene["objects"]], camera(320, 240))
    for k, item in enumerate(scene["objects"]):
        column, row, _ = item["pixel_coords"]
        if ids[row, column] != k or item["material"] == "metal":
            continue
        hue, saturation, _ = colorsys.rgb_to_hsv(*(picture[row, column] / 255))
        wanted, strength, _ = colorsys.rgb_to_hsv(*PAINT[item["color"]])
        if item["color"] == "gray":
            assert saturation < 0.15
        else:
            assert saturation > 0.5 * strength and min(abs(hue - wanted), 1 - abs(hue - wanted)) < 0.05


@pytest.mark.parametrize(("shape", "color"), list(product(VALUES["shape"], VALUES["color"])))
def test_metal_keeps_its_colour_and_varies_more_than_rubber(shape, color):
    seen = {}
    for material in VALUES["material"]:
        item = thing(shape, color=color, material=material)
        seen[material] = render({"objects": [item]}, 320, 240), item
    ids, *_ = trace([Solid.of(item)], camera(320, 240))
    matte, shiny = (seen[m][0][ids == 0].astype(float) for m in ("rubber", "metal"))
    assert shiny.max(1).max() > matte.max(1).max() - 20
    assert shiny.min(1).std() > 1.3 * matte.min(1).std()
    if color != "gray":
        assert np.corrcoef(np.median(shiny, 0), PAINT[color])[0, 1] > 0.95


def test_sizes_look_different():
    for shape in VALUES["shape"]:
        solids = [Solid.of(thing(shape, size)) for size in ("large", "small")]
        large, small = trace(solids, camera(320, 240))[2]
        assert 3 < large / small < 5


def test_rays_meet_a_sphere_where_algebra_says():
    """The ray to the centre enters one radius before it."""
    solid, view = Solid.of(thing("sphere", at=(0.4, 0.8))), camera(320, 240)
    to = np.subtract((0.4, 0.8, 0.7), EYE)
    enter, leave = solid.span(EYE, tuple(to))
    assert enter * np.linalg.norm(to) == pytest.approx(np.linalg.norm(to) - 0.7)
    assert leave * np.linalg.norm(to) == pytest.approx(np.linalg.norm(to) + 0.7)
    column, row, depth = view.project(0.4, 0.8, 0.7)
    nearest = depth * (1 - 0.7 / np.linalg.norm(to))
    assert trace([solid], view)[1][int(row), int(column)] == pytest.approx(nearest, abs=0.02)


@pytest.mark.parametrize("shape", VALUES["shape"])
def test_spans_agree_with_points_inside(shape):
    """March along random rays and ask of each point whether it is inside, by the definition of the solid."""
    solid, rng = Solid.of(thing(shape, rotation=33.0)), np.random.default_rng(0)
    x, y, z = (np.array(v) for v in (solid.x, solid.y, solid.r))
    for _ in range(50):
        origin, ray = rng.uniform(-2, 2, 3) + (0, 0, solid.r), rng.normal(size=3)
        t = np.linspace(-6, 6, 4001)
        px, py, pz = (origin[i] + t * ray[i] - c for i, c in enumerate((x, y, z)))
        lx, ly = solid.local(px, py)
        inside = {
            "sphere": px**2 + py**2 + pz**2 <= solid.r**2,
            "cylinder": (px**2 + py**2 <= solid.r**2) & (abs(pz) <= solid.r),
            "cube": np.maximum(np.maximum(abs(lx), abs(ly)), abs(pz)) <= solid.r,
        }[shape]
        enter, leave = solid.span(origin, ray)
        if inside.any():
            assert (t[inside][0], t[inside][-1]) == pytest.approx((float(enter), float(leave)), abs=0.004)
        else:
            assert not leave - enter > 0.01


def test_nearer_hides_farther_and_a_shadow_falls():
    far, near = thing("cube", at=(0.0, 2.0)), thing("sphere", "small", "blue", at=(0.0, -2.0))
    ids, depth, *_ = trace([Solid.of(far), Solid.of(near)], camera(320, 240))
    assert depth[ids == 1].max() < depth[ids == 0].min()
    empty, filled = render({"objects": []}, 320, 240), render({"objects": [near]}, 320, 240)
    alone = trace([Solid.of(near)], camera(320, 240))[0] == -1
    darker = empty[alone].astype(int).sum(1) - filled[alone].astype(int).sum(1)
    assert darker.max() > 60 and (darker > 60).sum() > 50


def test_the_floor_is_light_grey_and_smooth():
    floor = render({"objects": []}, 320, 240)
    assert 110 < floor.min() and floor.max() < 220
    assert all(np.abs(a.astype(int) - b).max() <= 3 for a, b in pairwise(floor))


def test_the_same_scene_gives_the_same_bytes_and_the_size_asked_for():
    scene = world.scene(SETTINGS, "val", 1)
    assert render(scene, 320, 240).tobytes() == render(scene, 320, 240).tobytes()
    assert render(scene, 97, 64).shape == (64, 97, 3)
