"""The reader of the official files: what it understands, and one clear line about whatever it does not."""

import json
import re
import shutil
from copy import deepcopy

import numpy as np
import pytest

from specialists.data.clevr import official
from specialists.data.records import records
from tests.tree import plant, write

SCENES, QUESTIONS = "scenes/CLEVR_train_scenes.json", "questions/CLEVR_train_questions.json"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("clevr")
    return root, plant(root)


@pytest.fixture
def copy(planted, tmp_path):
    """A copy to spoil: (root, contents)."""
    shutil.copytree(planted[0], tmp_path / "root")
    return tmp_path / "root", deepcopy(planted[1])


def refused(root, *parts):
    with pytest.raises(ValueError) as caught:
        official.read(root, "train")
    line = str(caught.value)
    assert "\n" not in line and len(line) < 700
    for part in parts:
        assert part in line
    return line


def test_columns_by_hand(planted):
    root, files = planted
    split = official.read(root, "train")
    scenes, questions = files[SCENES]["scenes"], files[QUESTIONS]["questions"]
    assert [path.name for path in split.images] == [scene["image_filename"] for scene in scenes]
    assert all(path.exists() for path in split.images)
    assert split.text == [question["question"] for question in questions]
    assert [official.ANSWERS[i] for i in split.answer] == [question["answer"] for question in questions]
    assert [official.FAMILIES[i] for i in split.family] == ["zero_hop 0", "zero_hop 3"] * len(scenes)
    assert [official.CATEGORIES[i] for i in split.category] == ["count", "query_color"] * len(scenes)
    assert split.image.tolist() == [i for i in range(len(scenes)) for _ in range(2)]
    item = scenes[1]["objects"][0]
    row = split.objects[split.objects[:, 0] == 1][0]
    assert row[1:4] == pytest.approx(item["pixel_coords"])
    assert [values[int(i)] for values, i in zip(official.ATTRIBUTES.values(), row[4:], strict=True)] == (
        [item[key] for key in official.ATTRIBUTES]
    )


def test_the_lists_have_their_official_sizes():
    assert len(official.ANSWERS) == len(set(official.ANSWERS)) == 28
    assert len(official.FAMILIES) == len(set(official.FAMILIES)) == 90
    assert list(official.TEMPLATES) == sorted(official.TEMPLATES)


def test_the_spelling_of_the_open_generator_reads_the_same(copy, planted):
    root, files = copy
    for question in files[QUESTIONS]["questions"]:
        question["template_filename"] = "zero_hop.json"
        question["question_family_index"] -= 84
        for node in question["program"]:
            node["type"] = node.pop("function")
        if question["answer"].isdigit():
            question["answer"] = int(question["answer"])
    for scene in files[SCENES]["scenes"]:
        scene["relations"] = scene.pop("relationships")
    write(root, QUESTIONS, files[QUESTIONS])
    write(root, SCENES, files[SCENES])
    ours, theirs = official.read(root, "train"), official.read(planted[0], "train")
    for name in ("objects", "answer", "family", "category", "image"):
        assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_json_booleans_are_yes_and_no(copy):
    root, files = copy
    for question, answer in zip(files[QUESTIONS]["questions"], (True, False), strict=False):
        question["answer"] = answer
    write(root, QUESTIONS, files[QUESTIONS])
    assert [official.ANSWERS[i] for i in official.read(root, "train").answer[:2]] == ["yes", "no"]


@pytest.mark.parametrize("name, first", [("compare_integer", 0), ("same_relate", 31), ("zero_hop.json", 84)])
def test_template_files_count_alphabetically(copy, name, first):
    root, files = copy
    files[QUESTIONS]["questions"][0] |= {"template_filename": name, "question_family_index": 2}
    write(root, QUESTIONS, files[QUESTIONS])
    assert official.read(root, "train").family[0] == first + 2


