"""python -m stages.stand_in

A small world laid out as CLEVR v1.0, for train and val.

reads   params: world
writes  data/stand_in: images/SPLIT/*.png, scenes/CLEVR_SPLIT_scenes.json and
        questions/CLEVR_SPLIT_questions.json
"""

import json
import os
import random
import shutil
import signal
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

from PIL import Image
from tqdm import tqdm

from specialists import params
from specialists.data import families, world
from specialists.data.render import render
from stages import run

FOLDER = Path("data/stand_in")
CHUNK = 100  # images that share one tally of answers; fixed, so that the number of processes changes nothing


def main():
    build(params.read("world", world.World), FOLDER, os.cpu_count())


def build(settings, folder, processes):
    """Write the whole world beside `folder`, then give it that name; what a killed run left goes first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # named by process: a worker that outlives a killed run must not write into this one's
    draft, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("draft", "old"))
    _sweep(folder)
    try:
        write(settings, draft, processes)
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    except OSError as error:
        raise OSError(f"{folder}: could not be made: {error}") from error
    finally:
        _sweep(folder)


def _sweep(folder):
    for end in ("draft", "old"):
        for path in folder.parent.glob(f".{folder.name}.*.{end}"):
            shutil.rmtree(path, ignore_errors=True)


def write(settings, folder, processes):
    for split in world.SPLITS:
        (folder / "images" / split).mkdir(parents=True)
    for kind in ("scenes", "questions"):
        (folder / kind).mkdir()
    work = [(s, start) for s in world.SPLITS for start in range(0, settings.images(s), CHUNK)]
    parts = {split: [] for split in world.SPLITS}
    with ProcessPoolExecutor(min(processes, len(work)), get_context("spawn"), end_with_parent) as pool:
        done = pool.map(partial(chunk, settings, folder), work)
        for split, *part in tqdm(done, "stand_in", len(work), unit="chunk", disable=None):
            parts[split].append(part)
    asked = {}
    for split, found in parts.items():
        scenes = [scene for part, _ in found for scene in part]
        questions = [question for _, part in found for question in part]
        questions = [{**question, "question_index": i} for i, question in enumerate(questions)]
        _json(folder, split, "scenes", scenes)
        _json(folder, split, "questions", questions)
        asked[split] = [(question["question_family_index"], question["answer"]) for question in questions]
    blind = families.blind(asked["train"], asked["val"])
    print(f"knowing a question's family alone answers {blind:.1f} % of val")


def end_with_parent():
    """A worker leaves interrupts to the parent, and ends when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=lambda: parent_process().join() or os._exit(1), daemon=True).start()


def chunk(settings, folder, place):
    """(split, scenes, questions) of up to CHUNK images, whose pictures are written on the way."""
    split, start = place
    rng, tally = random.Random(f"{settings.seed} {split} {start}"), families.tallies()
    scenes, questions = [], []
    for index in range(start, min(start + CHUNK, settings.images(split))):
        scene = world.scene(settings, split, index)
        scenes.append(scene)
        picture = Image.fromarray(render(scene, settings.width, settings.height))
        picture.save(folder / "images" / split / scene["image_filename"], compress_level=4)
        for asked in families.ask(scene, settings.questions_per_image, rng, tally):
            questions.append(_question(scene, *asked))
    return split, scenes, questions


def _question(scene, family, text, program, answer):
    image = {key: scene[key] for key in ("split", "image_index", "image_filename")}
    return image | {"question": text, "answer": answer, "program": program, "question_family_index": family}


def _json(folder, split, kind, records):
    info = {"split": split, "version": "1.0", "description": "a stand-in laid out as CLEVR v1.0"}
    text = json.dumps({"info": info, kind: records}, sort_keys=True)
    (folder / kind / f"CLEVR_{split}_{kind}.json").write_text(text + "\n")


if __name__ == "__main__":
    run(main)
