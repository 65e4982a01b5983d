"""The stage: the official tree, the same bytes whatever the processes, never half of it."""

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from specialists.data import clevr
from specialists.data.programs import execute
from specialists.data.world import World
from stages import stand_in

TINY = World(seed=0, train_images=3, val_images=2, questions_per_image=4, width=80, height=60)


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one") / "data" / "stand_in"
    stand_in.build(TINY, folder, processes=1)
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
    stand_in.build(TINY, tmp_path / "stand_in", processes=2)
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
    split = clevr.read(built, "val")
    assert len(split.text) == 8 and len(split.images) == 2


def test_a_failure_leaves_what_was_there(built, tmp_path, monkeypatch):
    folder = tmp_path / "stand_in"
    folder.mkdir()
    (folder / "old").write_text("old")
    monkeypatch.setattr(stand_in, "write", lambda settings, draft, processes: draft.mkdir() or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        stand_in.build(TINY, folder, processes=1)
    assert tree(tmp_path) == {"stand_in/old": b"old"}


def test_a_full_disk_is_one_line_that_says_where(tmp_path):
    def full():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))

    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"world": vars(TINY)}))
    env = {"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"}  # nor its bytecode
    command = [sys.executable, "-m", "stages.stand_in"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, preexec_fn=full)
    assert done.returncode == 1
    assert (
        done.stderr.strip() == "stages.stand_in: data/stand_in: could not be made: [Errno 27] File too large"
    )
    assert not list((tmp_path / "data").iterdir())


def test_its_workers_end_when_it_is_killed(tmp_path):
    world = vars(TINY) | {"train_images": 4000}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"world": world}))
    command, env = [sys.executable, "-m", "stages.stand_in"], {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(command, cwd=tmp_path, env=env, start_new_session=True)
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


def test_the_command_reports_a_bad_setting_in_one_line(tmp_path):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"world": {**vars(TINY), "train_images": 0}}))
    command, env = [sys.executable, "-m", "stages.stand_in"], {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.strip() == "stages.stand_in: params.yaml: world: train_images: 0, expected 1 to 999999"
    assert not (tmp_path / "data").exists()
