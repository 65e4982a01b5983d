"""The stand-in for VQA v2, and what is prepared of it, read back from the official files."""

import base64
import json
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from specialists.data.clevr.world import World as Scenes
from specialists.data.clevr.world import scene
from specialists.data.splits import SPLITS
from specialists.data.vqa2 import detector, official, people, picture, prepare, read, wordings
from specialists.data.vqa2.scoring import accuracy
from specialists.data.vqa2.stand_in import World, write

SIZES = {"train_images": 24, "val_images": 8, "questions_per_image": 5, "width": 64, "height": 48}
WORLD = World(seed=0, channels=8, fewest_boxes=10, most_boxes=20, noise=0.1, **SIZES)
DATA = {"format": "vqa2", "select": 0.25, "seed": 0}
SETTINGS = {
    "most": 16,
    "boxes": 12,
    "longest": 14,
    "least": 2,
    "answers": "train",
    "vectors": "",
    "threads": 1,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    write(WORLD, folder := tmp_path_factory.mktemp("vqa2"), processes=1)
    return folder


def prepared(root, folder, monkeypatch, **settings):
    (folder / "features").mkdir(parents=True)
    monkeypatch.chdir(folder)
    prepare.prepare(
        prepare.Data(root=str(root), **DATA), prepare.Settings(**SETTINGS | settings), Path("features")
    )
    return read.load(Path("features"))


def lines(root):
    """Image -> (boxes, features) of the TSV, decoded line by line."""
    found = {}
    for split in official.SPLITS:
        for line in (root / f"boxes/{split}.tsv").read_text().splitlines():
            image, _, _, count, *packed = line.split("\t")
            box, feature = (np.frombuffer(base64.b64decode(each), np.float32).copy() for each in packed)
            found[int(image)] = box.reshape(int(count), 4), feature.reshape(int(count), -1)
    return found


def test_the_same_files_from_any_number_of_processes(root, tmp_path):
    write(WORLD, tmp_path, processes=2)
    names = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert all((root / name).read_bytes() == (tmp_path / name).read_bytes() for name in names)


def test_the_official_readers_read_it(root):
    for split, images in zip(official.SPLITS, (24, 8), strict=True):
        asked, answered, paired = official.layout(root, split)
        questions = {each.id: each for each in official.questions(asked)}
        annotations = {each.id: each for each in official.annotations(answered)}
        assert len(questions) == images * 5 and questions.keys() == annotations.keys()
        assert {len(each.answers) for each in annotations.values()} == {10}
        assert all(annotations[i].image == questions[i].image for i in questions)
        for first, second in official.pairs(paired, set(questions)):
            assert questions[first].text == questions[second].text
            assert questions[first].image != questions[second].image
        for image in {each.image for each in questions.values()}:
            with Image.open(official.picture(root, split, image)) as picture:
                assert picture.size == (64, 48)


def test_types_come_as_often_as_in_the_real_data():
    world, rng, tally = Scenes(0, 40, 1, 1, 64, 48), random.Random(0), Counter()
    for i in range(40):
        for _ in range(10):
            tally[wordings.drawn(scene(world, "train", i), rng, tally)[0]] += 1
    kinds = Counter()
    for make, count in tally.items():
        kinds[wordings.TYPE[make]] += count / 4
    assert abs(kinds["yes/no"] - 38) < 3 and abs(kinds["number"] - 12) < 3 and abs(kinds["other"] - 50) < 3


def test_answers_are_those_of_the_scene():
    """Counted from the objects themselves, by the words of the question."""
    world, rng, seen = Scenes(0, 30, 1, 1, 64, 48), random.Random(0), 0
    nouns = {noun: shape for shape, forms in wordings.NOUNS.items() for noun in forms}
    nouns |= {"boxes": "cube", "thing": None, "object": None}
    looks = {form: ("material", value) for value, forms in wordings.LOOKS.items() for form in forms}
    looks |= {form: ("size", value) for value, forms in wordings.SIZES.items() for form in forms}
    for i in range(30):
        there = scene(world, "train", i)
        for _ in range(10):
            asked = wordings.count(there, rng)
            words = asked.text.removeprefix("How many ").split(" are ")[0].split(" can ")[0].split(" ")
            noun = nouns.get(words[-1], nouns.get(words[-1].removesuffix("s")))
            wanted = {key: value for key, value in (looks.get(word, ("color", word)) for word in words[:-1])}
            wanted |= {"shape": noun} if noun else {}
            count = sum(all(each[k] == v for k, v in wanted.items()) for each in there["objects"])
            assert asked.answer(there) == str(count), asked.text
            seen += count > 0
    assert seen > 50


def test_ten_people_mostly_agree_and_not_always():
    rng = random.Random(0)
    worth = [accuracy("red", people.answers("red", "other", rng)[1]) for _ in range(300)]
    assert 0.8 < sum(worth) / 300 < 0.98 and min(worth) < 0.6
    common, said = people.answers("3", "number", rng)
    assert len(said) == 10 and common == max(said, key=said.count)


def test_boxes_of_the_detector():
    there = scene(Scenes(0, 1, 1, 1, 320, 240), "train", 0)
    projection = np.eye(len(detector.NAMES))
    box, feature = detector.detect(there, 320, 240, projection, (40, 40), 0.0, np.random.default_rng(0))
    assert box.shape == (40, 4) and (box[:, :2] < box[:, 2:]).all()
    assert (box >= 0).all() and (box <= [320, 240, 320, 240]).all()
    outline = detector.outlines(there) * 2
    for row in range(40):
        expected = np.zeros(len(detector.NAMES))
        for thing, (x1, y1, x2, y2) in zip(there["objects"], outline, strict=True):
            a, b, c, d = box[row].astype(float)
            both = max(0, min(c, x2) - max(a, x1)) * max(0, min(d, y2) - max(b, y1))
            union = (c - a) * (d - b) + (x2 - x1) * (y2 - y1) - both
            expected += both / union * np.array([thing[key] == value for key, value in detector.NAMES])
        assert np.allclose(feature[row], expected, atol=1e-4)
    best = [max(detector.covering(box, outline)[:, i]) for i in range(len(outline))]
    assert min(best) > 0.5  # every object is found


def test_a_batch_is_what_the_files_say(root, tmp_path, monkeypatch):
    data, found = prepared(root, tmp_path, monkeypatch), lines(root)
    asked = {
        each.id: each
        for split in official.SPLITS
        for each in official.questions(official.layout(root, split)[0])
    }
    told = {
        each.id: each
        for split in official.SPLITS
        for each in official.annotations(official.layout(root, split)[1])
    }
    rows = torch.cat([data.rows(split)[:9] for split in SPLITS])
    (image, box, tokens, length), target = data.batch(rows)
    for i, identity in enumerate(data.questions["id"][rows].tolist()):
        words = [data.meta["words"][t] for t in tokens[i, : length[i]]]
        plain = asked[identity].text.lower().rstrip("?").replace(",", "").split()
        assert all(a in (b, "<unknown>") for a, b in zip(words, plain, strict=True))
        corners, feature = found[asked[identity].image]
        count = min(12, len(corners))
        assert torch.equal(image[i, :count], torch.from_numpy(feature[:count].astype(np.float16)).float())
        assert torch.allclose(
            box[i, :count] * torch.tensor([64, 48, 64, 48]), torch.from_numpy(corners[:count]), atol=1e-4
        )
        assert not image[i, count:].any() and not box[i, count:].any()
        for place, answer in enumerate(data.meta["answers"]):
            worth = data.task.right(torch.tensor([place]), target[i : i + 1]).item()
            if len(set(told[identity].answers)) > 1:  # else the official metric compares them unchanged
                assert worth == pytest.approx(accuracy(answer, told[identity].answers))
        assert data.group_names[data.groups(rows)[i]] == told[identity].question_type
        assert data.kind_names[data.kinds(rows)[i]] == told[identity].answer_type


def test_a_picture_is_the_jpeg_of_coco_or_the_png_of_the_stand_in(root, tmp_path, monkeypatch):
    data = prepared(root, tmp_path, monkeypatch)
    shutil.copytree(root, copy := tmp_path / "root")
    row = int(data.rows("report")[0])
    ((text, path),) = picture.shown(copy, data, [row])
    assert path.exists() and path.name.endswith("01000001.png") and text.endswith("?")
    path.rename(path.with_suffix(".jpg"))
    assert picture.shown(copy, data, [row]) == [(text, path.with_suffix(".jpg"))]


def test_splits_share_no_image_and_train_alone_decides(root, tmp_path, monkeypatch):
    data = prepared(root, tmp_path, monkeypatch)
    images = [set(data.questions["image"][data.rows(split)].tolist()) for split in SPLITS]
    assert list(map(len, images)) == [18, 6, 8] and not (images[0] & images[1] | images[0] & images[2])
    target, family = data.targets(torch.arange(160)), data.questions["family"]
    best, right = {}, []
    for group in set(family.tolist()):
        total = defaultdict(float)
        for row in data.rows("train")[family[data.rows("train")] == group]:
            for place, share in target[row].T.tolist():
                total[int(place)] += share
        best[group] = max(total, key=lambda place: (total[place], -place), default=0)
    for row in data.rows("report"):
        right.append(data.task.right(torch.tensor([best[int(family[row])]]), target[row : row + 1]).item())
    assert data.meta["blind"] == pytest.approx(100 * sum(right) / len(right), rel=1e-5)
    assert data.best(3).batch(data.rows("train")[:2])[0][0].shape == (2, 3, 8)
    most = max(count for _, count in data.store.images.values())
    assert data.best(most).boxes == most
    for wrong in (0, most + 1):
        with pytest.raises(ValueError, match=f"boxes: {wrong} is out of range: 1 to {most},"):
            data.best(wrong)


def test_a_killed_conversion_goes_on(root, tmp_path, monkeypatch):
    """Killed after it, or after what failed later, boxes are not converted again; killed in it, they go on
    (test_vqa2_store.py)."""
    kept = prepare.shutil.copytree

    def killed(*given, **settings):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare.shutil, "copytree", killed)
    with pytest.raises(KeyboardInterrupt):
        prepared(root, tmp_path, monkeypatch)
    shutil.rmtree("features")
    when = Path("scratch/boxes/features.f16").stat().st_ino
    monkeypatch.setattr(prepare.shutil, "copytree", kept)
    with pytest.raises(ValueError, match="features.vectors: none.txt: No such file"):
        prepared(root, tmp_path, monkeypatch, vectors="none.txt")
    shutil.rmtree("features")
    prepared(root, tmp_path, monkeypatch)
    assert Path("features/boxes/features.f16").stat().st_ino == when and not Path("scratch/boxes").exists()


