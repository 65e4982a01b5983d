"""A cell computed again: the same to the bit, or caught."""

import json
import shutil

from tests.conftest import run, stage


def test_the_same_to_the_bit(clone):
    done = stage(clone, "recompute", "san-mcl_kd-k1-s0")
    assert "san-mcl_kd-k1-s0: the same to the bit, 5 files" in done.stdout
    assert run(clone, "git", "status", "--porcelain").stdout == ""


def test_without_a_cache_it_is_computed_from_the_ground(clone):
    shutil.rmtree(clone / ".dvc/cache")
    done = stage(clone, "recompute", "san-mcl_kd-k1-s0")
    assert "computed first: features, base@san-0-0, base@san-1-0\n" in done.stdout
    assert "san-mcl_kd-k1-s0: the same to the bit, 5 files" in done.stdout
    assert not (clone / ".dvc/cache").exists()


def lie(clone, processor):
    """A commit whose lock claims weights that its code does not compute."""
    lock = clone / "dvc.lock"
    text = lock.read_text()
    place = text.index("models/cells/san-mcl-k1-s0.safetensors\n      hash: md5\n      md5: ")
    place = text.index("md5: ", place) + 5
    lock.write_text(f"{text[:place]}{'f' * 32}{text[place + 32 :]}")
    path = clone / "metrics/environment/cells/san-mcl-k1-s0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | processor))
    run(clone, "git", "commit", "--quiet", "--all", "--message", "a lie")


def test_a_difference_on_the_same_machine_is_an_error(clone):
    lie(clone, {})
    done = stage(clone, "recompute", "san-mcl-k1-s0", check=False)
    assert done.returncode == 1
    assert "computed on this machine; differs: models/cells/san-mcl-k1-s0.safetensors" in done.stdout


def test_on_another_machine_the_accuracies_decide(clone):
    lie(clone, {"processor": "another"})
    done = stage(clone, "recompute", "san-mcl-k1-s0")
    assert "another machine (another, torch" in done.stdout and "by up to 0.00 points" in done.stdout


def test_another_machine_is_no_excuse_for_another_accuracy(clone):
    path = clone / "metrics/cells/san-mcl-k1-s0.json"
    numbers = json.loads(path.read_text())
    numbers["report"]["top1"] += 5.5
    path.write_text(json.dumps(numbers))
    lie(clone, {"processor": "another"})
    done = stage(clone, "recompute", "san-mcl-k1-s0", check=False)
    assert done.returncode == 1 and "by up to 5.50 points" in done.stdout


def test_an_unknown_cell_is_one_line(clone):
    done = stage(clone, "recompute", "san-mcl-k9-s0", check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "CELL: 'san-mcl-k9-s0' is not in dvc.lock; known: san-cmcl-k1-s0, san-ie" in done.stderr
