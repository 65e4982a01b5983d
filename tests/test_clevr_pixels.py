"""Pictures as pixels: the flat stand-in is CLEVR by its own programs; what networks read of it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from specialists.base.params import read
from specialists.data import load
from specialists.data.clevr import families, official
from specialists.data.clevr.programs import execute
from specialists.data.clevr_pixels import prepare, stand_in
from specialists.data.pictures.stand_in import BACKGROUND, COLORS

SIZES = {"train_images": 110, "val_images": 5, "questions_per_image": 4, "width": 64, "height": 64}
WORLD = SIZES | {"seed": 0, "fewest": 3, "most": 4, "across": 3, "down": 3}


def world(*names, **changes):
    return stand_in.World(**WORLD | {"families": [*names]} | changes)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("flat")
    stand_in.write(world("zero_hop", "one_hop 5"), folder, 2)
    return folder


def records(folder, kind, split):
    return json.loads((folder / kind / f"CLEVR_{split}_{kind}.json").read_text())[kind]


def test_answers_follow_from_the_programs_and_only_what_was_named_is_asked(built):
    for split in ("train", "val"):
        scenes, asked = records(built, "scenes", split), records(built, "questions", split)
        assert len(asked) == 4 * len(scenes)
        for question in asked:
            assert question["answer"] == execute(question["program"], scenes[question["image_index"]])
    names = {official.FAMILIES[family] for family in official.read(built, "train").family.tolist()}
    assert names == {*(f"zero_hop {i}" for i in range(6)), "one_hop 5"}


def test_things_are_where_the_scene_says(built):
    for scene in records(built, "scenes", "val"):
        picture = np.asarray(Image.open(built / "images/val" / scene["image_filename"]))
        seen = {tuple(pixel) for pixel in picture.reshape(-1, 3)} - {BACKGROUND, (255, 255, 255)}
        assert seen == {COLORS[thing["color"]] for thing in scene["objects"]}
        assert 3 <= len(scene["objects"]) <= 4
        for i, thing in enumerate(scene["objects"]):
            x, y, _ = thing["pixel_coords"]
            half = 4  # the light of metal is smaller
            near = picture[max(y - half, 0) : y + half + 1, max(x - half, 0) : x + half + 1].reshape(-1, 3)
            assert COLORS[thing["color"]] in {tuple(pixel) for pixel in near}
            for j in scene["relationships"]["right"][i]:
                assert scene["objects"][j]["pixel_coords"][0] > x
            for j in scene["relationships"]["front"][i]:
                assert scene["objects"][j]["pixel_coords"][1] > y


def test_the_same_bytes_with_one_process(built, tmp_path):
    stand_in.write(world("zero_hop", "one_hop 5"), tmp_path, 1)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert path.read_bytes() == (built / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {"families": ["two_hops"]},
            "families: 'two_hops' is unknown; known: compare_integer, comparison, one",
        ),
        ({"most": 10}, "most: 10 is out of range: 3 to 9"),
        ({"most": 2}, "most: 2 is out of range: 3 to 9"),
        ({"across": 0}, "across: 0 is out of range: 1 to 8"),
        ({"width": 10}, "width: 10 is out of range: 64 to 1024"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        stand_in.World(**WORLD | {"families": []} | changes)


def test_no_names_are_all_families():
    assert stand_in.named([]) == [*families.ALL]
    found = [families.FAMILIES[f].group for f in stand_in.named(["single_or", "zero_hop 0"])]
    assert found == ["single_or"] * 8 + ["zero_hop"]


def test_what_networks_read(built, tmp_path):
    data = prepare.Data("clevr_pixels", str(built), 0.2, 0)
    found = prepare.prepare(data, prepare.Settings(32, 48, 20, 1), tmp_path)
    assert found == {"train": 352, "select": 88, "report": 20}
    pixels, train, val = load(tmp_path), official.read(built, "train"), official.read(built, "val")
    assert pixels.shape == ((32, 48), len(pixels.meta["words"]), 28)
    (image_BHW3, tokens_BL, length_B), answer_B = pixels.batch(pixels.rows("report")[:4])
    wanted = Image.open(val.images[0]).resize((48, 32), Image.Resampling.BILINEAR)
    assert image_BHW3.dtype == torch.float32 and image_BHW3.shape == (4, 32, 48, 3)
    assert (image_BHW3[0] - torch.from_numpy(np.array(wanted)).float()).abs().max() <= 1
    words = [pixels.meta["words"][token] for token in tokens_BL[0, : length_B[0]]]
    assert "".join(words) == "".join(c for c in val.text[0].lower() if c.isalnum())
    assert answer_B.tolist() == val.answer[:4].tolist()
    rows = pixels.rows("train")
    assert set(pixels.kinds(rows).tolist()) <= set(range(len(pixels.kind_names)))
    assert pixels.kinds(torch.arange(3)).tolist() == train.category[:3].tolist()


def test_sizes_of_pictures_are_checked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("features: {height: 8, width: 32, longest: 9, threads: 1}\n")
    with pytest.raises(ValueError, match="features: height: 8 is out of range: 16 to 1024"):
        read("features", prepare.Settings)
