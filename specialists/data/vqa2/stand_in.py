"""A small VQA v2 of our own, from rendered scenes, laid out as official.py says.

What is hard in the real data is hard here: boxes overlap, people disagree, types of questions and answers are
as skewed, and most questions have another picture for which the answer is another one.
"""

import base64
import json
import random
import zlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
from PIL import Image

from specialists.data.clevr import world as clevr
from specialists.data.clevr.render import render
from specialists.data.clevr.stand_in import CHUNK, parts
from specialists.data.limits import within
from specialists.data.vqa2 import detector, people, wordings
from specialists.data.vqa2.official import SPLITS, layout, picture

LIMITS = clevr.LIMITS | {
    "channels": (1, 4096),
    "fewest_boxes": (10, 100),
    "most_boxes": (10, 100),
    "noise": (0, 100),
}


@dataclass(frozen=True)
class World:
    """The size of the stand-in: the section `world` of params.yaml."""

    seed: int
    train_images: int
    val_images: int
    questions_per_image: int
    width: int
    height: int
    channels: int
    fewest_boxes: int
    most_boxes: int
    noise: float

    def __post_init__(self):
        within(self, LIMITS)
        if self.fewest_boxes > self.most_boxes:
            raise ValueError(f"fewest_boxes: {self.fewest_boxes} is more than most_boxes, {self.most_boxes}")

    def images(self, split):
        return {"train2014": self.train_images, "val2014": self.val_images}[split]

    @property
    def scenes(self):
        """The world of CLEVR's scenes with these sizes."""
        names = ("seed", "train_images", "val_images", "questions_per_image", "width", "height")
        return clevr.World(**{name: getattr(self, name) for name in names})


def write(world, folder, processes=None):
    """Fill an empty folder, by as many processes as there are cores."""
    (folder / "boxes").mkdir()
    for split in SPLITS:
        picture(folder, split, 0).parent.mkdir(parents=True)
    for split, made in parts(world, folder, _chunk, processes, SPLITS).items():
        lines, questions, annotations, pairs = (sum(each, []) for each in zip(*made, strict=True))
        (folder / f"boxes/{split}.tsv").write_text("".join(lines))
        for path, key, records in zip(
            layout(folder, split),
            ("questions", "annotations", None),
            (questions, annotations, pairs),
            strict=True,
        ):
            records = records if key is None else {"info": {"description": "a stand-in"}, key: records}
            path.write_text(json.dumps(records, sort_keys=True) + "\n")


def _chunk(world, folder, place):
    """(lines of the TSV, questions, annotations, pairs) of up to CHUNK images; writes their pictures."""
    split, start = place
    rng = random.Random(f"{world.seed} {split} {start}")
    numbers = range(start, min(start + CHUNK, world.images(split)))
    scenes = [clevr.scene(world.scenes, clevr.SPLITS[SPLITS.index(split)], number) for number in numbers]
    ids = [SPLITS.index(split) * 1_000_000 + number + 1 for number in numbers]
    lines = [_line(world, folder, split, *each) for each in zip(ids, scenes, strict=True)]
    questions, annotations, pairs, count, tally = [], [], [], [0] * len(scenes), Counter()

    def ask(i, make, asked, answer):
        identity, kind = ids[i] * 1000 + count[i], wordings.TYPE[make]
        count[i] += 1
        tally[make] += 1
        common, answers = people.answers(answer, kind, rng)
        questions.append({"image_id": ids[i], "question_id": identity, "question": asked.text})
        annotations.append(
            {
                "question_id": identity,
                "image_id": ids[i],
                "question_type": asked.type,
                "answer_type": kind,
                "multiple_choice_answer": common.lower().rstrip("."),
                "answers": [
                    {"answer_id": n, "answer": each, "answer_confidence": "yes"}
                    for n, each in enumerate(answers, 1)
                ],
            }
        )
        return identity

    for i, scene in enumerate(scenes):
        while count[i] < world.questions_per_image:
            make, asked, answer = wordings.drawn(scene, rng, tally)
            first = ask(i, make, asked, answer)
            for j in range(i + 1, len(scenes)):  # the next picture about which the answer is another one
                other = asked.answer(scenes[j]) if count[j] < world.questions_per_image else None
                if other not in (None, answer):
                    pairs.append([first, ask(j, make, asked, other)])
                    break
    return lines, questions, annotations, pairs


def _line(world, folder, split, identity, scene):
    """A line of the TSV of bottom-up features; writes the picture too."""
    image = Image.fromarray(render(scene, world.width, world.height))
    image.save(picture(folder, split, identity), compress_type=zlib.Z_RLE)
    shape = (len(detector.NAMES), world.channels)
    projection_AF = np.random.default_rng(world.seed).normal(size=shape)
    boxes, rng = (world.fewest_boxes, world.most_boxes), np.random.default_rng([world.seed, identity])
    found = detector.detect(scene, world.width, world.height, projection_AF, boxes, world.noise, rng)
    packed = (base64.b64encode(np.ascontiguousarray(each).tobytes()).decode() for each in found)
    return "\t".join([str(identity), str(world.width), str(world.height), str(len(found[0])), *packed]) + "\n"
