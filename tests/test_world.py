"""Scenes: the official layout, and what a person needs to answer from the picture."""

from itertools import combinations

import numpy as np
import pytest

from specialists.data.clevr import world
from specialists.data.clevr.programs import SIDES, VALUES
from specialists.data.clevr.solids import RADIUS, Solid, camera, trace

SETTINGS = world.World(seed=3, train_images=40, val_images=5, questions_per_image=2, width=320, height=240)
SCENES = [world.scene(SETTINGS, "train", i) for i in range(40)]
OPPOSITE = {"left": "right", "right": "left", "front": "behind", "behind": "front"}


def test_the_official_layout():
    scene = world.scene(SETTINGS, "val", 4)
    assert scene["image_filename"] == "CLEVR_val_000004.png"
    assert (scene["split"], scene["image_index"]) == ("val", 4)
    assert set(scene["directions"]) == {*SIDES, "above", "below"}
    for thing in scene["objects"]:
        assert set(thing) == {"3d_coords", "pixel_coords", "rotation", *VALUES}
        assert all(thing[kind] in VALUES[kind] for kind in VALUES)
        assert len(thing["3d_coords"]) == len(thing["pixel_coords"]) == 3


def test_an_image_depends_on_its_seed_split_and_index_alone():
    assert world.scene(SETTINGS, "train", 7) == SCENES[7]
    assert world.scene(SETTINGS, "val", 7)["objects"] != SCENES[7]["objects"]
    assert SCENES[8]["objects"] != SCENES[7]["objects"]


def test_sizes_of_scenes_and_every_value_occur():
    assert {len(scene["objects"]) for scene in SCENES} == set(range(3, 11))
    for kind, values in VALUES.items():
        assert {thing[kind] for scene in SCENES for thing in scene["objects"]} == set(values)


@pytest.mark.parametrize("scene", SCENES[:15])
def test_no_overlap_on_the_floor(scene):
    for a, b in combinations(scene["objects"], 2):
        apart = np.hypot(*np.subtract(a["3d_coords"], b["3d_coords"])[:2])
        assert apart >= RADIUS[a["size"]] + RADIUS[b["size"]] + world.GAP - 1e-6


@pytest.mark.parametrize("scene", SCENES[:15])
def test_each_side_orders_the_objects_and_opposite_sides_reverse_it(scene):
    relations, number = scene["relationships"], len(scene["objects"])
    for side in SIDES:
        assert sorted(map(len, relations[side])) == list(range(number))
        for i, j in combinations(range(number), 2):
            assert (j in relations[side][i]) != (i in relations[side][j])
            assert (j in relations[side][i]) == (i in relations[OPPOSITE[side]][j])


@pytest.mark.parametrize("scene", SCENES[:15])
def test_left_is_left_in_the_picture(scene):
    """Not of every pair, for perspective bends depth lines, but of every pair at nearly the same depth."""
    for i, j in combinations(range(len(scene["objects"])), 2):
        (x, _, depth), (other_x, _, other_depth) = (scene["objects"][k]["pixel_coords"] for k in (i, j))
        if abs(depth - other_depth) < 0.5:
            assert (other_x < x) == (j in scene["relationships"]["left"][i])


@pytest.mark.parametrize("scene", SCENES)
def test_every_object_is_inside_the_picture_and_seen(scene):
    solids = [Solid.of(thing) for thing in scene["objects"]]
    ids, _, alone, _ = trace(solids, camera(320, 240))
    border = np.concatenate([ids[0], ids[-1], ids[:, 0], ids[:, -1]])
    assert (border == -1).all()
    for i, outline in enumerate(alone):
        assert (ids == i).sum() > max(60, 0.4 * outline)


@pytest.mark.parametrize(
    ("name", "value"), [("train_images", 0), ("questions_per_image", 31), ("width", 5), ("seed", -1)]
)
def test_a_setting_out_of_range_is_an_error_that_names_it(name, value):
    settings = {**vars(SETTINGS), name: value}
    with pytest.raises(ValueError, match=f"^{name}: {value} is out of range: "):
        world.World(**settings)