DELETED = object()
WRONG_QUESTIONS = [
    ("answer", "maybe", "questions[3].answer: found 'maybe', expected one of 0, 1, 10, 2"),
    ("answer", "11", "questions[3].answer: found '11'"),
    ("answer", None, "questions[3].answer: found None, expected str or int or bool"),
    ("answer", DELETED, "questions[3].answer: missing; found beside it: question, program"),
    ("question", 7, "questions[3].question: found 7, expected str"),
    ("question", " ?", "questions[3].question: found ' ?', expected a question with words"),
    ("question_family_index", 90, "questions[3].question_family_index: found 90, expected 0..89"),
    ("question_family_index", -1, "questions[3].question_family_index: found -1, expected 0..89"),
    ("question_family_index", "3", "questions[3].question_family_index: found '3', expected int"),
    ("question_family_index", True, "questions[3].question_family_index: found True, expected int"),
    ("template_filename", "zero_hop.json", "questions[3].question_family_index: found 87, expected 0..5"),
    ("template_filename", "four_hop.json", "questions[3].template_filename: found 'four_hop', expected one"),
    ("program", [], "questions[3].program: found [], expected a list of steps"),
    ("program", "count", "questions[3].program: found 'count', expected list"),
    ("program", ["count"], "questions[3].program[0]: found 'count', expected an object"),
    ("program", [{"inputs": []}], "questions[3].program[0].function: missing; found beside it: inputs"),
    ("program", [{"function": "scene"}], "questions[3].program[0].function: found 'scene', expected as"),
    ("image_filename", "x.png", "questions[3].image_filename: found 'x.png', expected the image_"),
    ("image_filename", ["x.png"], "questions[3].image_filename: found ['x.png'], expected str"),
]


@pytest.mark.parametrize("key, value, message", WRONG_QUESTIONS)
def test_a_wrong_question(copy, key, value, message):
    root, files = copy
    question = files[QUESTIONS]["questions"][3]
    question[key] = value
    if value is DELETED:
        del question[key]
    write(root, QUESTIONS, files[QUESTIONS])
    refused(root, f"{root / QUESTIONS}: {message}")


WRONG_SCENES = [
    (
        "image_filename",
        "../val/a.png",
        "scenes[2].image_filename: found '../val/a.png', expected a plain file name",
    ),
    ("image_filename", "/etc/passwd", "scenes[2].image_filename: found '/etc/passwd', expected a plain"),
    ("image_filename", "..", "scenes[2].image_filename: found '..', expected"),
    ("image_filename", "", "scenes[2].image_filename: found '', expected"),
    ("image_filename", "none.png", "scenes[2].image_filename: found 'none.png', expected a file"),
    ("image_filename", "CLEVR_train_000000.png", "expected a name that no earlier scene has"),
    ("image_filename", DELETED, "scenes[2].image_filename: missing"),
    ("objects", {}, "scenes[2].objects: found {}, expected list"),
    ("objects", [7], "scenes[2].objects[0]: found 7, expected an object in braces"),
]
WRONG_OBJECTS = [
    ("color", "pink", "scenes[2].objects[0].color: found 'pink', expected one of blue, brown"),
    ("shape", 3, "scenes[2].objects[0].shape: found 3, expected str"),
    ("material", DELETED, "scenes[2].objects[0].material: missing"),
    ("pixel_coords", [1, 2], "scenes[2].objects[0].pixel_coords: found [1, 2], expected three finite"),
    ("pixel_coords", [1, 2, "3"], "scenes[2].objects[0].pixel_coords: found [1, 2, '3']"),
    ("pixel_coords", [1, 2, float("nan")], "scenes[2].objects[0].pixel_coords: found [1, 2, nan]"),
    ("pixel_coords", [1, 2, 1e300], "scenes[2].objects[0].pixel_coords: found [1, 2, 1e+300]"),
    ("pixel_coords", [1, 2, 10**400], "scenes[2].objects[0].pixel_coords: found [1, 2, 1000"),
]


@pytest.mark.parametrize("key, value, message", WRONG_SCENES + WRONG_OBJECTS)
def test_a_wrong_scene(copy, key, value, message):
    root, files = copy
    scene = files[SCENES]["scenes"][2]
    record = scene["objects"][0] if (key, value, message) in WRONG_OBJECTS else scene
    record[key] = value
    if value is DELETED:
        del record[key]
    write(root, SCENES, files[SCENES])
    refused(root, f"{root / SCENES}: ", message)


