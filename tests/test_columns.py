"""Prepared data that do not fit are refused where they are loaded, in one line that names the column."""

import json
import re
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from specialists import data as prepared
from specialists.data import columns

META = {"words": ["", "?", "is"], "families": ["exist"]}


def questions(**changed):
    found = {name: torch.zeros(4, dtype=torch.int32) for name in ("image", "split", "family", "answer")}
    found |= {"tokens": torch.tensor([[2, 0]] * 4, dtype=torch.int16), "length": found["image"] + 1}
    return found | changed


def test_columns_that_fit_are_given_back():
    found = questions()
    assert columns.questions(found, 1, META, answer=0) is found


def at(column, value, row=2):
    """The column with another value in one row."""
    changed = column.clone()
    changed[row] = value
    return changed


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tokens", lambda c: at(c, 3), "tokens: 3 is out of range: 0 to 2"),
        ("tokens", lambda c: c.int(), "tokens: torch.int32 of shape (4, 2), expected torch.int16 of QL"),
        ("tokens", lambda c: c[:, 0], "tokens: torch.int16 of shape (4,), expected torch.int16 of QL"),
        ("image", lambda c: at(c, 1), "image: 1 is out of range: 0 to 0"),
        ("image", lambda c: at(c, -1), "image: -1 is out of range: 0 to 0"),
        ("split", lambda c: at(c, 3), "split: 3 is out of range: 0 to 2"),
        ("answer", lambda c: at(c, 7), "answer: 7 is out of range: 0 to 0"),
        ("family", lambda c: c[:3], "not equally long"),
        ("length", lambda c: at(c, 0), "length: out of range: 1 to 2, the longest question"),
        ("length", lambda c: at(c, 3), "length: out of range: 1 to 2, the longest question"),
    ],
)
def test_a_column_that_does_not_fit_is_named_with_its_value(name, change, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        columns.questions(questions(**{name: change(questions()[name])}), 1, META, answer=0)


def test_a_column_that_is_missing_or_holds_no_number_is_named():
    with pytest.raises(ValueError, match="^answer: missing$"):
        columns.checked({}, {"answer": (torch.int32, "Q")}, {})
    share = torch.tensor([[0.5, torch.nan]])
    with pytest.raises(ValueError, match="^share: nan is out of range: 0 to 1$"):
        columns.checked({"share": share}, {"share": (torch.float32, "QA")}, {"share": 1})


def spoilt(place, tmp_path, file, name, change):
    """What loading says of prepared data of which one column is another."""
    shutil.copytree(place / "data/features", folder := tmp_path / "features")
    found = load_file(folder / file)
    save_file(found | {name: change(found[name]).contiguous()}, folder / file)
    with pytest.raises(ValueError) as error:
        prepared.load(folder)
    assert str(error.value).startswith(f"{folder}: ") and "run the features stage again" in str(error.value)
    return str(error.value)


def test_questions_about_scenes(finished, tmp_path):
    said = spoilt(finished, tmp_path, "questions.safetensors", "answer", lambda c: at(c, 99))
    assert "answer: 99 is out of range: 0 to 27" in said


def test_images_of_another_type_or_grid(finished, tmp_path):
    shutil.copytree(finished / "data/features", folder := tmp_path / "features")
    images = np.load(folder / "images.npy")
    for changed, said in (
        (images.astype(np.float32), "expected float16 of IRF"),
        (images[:, :, 0], "expected float16 of IRF"),
        (images[:, 1:], "cells, expected the grid"),
        (images[:-1], "image: .* is out of range"),
    ):
        np.save(folder / "images.npy", changed)
        with pytest.raises(ValueError, match=f"^{folder}: features cannot be read .*{said}"):
            prepared.load(folder)


def test_images_with_labels(finished_cifar, tmp_path):
    said = spoilt(finished_cifar, tmp_path, "images.safetensors", "label", lambda c: at(c, 100))
    assert "label: 100 is out of range: 0 to 99" in said
    shutil.rmtree(tmp_path / "features")
    said = spoilt(finished_cifar, tmp_path, "images.safetensors", "report", lambda c: at(c, 10**6))
    assert "report: 1000000 is out of range: 0 to " in said


@pytest.mark.parametrize("text", ["[]", "3", "null"])
def test_a_meta_json_that_is_no_object(finished, tmp_path, text):
    shutil.copytree(finished / "data/features", folder := tmp_path / "features")
    (folder / "meta.json").write_text(text)
    with pytest.raises(ValueError, match="meta.json: expected an object in braces"):
        prepared.load(folder)


def test_a_meta_json_without_answers(finished, tmp_path):
    shutil.copytree(finished / "data/features", folder := tmp_path / "features")
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({key: meta[key] for key in meta if key != "answers"}))
    with pytest.raises(ValueError, match="features cannot be read .'answers'.; run the features stage again"):
        prepared.load(folder)