def edited(root, tmp_path, name, change):
    shutil.copytree(root, copy := tmp_path / "root")
    tree = json.loads((copy / name).read_text())
    change(tree)
    (copy / name).write_text(json.dumps(tree))
    return copy


QUESTIONS = "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = "v2_mscoco_train2014_annotations.json"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            ANNOTATIONS,
            lambda tree: tree["annotations"].pop(0),
            "no annotation of question 1000 about image 1",
        ),
        (QUESTIONS, lambda tree: tree["questions"].pop(0), "no question 1000, which is annotated"),
        (
            QUESTIONS,
            lambda tree: tree["questions"][0].update(image_id=77),
            "no annotation of question 1000 about image 77",
        ),
        (
            QUESTIONS,
            lambda tree: tree["questions"][0].update(question="?!"),
            "question 1000: '\\?!' has no words",
        ),
    ],
)
def test_what_does_not_go_together_is_one_line(root, tmp_path, monkeypatch, name, change, message):
    with pytest.raises(ValueError, match=message):
        prepared(edited(root, tmp_path, name, change), tmp_path, monkeypatch)


def test_an_image_without_boxes_and_a_root_without_files_are_named(root, tmp_path, monkeypatch):
    copy = edited(root, tmp_path, QUESTIONS, lambda tree: None)
    path = copy / "boxes/train2014.tsv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match="no boxes of image 1, which question 1000 asks about"):
        prepared(copy, tmp_path, monkeypatch)
    shutil.rmtree(copy / "boxes")
    with pytest.raises(ValueError, match="boxes: nothing there; expected bottom-up features"):
        prepared(copy, tmp_path / "again", monkeypatch)
    (copy / QUESTIONS).unlink()
    with pytest.raises(ValueError, match="not found. data.root .* must hold v2_OpenEnded"):
        prepared(copy, tmp_path / "third", monkeypatch)


