"""The stage and the small CLEVR: the official tree, the same bytes from any processes, never half of it."""

import json
import os
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import yaml

from specialists.data.clevr import official, stand_in
from specialists.data.clevr.programs import execute
from specialists.data.clevr.world import World
from specialists.data.folders import replacing

TINY = World(seed=0, train_images=3, val_images=2, questions_per_image=4, width=80, height=60)


def build(folder, processes):
    with replacing(folder) as draft:
        stand_in.write(TINY, draft, processes)


def command(folder, format="clevr", world=None, **options):
    """`python -m stages.stand_in` as subprocess's arguments."""
    params = {"data": {"format": format}, "world": vars(TINY) | (world or {})}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}
    return {"args": [sys.executable, "-m", "stages.stand_in"], "cwd": folder, "env": environment, **options}


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "data" / "stand_in"
    build(folder, processes=1)
    return folder


def test_the_official_tree(built):
    assert set(tree(built)) == {
        *(f"images/train/CLEVR_train_{i:06d}.png" for i in range(3)),
        *(f"images/val/CLEVR_val_{i:06d}.png" for i in range(2)),
        *(f"scenes/CLEVR_{split}_scenes.json" for split in ("train", "val")),
        *(f"questions/CLEVR_{split}_questions.json" for split in ("train", "val")),
    }
    assert [path.name for path in built.parent.iterdir()] == ["stand_in"]


def test_the_same_bytes_with_one_and_two_processes(built, tmp_path):
    build(tmp_path / "stand_in", processes=2)
    assert tree(tmp_path / "stand_in") == tree(built)


def test_questions_in_the_official_format(built):
    scenes = json.loads((built / "scenes/CLEVR_train_scenes.json").read_text())["scenes"]
    questions = json.loads((built / "questions/CLEVR_train_questions.json").read_text())["questions"]
    assert [question["question_index"] for question in questions] == list(range(12))
    for question in questions:
        assert set(question) == {
            *("split", "image_index", "image_filename", "question", "answer", "program"),
            *("question_family_index", "question_index"),
        }
        assert all(set(node) == {"function", "inputs", "value_inputs"} for node in question["program"])
        scene = scenes[question["image_index"]]
        assert scene["image_filename"] == question["image_filename"]
        assert execute(question["program"], scene) == question["answer"]


def test_the_reader_of_the_official_data_reads_it(built):
    split = official.read(built, "val")
    assert len(split.text) == 8 and len(split.images) == 2


def test_pictures_are_compressed_by_run_lengths_alone(built):
    """In which zlib has no choice, so that another zlib writes the same bytes, at any level."""
    for path in built.glob("images/*/*.png"):
        content, packed = path.read_bytes(), b""
        while (at := content.find(b"IDAT")) > 0:
            length = int.from_bytes(content[at - 4 : at])
            packed, content = packed + content[at + 4 : at + 4 + length], content[at + 8 + length :]
        for level in (1, 9):
            again = zlib.compressobj(level, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
            assert again.compress(zlib.decompress(packed)) + again.flush() == packed


def test_a_failure_leaves_what_was_there(tmp_path):
    folder = tmp_path / "stand_in"
    folder.mkdir()
    (folder / "old").write_text("old")
    (tmp_path / ".stand_in.1.draft").mkdir()  # left by a run that was killed
    with pytest.raises(ZeroDivisionError), replacing(folder) as draft:
        (draft / "new").write_text(str(1 / 0))
    assert tree(tmp_path) == {"stand_in/old": b"old"} and os.listdir(tmp_path) == ["stand_in"]


def test_what_is_whole_takes_the_place_of_what_was_there(tmp_path):
    for name in ("old", "new"):
        with replacing(tmp_path / "a/b") as draft:
            (draft / name).write_text(name)
    assert tree(tmp_path) == {"a/b/new": b"new"} and os.listdir(tmp_path / "a") == ["b"]


def test_a_full_disk_is_one_line_that_says_where(tmp_path):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    done = subprocess.run(**command(tmp_path, capture_output=True, text=True, preexec_fn=full))
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "stages.stand_in: data/stand_in: could not be made: [Errno 27] File too large"
    )
    assert not list((tmp_path / "data").iterdir())


def test_its_workers_end_when_it_is_killed(tmp_path):
    process = subprocess.Popen(**command(tmp_path, world={"train_images": 4000}, start_new_session=True))
    while not list(tmp_path.glob("data/.stand_in.*.draft/images/train/*.png")):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    for _ in range(200):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.killpg(process.pid, 9)
    pytest.fail("workers are left after ten seconds")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"world": {"train_images": 0}}, "world: train_images: 0 is out of range: 1 to 999999"),
        (
            {"format": "coco"},
            "data.format: 'coco' is unknown; known: "
            "cifar100, clevr, clevr_pixels, pictures, vqa2, vqa2_questions",
        ),
        ({"format": "cifar100"}, "world.height: unknown key; known: seed, train_images, test_images"),
    ],
)
def test_a_bad_setting_is_one_line_and_no_output(tmp_path, wrong, message):
    done = subprocess.run(**command(tmp_path, **wrong, capture_output=True, text=True))
    assert done.returncode == 1 and done.stderr.strip() == f"stages.stand_in: params.yaml: {message}"
    assert not (tmp_path / "data").exists()
