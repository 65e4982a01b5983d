"""A few drawn pictures in the official CLEVR layout, for tests: flat shapes, and questions about colours."""

import json

import numpy as np
from PIL import Image, ImageDraw

from specialists.data.clevr.official import ATTRIBUTES

PAINT = {"blue": (40, 70, 210), "brown": (130, 75, 35), "cyan": (40, 210, 210), "gray": (90, 90, 90)}
PAINT |= {"green": (30, 110, 20), "purple": (130, 40, 190), "red": (175, 35, 35), "yellow": (250, 240, 50)}


def plant(root, train=6, val=3, width=64, height=48):
    """Write the tree and return what its JSON files hold: {name of file: content}."""
    rng = np.random.default_rng(0)
    files = {}
    for split, count in (("train", train), ("val", val)):
        folder = root / "images" / split
        folder.mkdir(parents=True)
        scenes = [_scene(rng, split, i, width, height) for i in range(count)]
        for scene in scenes:
            _draw(scene["objects"], width, height).save(folder / scene["image_filename"])
        files[f"scenes/CLEVR_{split}_scenes.json"] = {"info": {"split": split}, "scenes": scenes}
        questions = [question for scene in scenes for question in _questions(scene)]
        files[f"questions/CLEVR_{split}_questions.json"] = {"info": {"split": split}, "questions": questions}
    for name, content in files.items():
        write(root, name, content)
    return files


def write(root, name, content):
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(json.dumps(content))


def _scene(rng, split, index, width, height):
    cells = rng.permutation(6)[: rng.integers(1, 4)]
    objects = [
        {
            "pixel_coords": [int((c % 3 + 0.5) / 3 * width), int((c // 3 + 0.5) / 2 * height), 9.5 + c],
            "3d_coords": [0.0, 0.0, 0.35],
            "rotation": 0.0,
            **{key: str(rng.choice(values)) for key, values in ATTRIBUTES.items()},
        }
        for c in cells
    ]
    name = f"CLEVR_{split}_{index:06d}.png"
    sides = {side: [[] for _ in objects] for side in ("left", "right", "front", "behind")}
    scene = {"split": split, "image_index": index, "image_filename": name, "objects": objects}
    return scene | {"directions": {"left": [-1.0, 0.0, 0.0]}, "relationships": sides}


def _questions(scene):
    first = scene["objects"][0]
    name, index = scene["image_filename"], scene["image_index"]
    for k, (text, last, answer, family) in enumerate(
        (
            ("How many things are there?", "count", str(len(scene["objects"])), 84),
            (f"What color is the {first['size']} {first['shape']}?", "query_color", first["color"], 87),
        )
    ):
        yield {
            "question": text,
            "answer": answer,
            "program": [{"function": step, "inputs": [], "value_inputs": []} for step in ("scene", last)],
            "question_family_index": family,
            "image_filename": name,
            "image_index": index,
            "question_index": 2 * index + k,
            "split": scene["split"],
        }


def _draw(objects, width, height):
    image = Image.new("RGB", (width, height), (150, 150, 150))
    pen = ImageDraw.Draw(image)
    for item in objects:
        x, y, _ = item["pixel_coords"]
        r = width // (10 if item["size"] == "large" else 16)
        box = (x - r, y - r, x + r, y + r)
        if item["shape"] == "sphere":
            pen.ellipse(box, PAINT[item["color"]])
        elif item["shape"] == "cube":
            pen.rectangle(box, PAINT[item["color"]])
        else:
            pen.polygon([(x, y - r), (x + r, y + r), (x - r, y + r)], PAINT[item["color"]])
        if item["material"] == "metal":
            pen.ellipse((x - r // 2, y - r // 2, x + 1, y + 1), (255, 255, 255))
    return image
