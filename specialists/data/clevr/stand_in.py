"""A small world laid out as CLEVR v1.0, for train and val.

images/SPLIT/*.png, scenes/CLEVR_SPLIT_scenes.json, questions/CLEVR_SPLIT_questions.json
"""

import json
import os
import random
import signal
import zlib
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread

from PIL import Image
from tqdm import tqdm

from specialists.data.clevr import families
from specialists.data.clevr.render import render
from specialists.data.clevr.world import SPLITS, World, scene

CHUNK = 100  # images that share one tally of answers; fixed, so that the number of processes changes nothing


def write(world: World, folder, processes=None):
    """Fill an empty folder, by as many processes as there are cores."""
    lay_out(world, folder, _chunk, processes)


def lay_out(world, folder, chunk, processes):
    """The files of what `chunk` made as `_chunk` does."""
    for split in SPLITS:
        (folder / "images" / split).mkdir(parents=True)
    for kind in ("scenes", "questions"):
        (folder / kind).mkdir()
    asked = {}
    for split, found in parts(world, folder, chunk, processes).items():
        scenes = [scene for part, _ in found for scene in part]
        questions = [question for _, part in found for question in part]
        questions = [{**question, "question_index": i} for i, question in enumerate(questions)]
        _json(folder, split, "scenes", scenes)
        _json(folder, split, "questions", questions)
        asked[split] = [(question["question_family_index"], question["answer"]) for question in questions]
    blind = families.blind(asked["train"], asked["val"])
    print(f"knowing a question's family alone answers {blind:.1f} % of val")


def parts(world, folder, chunk, processes=None, splits=SPLITS):
    """{split: [what `chunk(world, folder, (split, first image))` made of each CHUNK of images]}"""
    work = [(split, start) for split in splits for start in range(0, world.images(split), CHUNK)]
    made, processes = {split: [] for split in splits}, min(processes or os.cpu_count(), len(work))
    with ProcessPoolExecutor(processes, get_context("spawn"), _end_with_parent) as pool:
        done = pool.map(partial(chunk, world, folder), work)
        for place, part in tqdm(
            zip(work, done, strict=True), "stand_in", len(work), unit="chunk", disable=None
        ):
            made[place[0]].append(part)
    return made


def _end_with_parent():
    """A worker leaves interrupts to the parent, and ends when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=lambda: parent_process().join() or os._exit(1), daemon=True).start()


def _chunk(world, folder, place):
    """(scenes, questions) of up to CHUNK images, whose pictures are written on the way."""
    split, start = place
    rng, tally = random.Random(f"{world.seed} {split} {start}"), families.tallies()
    scenes, questions = [], []
    for index in range(start, min(start + CHUNK, world.images(split))):
        drawn = scene(world, split, index)
        scenes.append(drawn)
        # Pillow has the zlib of the system. With run lengths alone zlib and zlib-ng write the same bytes.
        picture = Image.fromarray(render(drawn, world.width, world.height))
        picture.save(folder / "images" / split / drawn["image_filename"], compress_type=zlib.Z_RLE)
        for asked in families.ask(drawn, world.questions_per_image, rng, tally):
            questions.append(record(drawn, *asked))
    return scenes, questions


def record(scene, family, text, program, answer):
    image = {key: scene[key] for key in ("split", "image_index", "image_filename")}
    return image | {"question": text, "answer": answer, "program": program, "question_family_index": family}


def _json(folder, split, kind, records):
    info = {"split": split, "version": "1.0", "description": "a stand-in laid out as CLEVR v1.0"}
    text = json.dumps({"info": info, kind: records}, sort_keys=True)
    (folder / kind / f"CLEVR_{split}_{kind}.json").write_text(text + "\n")