@pytest.mark.parametrize("name, key", [(SCENES, "scenes"), (QUESTIONS, "questions")])
def test_a_list_of_the_wrong_kind(copy, name, key):
    root, files = copy
    for content, found in (
        ({key: []}, "found an empty list"),
        ({"info": {}}, "found only the keys 'info'"),
        ({key: [7]}, f"{key}[0]: found 7, expected an object in braces"),
    ):
        write(root, name, content)
        refused(root, f"{root / name}: {key}", found)


@pytest.mark.parametrize("name", [SCENES, QUESTIONS])
@pytest.mark.parametrize("keep", [0, 1, 30, -300, -1])
def test_cut_short(copy, name, keep):
    root, _ = copy
    text = (root / name).read_text()[:keep]
    (root / name).write_text(text)
    line = refused(root, f"{root / name}: ", "not JSON, perhaps cut short", "(character ")
    if keep == -300:
        assert f"{'scenes' if 'scenes' in name else 'questions'}[" in line
        assert int(re.search(r"character (\d+)", line)[1]) <= len(text)


@pytest.mark.parametrize(
    "content", [b"\xff\xfe{}", b'{"info": ' + b"[" * 100_000, b'{"info": 1}{', b"null", b'{"scenes": 3}']
)
def test_not_the_expected_json(copy, content):
    root, _ = copy
    (root / SCENES).write_bytes(content)
    refused(root, f"{root / SCENES}: ")


SCENE = b'{"scenes": [{"image_filename": "CLEVR_train_000000.png", "objects": []}]'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SCENE + b"} x", "scenes[1]: text after the end"),
        (SCENE + b', "scenes": []}', "scenes[1]: a key that stands twice"),
        (SCENE[:-1] + b", " + b"9" * 5000 + b"]}", "scenes[1]: Exceeds the limit (4300 digits)"),
    ],
)
def test_what_comes_after_the_records_and_what_python_does_not_read(copy, content, message):
    root, _ = copy
    (root / SCENES).write_bytes(content)
    refused(root, f"{root / SCENES}: {message}")


@pytest.mark.parametrize("name", [SCENES, QUESTIONS, "scenes", "questions"])
def test_a_list_or_its_folder_that_lies_outside_the_root(copy, name):
    root, _ = copy
    shutil.move(root / name, root.parent / "elsewhere")
    (root / name).symlink_to(root.parent / "elsewhere")
    refused(
        root, f"{root / name}", f": a link to {root.parent / 'elsewhere'}", f"outside {root}; put it there"
    )


def test_a_link_that_leaves_the_root(copy):
    root, files = copy
    picture = root / "images/train" / files[SCENES]["scenes"][2]["image_filename"]
    picture.rename(root.parent / "outside.png")
    picture.symlink_to(root.parent / "outside.png")
    refused(
        root, f"{root / SCENES}: scenes[2].image_filename", picture.name, "not a link that leaves data.root"
    )
    shutil.move(root / "images/train", root.parent / "elsewhere")
    (root / "images/train").symlink_to(root.parent / "elsewhere")
    refused(root, f"{root / 'images/train'}: a link to {root.parent / 'elsewhere'}")


@pytest.mark.parametrize("gone", [".", "images/train", SCENES, QUESTIONS])
def test_a_missing_root_says_what_to_fetch(copy, gone):
    root, _ = copy
    (root / gone).rename(root.parent / "gone")
    refused(
        root, f"{root / gone}: not found", "https://cs.stanford.edu/people/jcjohns/clevr/", "data/stand_in"
    )


def test_objects_of_some_images(planted):
    split = official.read(planted[0], "train")
    some = official.objects_of(split, np.array([4, 1]))
    for new, old in ((0, 4), (1, 1)):
        expected = split.objects[split.objects[:, 0] == old][:, 1:]
        assert np.array_equal(some[some[:, 0] == new][:, 1:], expected)
    assert set(some[:, 0]) == {0, 1}


def test_records_across_the_borders_of_chunks(tmp_path, monkeypatch):
    content = {"info": {"a": [1, "x]}", 2.5]}, "z": 9}
    content["list"] = [{"é": i, "b": '\\"' * i} for i in range(40)] + [12345]
    (tmp_path / "file.json").write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")
    for size in (1, 2, 7, 64, 10_000):
        monkeypatch.setattr("specialists.data.records.CHUNK", size)
        assert list(records(tmp_path / "file.json", "list")) == content["list"]
