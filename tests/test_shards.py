"""Arrays in several files: the same rows as the whole array has, the same bytes after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specialists.base import portable
from specialists.data import shards
from specialists.data.clevr.read import load
from specialists.data.shards import Shards
from specialists.eyes import extract
from stages import features
from tests.conftest import ROOT, environment
from tests.test_features import here, outputs
from tests.tree import plant

WHOLE = np.random.default_rng(0).random((11, 2, 3)).astype("<f2")


def written(folder, each, whole=WHOLE):
    for index, first in enumerate(range(0, len(whole), each)):
        np.save(shards.name(folder / "images.npy", index), whole[first : first + each])
    return folder / "images.npy"


@settings(max_examples=50, deadline=None)
@given(each=st.integers(1, 12), rows=st.lists(st.integers(0, 10), max_size=40))
def test_rows_at_random_are_those_of_the_whole_array(tmp_path_factory, each, rows):
    found = Shards(written(tmp_path_factory.mktemp("shards"), each))
    assert found.shape == WHOLE.shape and len(found) == 11 and found.dtype == np.float16
    assert torch.equal(found[torch.tensor(rows, dtype=torch.long)], torch.from_numpy(WHOLE[rows]))


@pytest.mark.parametrize("rows", [slice(None), slice(3, 9), slice(9, 99), slice(4, 4), slice(0, 11, 2)])
def test_a_slice_is_that_of_the_whole_array(tmp_path, rows):
    assert torch.equal(Shards(written(tmp_path, 4))[rows], torch.from_numpy(WHOLE[rows]))


def test_a_row_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(IndexError):
        Shards(written(tmp_path, 4))[torch.tensor([3, 11])]


@pytest.mark.parametrize(("index", "rows"), [(0, 3), (1, 5), (2, 5)])
def test_files_of_other_lengths_do_not_belong_together(tmp_path, index, rows):
    path = written(tmp_path, 4)
    np.save(shards.name(path, index), WHOLE[:rows])
    with pytest.raises(ValueError, match=r"^images\*\.npy do not belong together"):
        Shards(path)


def test_a_file_that_is_cut_while_it_is_read_is_one_line(tmp_path):
    found = Shards(written(tmp_path, 4))
    os.truncate(tmp_path / "images1.npy", 128 + 2 * 12 + 5)
    assert torch.equal(found[5:6], torch.from_numpy(WHOLE[5:6]))
    with pytest.raises(ValueError, match="images1.npy: ends before the end of row 2; make it again"):
        found[6:7]


# The stage with shards of 4 images, which is killed before maps of that name are called whole.
STAGE = """
import os, signal, sys
from specialists.eyes import extract
from stages import features
extract.BATCH, extract.SHARD, replace = 2, 4, os.replace

def killing(source, target):
    if os.fspath(target).startswith(sys.argv[1]) and target.suffix == ".pt":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)

os.replace = killing
features.main()
"""


def compute(killed_before="nothing", code=0):
    words = [sys.executable, "-c", STAGE, killed_before]
    env = environment(PYTHONPATH=str(ROOT), **portable.VARIABLES)  # as in this process
    done = subprocess.run(words, env=env, capture_output=True, text=True)
    assert done.returncode == code, done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(extract, "BATCH", 2)
    monkeypatch.setattr(extract, "SHARD", 4)
    plant(tmp_path / "clevr", train=8, val=3)
    return here(tmp_path, monkeypatch)


def test_a_killed_stage_goes_on_with_the_next_file_and_ends_in_the_same_bytes(folder):
    features.main()
    unbroken, scratch = outputs(folder), folder / "scratch"
    assert {"images.npy", "images1.npy", "images2.npy"} < unbroken.keys() and not list(scratch.iterdir())
    compute("scratch/images2.npy-", code=-signal.SIGKILL)
    kept = {path.stat().st_ino for path in scratch.glob("images*.pt")}
    compute()
    first = {(folder / "data/features" / name).stat().st_ino for name in ("images.npy", "images1.npy")}
    assert first == kept and outputs(folder) == unbroken and not list(scratch.iterdir())
    assert load(Path("data/features")).images.shape == (11, 6, 8)


def test_other_pixels_are_seen_again_after_a_kill(folder):
    """What waits in scratch/ is named by all that decides it."""
    compute("scratch/images2.npy-", code=-signal.SIGKILL)
    pictures = [Path(f"clevr/images/train/CLEVR_train_{i:06d}.png") for i in (0, 5)]
    for path, content in zip(pictures, [path.read_bytes() for path in reversed(pictures)], strict=True):
        path.write_bytes(content)
    compute()
    resumed = outputs(folder)
    features.main()
    assert outputs(folder) == resumed
