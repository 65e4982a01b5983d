"""The whole stage on a few drawings; what may not leak between splits; what spoils it and is said then."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from specialists.base import portable, runtime
from specialists.base.files import digest
from specialists.data import load
from specialists.data.splits import SPLITS, hold_out
from specialists.eyes import extract, scene_cnn, weights
from specialists.eyes.resnet101 import ResNet101
from stages import features
from tests.tree import plant, write

HOME = Path(__file__).parents[1]
PARAMS = {
    "compute": {"mode": "fast", "threads": 1, "compile": False},
    "data": {"format": "clevr", "root": "clevr", "select": 0.25, "seed": 0},
    "features": {
        "eyes": "scene_cnn",
        "weights": "",
        "longest": 45,
        "threads": 1,
        "scene_cnn": {
            "rows": 2,
            "columns": 3,
            "channels": 8,
            "width": 4,
            "images": 5,
            "steps": 3,
            "batch": 4,
            "lr": 0.01,
        },
    },
}


def here(folder, monkeypatch, **changes):
    """Work in a folder with a tree and a params.yaml; `features__weights="x"` changes one entry."""
    monkeypatch.chdir(folder)
    settings = json.loads(json.dumps(PARAMS))
    for place, value in changes.items():
        *sections, key = place.split("__")
        at = settings
        for section in sections:
            at = at[section]
        at[key] = value
    Path("params.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    plant(tmp_path / "clevr", train=8, val=3)
    return here(tmp_path, monkeypatch)


def outputs(folder):
    return {path.name: path.read_bytes() for path in (folder / "data/features").iterdir()}


def test_the_files_fit_together(folder):
    features.main()
    data = load("data/features")
    meta = data.meta
    assert data.images.shape == (11, 6, 8) and data.images.dtype == np.float16 and meta["grid"] == [2, 3]
    assert meta["splits"] == {
        "train": {"questions": 12, "images": 6},
        "select": {"questions": 4, "images": 2},
        "report": {"questions": 6, "images": 3},
    }
    files = ("images.npy", "questions.safetensors", "eyes.safetensors")
    assert set(outputs(folder)) == {*files, "meta.json"}
    assert meta["digest"] == digest(*(folder / "data/features" / name for name in files))
    assert len(meta["answers"]) == 28 and len(meta["families"]) == 90 and meta["eyes"] == "scene_cnn"
    assert set(meta["accuracy"]) == {"presence_f1", "shape", "color", "material", "size"}
    asked = json.loads((folder / "clevr/questions/CLEVR_val_questions.json").read_text())["questions"]
    (image, tokens, length), answer = data.batch(data.rows("report"))
    words = [[meta["words"][i] for i in row[:n]] for row, n in zip(tokens, length, strict=True)]
    assert words == [question["question"].lower().rstrip("?").split() for question in asked]
    assert [meta["answers"][i] for i in answer] == [question["answer"] for question in asked]
    categories = data.questions["category"][data.rows("report")]
    assert [meta["categories"][i] for i in categories] == [q["program"][-1]["function"] for q in asked]
    assert torch.equal(image[0::2], data.images[8:].float()) and torch.equal(image[0::2], image[1::2])


def test_no_image_is_in_two_splits(folder):
    features.main()
    questions = load("data/features").questions
    images = [set(questions["image"][questions["split"] == i].tolist()) for i in range(len(SPLITS))]
    assert images[2] == {8, 9, 10} and images[0] | images[1] == set(range(8)) and not images[0] & images[1]


def test_the_vocabulary_is_that_of_train(folder):
    """A word of select or report alone is unknown, 1."""
    features.main()
    before = load("data/features")
    select = before.questions["image"][before.rows("select")[0]].item()
    for split, row, name in (("train", 2 * select, "novel"), ("val", 0, "foreign")):
        path = f"questions/CLEVR_{split}_questions.json"
        content = json.loads((folder / "clevr" / path).read_text())
        content["questions"][row]["question"] = f"How many {name} things?"
        write(folder / "clevr", path, content)
    features.main()
    after = load("data/features")
    assert after.meta["words"] == before.meta["words"]
    for row in (2 * select, int(after.rows("report")[0])):
        line = after.questions["tokens"][row, : after.questions["length"][row]].tolist()
        assert [after.meta["words"][i] for i in line] == ["how", "many", "<unknown>", "things"]


def test_neither_select_nor_report_teaches_the_eyes(folder):
    """Other pixels there change their own features and no others."""
    features.main()
    before = load("data/features")
    strange = [before.questions["image"][before.rows(split)[0]].item() for split in ("select", "report")]
    first = before.images[:]
    for split, index in zip(("train", "val"), (strange[0], strange[1] - 8), strict=True):
        Image.new("RGB", (64, 48), (255, 0, 255)).save(f"clevr/images/{split}/CLEVR_{split}_{index:06d}.png")
    features.main()
    changed = (load("data/features").images[:] != first).flatten(1).any(1)
    assert changed.nonzero().flatten().tolist() == sorted(strange)


def test_the_eyes_that_are_kept_see_the_same_to_the_bit(folder):
    features.main()
    settings = scene_cnn.Settings(**PARAMS["features"]["scene_cnn"])
    blank = scene_cnn.SceneCNN(settings, torch.Generator())
    eyes = weights.load(blank, "data/features/eyes.safetensors", "features.scene_cnn")
    pictures = sorted(Path("clevr/images/train").iterdir()) + sorted(Path("clevr/images/val").iterdir())
    extract.extract(eyes, pictures, Path("again.npy"))
    assert Path("again.npy").read_bytes() == Path("data/features/images.npy").read_bytes()
    assert not eyes.training and not any(weight.requires_grad for weight in eyes.parameters())


def test_eyes_of_other_settings_and_files_that_are_none_are_one_line(folder):
    features.main()
    settings = scene_cnn.Settings(**PARAMS["features"]["scene_cnn"] | {"channels": 9})
    spoilt = Path("spoilt.safetensors")
    spoilt.write_bytes(Path("data/features/eyes.safetensors").read_bytes()[:100])
    for path in ("data/features/eyes.safetensors", spoilt, "none.safetensors"):
        with pytest.raises(ValueError) as caught:
            weights.load(scene_cnn.SceneCNN(settings, torch.Generator()), path, "features.scene_cnn")
        line = str(caught.value)
        assert line.startswith(f"{path}: not eyes of features.scene_cnn (") and "\n" not in line


def in_another_process(**environment):
    command, home = [sys.executable, "-m", "stages.features"], {"PYTHONPATH": str(HOME)}
    return subprocess.run(command, env=home | environment, capture_output=True, text=True)


def test_the_same_bytes_twice_and_in_another_process(folder):
    features.main()
    first = outputs(folder)
    torch.manual_seed(9)
    features.main()
    assert outputs(folder) == first
    shutil.rmtree("data")
    (folder / "data/.features.1.draft").mkdir(parents=True)  # left by a run that was killed
    (folder / "data/features").mkdir()
    (folder / "data/features/strange").touch()
    done = in_another_process(**portable.VARIABLES)  # as in this process
    assert done.returncode == 0 and done.stdout.startswith("presence_f1 0")
    assert outputs(folder) == first and os.listdir("data") == ["features"]


def test_a_mistake_is_one_line_and_no_output(folder):
    (folder / "clevr/images/val/CLEVR_val_000002.png").write_bytes(b"not a picture")
    done = in_another_process()
    lines = [line for line in done.stderr.splitlines() if "CLEVR_val" in line]
    assert done.returncode == 1 and "Traceback" not in done.stderr and done.stdout == ""
    assert len(lines) == 1 and lines[0].startswith(
        "stages.features: clevr/images/val/CLEVR_val_000002.png: expected a PNG, found 13 bytes of something"
    )
    assert os.listdir("data") == []


def test_a_failure_leaves_what_was_there(folder):
    features.main()
    before = outputs(folder)
    (folder / "clevr/images/val/CLEVR_val_000002.png").write_bytes(b"")
    with pytest.raises(ValueError, match="CLEVR_val_000002.png: expected a PNG"):
        features.main()
    assert outputs(folder) == before and os.listdir("data") == ["features"]


def test_in_portable_mode_it_computes_in_fp32(folder, monkeypatch):
    """Then the maps, kept in fp16, have more than the 8 significant bits of bf16."""

    def fine_share():
        data = np.load("data/features/images.npy").astype(np.float32)
        return (torch.from_numpy(data).bfloat16().float().numpy() != data).mean()

    monkeypatch.setattr(runtime, "HAS_BF16", True)  # or emulate it
    features.main()
    assert fine_share() == 0
    here(folder, monkeypatch, compute__mode="portable")
    done = in_another_process()
    assert done.returncode == 0, done.stderr
    assert fine_share() > 0.3


WRONG_SETTINGS = [
    ("features__threads", 0, "threads: 0 is out of range: 1 to 1024"),
    (
        "data__format",
        "coco",
        "params.yaml: data.format: 'coco' is unknown; known: cifar100, clevr, clevr_pixels, pictures, vqa2",
    ),
    ("data__seed", -1, "params.yaml: data: seed: -1 is out of range: 0 to 2147483647"),
    ("data__root", "nowhere", "nowhere: not found. data.root (nowhere) must hold images/train/*.png"),
    ("data__select", 0.01, "select: 0.01 of 8 train images is 0: nothing is left on one side"),
    ("data__select", 1.5, "select: 1.5 of 8 train images is 12: nothing is left on one side"),
    ("features__longest", 0, "params.yaml: features: longest: 0 is out of range: 1 to 1000"),
    ("features__longest", 10**9, "params.yaml: features: longest: 1000000000 is out of range: 1 to 1000"),
    ("features__eyes", "vgg", "features: eyes: 'vgg' is unknown; known: scene_cnn, resnet101"),
    ("features__eyes", "resnet101", "features: weights: found '', expected the path of a weights file"),
    ("features__weights", "w.pth", "features: weights: found 'w.pth', expected '' for scene_cnn"),
    ("features__scene_cnn__lr", 0, "features.scene_cnn: lr: 0.0 is out of range: above 0"),
    ("features__scene_cnn__depth", 3, "features.scene_cnn.depth: unknown key; known: rows, columns"),
]


@pytest.mark.parametrize("place, value, message", WRONG_SETTINGS)
def test_wrong_settings(folder, monkeypatch, place, value, message):
    here(folder, monkeypatch, **{place: value})
    with pytest.raises(ValueError) as caught:
        features.main()
    assert message in str(caught.value)
    assert not Path("data/features").exists()


def test_a_split_without_questions_is_named(folder):
    """All train questions are of one image, and that is either held out or it is not."""
    path = folder / "clevr/questions/CLEVR_train_questions.json"
    tree = json.loads(path.read_text())
    path.write_text(json.dumps({"questions": tree["questions"][:1]}))
    with pytest.raises(
        ValueError, match="^clevr: no question is left for (train|select); data.select is 0.25"
    ):
        features.main()
    assert not Path("data/features").exists()


def test_scenes_without_objects_have_nothing_to_teach(folder):
    path = folder / "clevr/scenes/CLEVR_train_scenes.json"
    tree = json.loads(path.read_text())
    for scene in tree["scenes"]:
        scene["objects"] = []
    path.write_text(json.dumps(tree))
    with pytest.raises(ValueError, match="^clevr/images/train: no object in the scenes of 5 images of train"):
        features.main()


def test_resnet101_in_place_of_the_scene_cnn(folder, monkeypatch):
    torch.manual_seed(0)
    weights = ResNet101().state_dict()
    torch.save(weights, "w.pth")
    here(folder, monkeypatch, features__eyes="resnet101", features__weights="w.pth")
    features.main()
    data = load("data/features")
    assert data.images.shape == (11, 14 * 14, 1024) and data.meta["accuracy"] == {}
    assert set(outputs(folder)) == {"images.npy", "questions.safetensors", "meta.json"}
    weights["layer3.22.bn3.weight"] *= 1e12
    torch.save(weights, "w.pth")
    before = outputs(folder)
    with pytest.raises(ValueError, match="CLEVR_train_000000.png: its features are not finite in fp16"):
        features.main()
    assert outputs(folder) == before


def test_held_out_images_by_hand():
    split = hold_out(1000, 0.1, torch.Generator().manual_seed(0))
    again = hold_out(1000, 0.1, torch.Generator().manual_seed(0))
    other = hold_out(1000, 0.1, torch.Generator().manual_seed(1))
    assert (split == 1).sum() == 100 and (split == 0).sum() == 900
    assert np.array_equal(split, again) and not np.array_equal(split, other)


def test_pictures_come_in_order(tmp_path, monkeypatch):
    paths = []
    for i in range(7):
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB" if i % 2 else "RGBA", (10 + i, 20), (30 * i, 0, 7)).save(paths[-1])
    monkeypatch.setattr(extract, "BATCH", 3)
    images, sizes = extract.load(paths, (4, 6))
    assert images.shape == (7, 4, 6, 3) and images.dtype == torch.uint8
    assert [image.unique(dim=0).tolist()[0][0] for image in images] == [[30 * i, 0, 7] for i in range(7)]
    assert sizes.tolist() == [[20, 10 + i] for i in range(7)]