def test_vectors_of_words_are_read_where_a_file_is_named(root, tmp_path, monkeypatch):
    (tmp_path / "glove.txt").write_text("the 1 2 3\nunheard 4 5 6\ncube -1 0.5 2e-1\n")
    data = prepared(root, tmp_path / "a", monkeypatch, vectors=str(tmp_path / "glove.txt"))
    words = data.meta["words"]
    assert data.shape[1].vectors[words.index("cube")].tolist() == pytest.approx([-1, 0.5, 0.2])
    assert data.shape[1].vectors.count_nonzero() == 6
    others = {
        "b": ("3 3\nthe 4 5 6\ncube -1 0.5 2e-1\nnone 0 0 0\n", [4, 5, 6]),
        "c": ("cube -1 .5 .2\nthe . . 7 8 9\n", [0, 0, 0]),
    }
    for name, (text, the) in others.items():
        (tmp_path / "glove.txt").write_text(text)
        data = prepared(root, tmp_path / name, monkeypatch, vectors=str(tmp_path / "glove.txt"))
        assert data.shape[1].vectors[words.index("cube")].tolist() == pytest.approx([-1, 0.5, 0.2])
        assert data.shape[1].vectors[words.index("the")].tolist() == the
    for number, (text, message) in enumerate(
        {
            "the 1 2 3\ncube 1 2\n": "line 2: 2 values of 'cube', expected 3 numbers",
            "the 1 2 3\ncube 1 2 3 4\n": "line 2: 4 values of 'cube', expected 3 numbers",
            "the 1 2 3\ncube 1\n": "line 2: 1 values of 'cube', expected 3 numbers",
            "the 1 2\ncube 1 2 3\n": "line 2: 3 values of 'cube', expected 2 numbers",
            "\nthe 1 2\n": "line 1: found '\\\\n', expected a word and numbers",
            "3 3\nnone 1 2 3\n": "none of .* words is in it",
        }.items()
    ):
        (tmp_path / "glove.txt").write_text(text)
        with pytest.raises(ValueError, match=f"glove.txt: {message}"):
            prepared(root, tmp_path / f"d{number}", monkeypatch, vectors=str(tmp_path / "glove.txt"))


def test_the_type_of_an_answer_is_that_of_most_questions_with_it(root, tmp_path, monkeypatch):
    data = prepared(root, tmp_path, monkeypatch)
    kinds = dict(zip(data.meta["answers"], data.meta["kinds"], strict=True))
    assert kinds["yes"] == kinds["no"] == "yes/no" and kinds["1"] == "number" and kinds["cube"] == "other"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fewest_boxes": 30}, "fewest_boxes: 30 is more than most_boxes, 20"),
        ({"most_boxes": 101}, "most_boxes: 101"),
    ],
)
def test_a_world_that_makes_no_sense_is_refused(change, message):
    settings = vars(WORLD) | change
    with pytest.raises(ValueError, match=message):
        World(**settings)
