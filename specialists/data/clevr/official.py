"""Reader of CLEVR v1.0: ROOT/images/SPLIT/*.png, ROOT/scenes/CLEVR_SPLIT_scenes.json, ROOT/questions/...

Both spellings are read, that of the released files and that of the open generator: a family index over all
90 templates or one inside `template_filename`, program nodes with `function` or `type`, answers as text or as
JSON booleans and numbers, `relationships` or `relations` (nothing here needs them). What does not fit is an
error of one line: file, place, what was found, what would be right.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specialists.data.records import Place, records
from specialists.data.text import tokenize

ATTRIBUTES = {
    "shape": ("cube", "cylinder", "sphere"),
    "color": ("blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow"),
    "material": ("metal", "rubber"),
    "size": ("large", "small"),
}
ANSWERS = tuple(sorted(["yes", "no", *map(str, range(11)), *sum(ATTRIBUTES.values(), ())]))
CATEGORIES = (
    "count exist equal_integer less_than greater_than equal_size equal_color equal_material equal_shape "
    "query_size query_color query_material query_shape"
).split()
# alphabetical, which is the numbering of the released question_family_index
TEMPLATES = {
    "compare_integer": 9,
    "comparison": 16,
    "one_hop": 6,
    "same_relate": 28,
    "single_and": 5,
    "single_or": 8,
    "three_hop": 6,
    "two_hop": 6,
    "zero_hop": 6,
}
LARGEST = float(np.finfo(np.float32).max)
FAMILIES = tuple(f"{name} {i}" for name, count in TEMPLATES.items() for i in range(count))

_ANSWER_ID = {answer: i for i, answer in enumerate(ANSWERS)}
_CATEGORY_ID = {name: i for i, name in enumerate(CATEGORIES)}
_VALUE_ID = {key: {value: i for i, value in enumerate(values)} for key, values in ATTRIBUTES.items()}
_OFFSET = {name: FAMILIES.index(f"{name} 0") for name in TEMPLATES}


@dataclass(frozen=True)
class Split:
    """One split in columns.

    images are paths in the order of the scenes; objects is (objects, 8) float32: position in images, x and y
    in pixels, depth, and an index into each of ATTRIBUTES. The other columns have one entry per question:
    image is a position in images, the rest are positions in ANSWERS, FAMILIES and CATEGORIES.
    """

    images: list[Path]
    objects: np.ndarray
    text: list[str]
    answer: np.ndarray
    family: np.ndarray
    category: np.ndarray
    image: np.ndarray


def read(root, split):
    """The whole of one split except its pixels."""
    root = Path(root)
    scenes, questions = _layout(root, split)
    images, objects = _scenes(scenes, _pictures(root, root / "images" / split))
    names = {path.name: i for i, path in enumerate(images)}
    text, answer, family, category, image = [], [], [], [], []
    for i, question in enumerate(records(questions, "questions")):
        place = Place(questions, f"questions[{i}]")
        text.append(_text(question, place))
        answer.append(_answer(question, place))
        family.append(_family(question, place))
        category.append(_category(question, place))
        image.append(_image(question, names, place))
    return Split(images, objects, text, *(np.array(x, np.int32) for x in (answer, family, category, image)))


def objects_of(split, chosen):
    """The objects of some of the images, which count from 0 in the order chosen."""
    position = np.full(len(split.images), -1)
    position[chosen] = np.arange(len(chosen))
    image = position[split.objects[:, 0].astype(np.int64)]
    return np.column_stack([image, split.objects[:, 1:]])[image >= 0].astype(np.float32)


def _layout(root, split):
    """The two JSON files of a split, or an error that says what to fetch."""
    scenes, questions = (root / kind / f"CLEVR_{split}_{kind}.json" for kind in ("scenes", "questions"))
    for path in (root, root / "images" / split, scenes, questions):
        if not path.exists():
            raise ValueError(
                f"{path}: not found. data.root ({root}) must hold images/train/*.png, images/val/*.png, "
                "scenes/CLEVR_{train,val}_scenes.json and questions/CLEVR_{train,val}_questions.json: fetch "
                "CLEVR v1.0 from https://cs.stanford.edu/people/jcjohns/clevr/ and unpack it there, or set "
                "data.root back to data/stand_in, which the stand_in stage writes"
            )
        if not path.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{path}: a link to {path.resolve()}, outside {root}; put it there")
    return scenes, questions


def _pictures(root, folder):
    """name -> path of what lies in an image folder, or None for a link that leads out of the root."""
    home = root.resolve()
    with os.scandir(folder) as entries:
        return {
            entry.name: folder / entry.name
            if not entry.is_symlink() or (folder / entry.name).resolve().is_relative_to(home)
            else None
            for entry in entries
        }


def _scenes(path, pictures):
    """(image paths, objects) of a scene file."""
    images, objects, seen = [], [], set()
    for i, scene in enumerate(records(path, "scenes")):
        place = Place(path, f"scenes[{i}]")
        name = place.take(scene, "image_filename", str)
        if Path(name).name != name or "\\" in name:
            raise place.wrong("image_filename", name, "a plain file name, which cannot leave its folder")
        if name not in pictures:
            raise place.wrong("image_filename", name, "a file in the image folder of this split")
        if pictures[name] is None:
            raise place.wrong("image_filename", name, "a file, not a link that leaves data.root")
        if name in seen:
            raise place.wrong("image_filename", name, "a name that no earlier scene has")
        seen.add(name)
        images.append(pictures[name])
        for j, item in enumerate(place.take(scene, "objects", list)):
            objects.append((i, *_object(item, Place(path, f"{place.at}.objects[{j}]"))))
    return images, np.array(objects, np.float32).reshape(-1, 4 + len(ATTRIBUTES))


def _object(item, place):
    where = place.take(item, "pixel_coords", list)
    if len(where) != 3 or not all(type(x) in (int, float) and abs(x) <= LARGEST for x in where):
        raise place.wrong("pixel_coords", where, "three finite numbers: x, y, depth")
    for key, ids in _VALUE_ID.items():
        value = place.take(item, key, str)
        if value not in ids:
            raise place.wrong(key, value, f"one of {', '.join(ids)}")
    return (*where, *(ids[item[key]] for key, ids in _VALUE_ID.items()))


def _text(question, place):
    text = place.take(question, "question", str)
    if not tokenize(text):
        raise place.wrong("question", text, "a question with words")
    return text


def _answer(question, place):
    answer = place.take(question, "answer", str, int, bool)
    if type(answer) is not str:
        answer = {True: "yes", False: "no"}[answer] if type(answer) is bool else str(answer)
    if answer not in _ANSWER_ID:
        raise place.wrong("answer", question["answer"], f"one of {', '.join(ANSWERS)}")
    return _ANSWER_ID[answer]


def _family(question, place):
    index = place.take(question, "question_family_index", int)
    offset, count = 0, len(FAMILIES)
    if "template_filename" in question:
        name = place.take(question, "template_filename", str).removesuffix(".json")
        if name not in TEMPLATES:
            raise place.wrong("template_filename", name, f"one of {', '.join(TEMPLATES)}")
        offset, count = _OFFSET[name], TEMPLATES[name]
    if not 0 <= index < count:
        raise place.wrong("question_family_index", index, f"0..{count - 1}")
    return offset + index


def _category(question, place):
    program = place.take(question, "program", list)
    if not program:
        raise place.wrong("program", program, "a list of steps")
    place = Place(place.path, f"{place.at}.program[{len(program) - 1}]")
    key = "type" if isinstance(program[-1], dict) and "type" in program[-1] else "function"
    name = place.take(program[-1], key, str)
    if name not in _CATEGORY_ID:
        raise place.wrong(key, name, f"as the last step one of {', '.join(CATEGORIES)}")
    return _CATEGORY_ID[name]


def _image(question, names, place):
    name = place.take(question, "image_filename", str)
    if name not in names:
        raise place.wrong("image_filename", name, "the image_filename of one of the scenes of this split")
    return names[name]
