"""python -m tools.fuzz INPUTS [--seed SEED] [--reader READER]

Spoil files and see how readers answer. INPUTS times, one file of a reader, taken in turn, is changed in one
to three places (bytes, a piece gone or twice, cut short, a number or a string in its text that nobody
expects), and read. An answer is right, and so is an error that somebody wrote a line about. Any other error
is wrong, and so are ten seconds without either. Each wrong one is kept in a folder and gets a line; the exit
code is 1 if there is any.

reads   params.yaml, metrics and dvc.lock of the repository's root
writes  nothing but a temporary folder
"""

import random
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from contextlib import chdir
from pathlib import Path

import torch
from safetensors import SafetensorError

from specialists import data as prepared
from specialists.base import params
from specialists.base.command import run
from specialists.base.runtime import Compute
from specialists.data import png
from specialists.data.cifar100 import official as cifar_official
from specialists.data.cifar100 import stand_in as cifar_stand_in
from specialists.data.clevr import official as clevr_official
from specialists.data.clevr_pixels import prepare as pixels_prepare
from specialists.data.clevr_pixels import stand_in as pixels_stand_in
from specialists.data.pictures import listed
from specialists.data.pictures import stand_in as pictures_stand_in
from specialists.data.vqa2 import official as vqa_official
from specialists.data.vqa2 import prepare as vqa_prepare
from specialists.data.vqa2 import stand_in as vqa_stand_in
from specialists.data.vqa2 import tsv
from specialists.methods import Method
from specialists.networks import builder
from specialists.serving import answering
from specialists.tables.rows import Table
from specialists.tracking import pipeline
from specialists.training.budget import Budget
from stages import report
from tools import verify
from tools.spoil import spoilt

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 10
FORESEEN = (ValueError, OSError, EOFError, SafetensorError)
WORLD = {"seed": 0, "train_images": 4, "val_images": 2, "questions_per_image": 3, "width": 64, "height": 64}


def main(inputs: int, *, seed: int = 0, reader: str = ""):
    if reader and reader not in READERS:
        raise ValueError(f"READER: {reader!r} is unknown; known: {', '.join(READERS)}")
    wrong = 0
    for name, found in fuzzed([reader] if reader else [*READERS], inputs, seed):
        said = [each for each in found if each]
        wrong += len(said)
        print(f"{name}: {len(found)} inputs, {len(said)} wrong", *said, sep="\n  ")
    sys.exit(bool(wrong))


def fuzzed(names, inputs, seed):
    """(reader, what went wrong with each of its inputs, None if nothing did)"""
    signal.signal(signal.SIGALRM, late)
    warnings.simplefilter("ignore")
    for name in names:
        make, read = READERS[name]
        with tempfile.TemporaryDirectory() as place:
            (whole := Path(place, "whole")).mkdir()
            make(whole)
            if said := verdict(read, whole):
                raise AssertionError(f"{name}: what nobody spoilt is refused: {said}")
            count = inputs // len(names) + (names.index(name) < inputs % len(names))
            yield name, [tried(name, read, whole, f"{seed} {name} {i}") for i in range(count)]


def tried(name, read, whole, seed):
    rng, copy = random.Random(seed), whole.with_name("copy")
    shutil.copytree(whole, copy)
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    path = rng.choice(files)
    path.write_bytes(spoilt(path.read_bytes(), rng))
    said = verdict(read, copy)
    if said:
        kept = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
        shutil.copy(path, kept)
        said = f"{kept / path.name}: {said}"
    shutil.rmtree(copy)
    return said


def verdict(read, folder):
    """What is wrong with how a folder is read."""
    signal.alarm(SECONDS)
    try:
        with chdir(folder):
            read(Path("."))
    except FORESEEN as error:
        return None if meant(error) else f"{type(error).__name__}, which nobody meant: {str(error)[:200]}"
    except Late:
        return f"nothing after {SECONDS} seconds"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)


def meant(error):
    """Whether our code raised it, or the system, which names the file."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(last.filename).is_relative_to(ROOT) and (last.line or "").startswith("raise ")
    return ours or getattr(error, "filename", None) is not None


class Late(BaseException):
    pass


def late(*_):
    raise Late


def made(stand_in, **more):
    return lambda folder: stand_in.write(stand_in.World(**WORLD | more), folder, 1)


def of_clevr(root):
    for split in ("train", "val"):
        for path in clevr_official.read(root, split).images:
            png.read(path, (16, 16))


def of_vqa(root):
    for split in vqa_official.SPLITS:
        vqa_prepare.joined(root, split)
    for path in root.glob("boxes/*.tsv"):
        for _ in tsv.images(path, 0):
            pass


def of_pictures(root):
    _, found = listed.read(root)
    for path in found.values():
        png.read(path, (16, 16), ("PNG", "JPEG"))


def features(folder):
    with tempfile.TemporaryDirectory() as root:
        made(pixels_stand_in, **FLAT)(Path(root))
        data = pixels_prepare.Data("clevr_pixels", root, 0.25, 0)
        pixels_prepare.prepare(data, pixels_prepare.Settings(16, 16, 20, 1), folder)


def of_features(folder):
    data = prepared.load(folder)
    for split in ("train", "select", "report"):
        rows = data.rows(split)
        data.batch(rows[:4])
        data.groups(rows)
    data.order(4, torch.Generator())


def settings(folder):
    shutil.copy(ROOT / "params.yaml", folder)


def of_settings(folder):
    step = prepared.part(params.read("data.format", str), "prepare")
    stand_in = prepared.part(params.read("data.format", str), "stand_in")
    sections = {"compute": Compute, "world": stand_in.World, "data": step.Data, "features": step.Settings}
    sections |= {"base": Budget, "specialize": Budget, "table": Table}
    for section, make in sections.items():
        params.read(section, make)
    for row in params.load()["methods"]:
        Method(row)
    for row in params.load()["networks"]:
        builder(row, ((7, 9), 64, 90, 28))


def cells(folder):
    settings(folder)
    shutil.copy(ROOT / "paper.csv", folder)
    shutil.copytree(ROOT / "metrics/cells", folder / "metrics/cells")


def lock(folder):
    shutil.copy(ROOT / "dvc.lock", folder)


def of_lock(folder):
    verify.once("dvc.lock")
    for stage in pipeline.stages("dvc.lock").values():
        pipeline.locked(stage)


def request(folder):
    made(pictures_stand_in)(folder)
    (folder / "question").write_text("Is the small red cube of metal?")


def of_request(folder):
    for path in (folder / "images").iterdir():
        answering.pixels(path.read_bytes(), (16, 16))
    asked = (folder / "question").read_bytes().decode("utf-8", "surrogateescape")
    answering.words(asked, ["<padding>", "<unknown>", "red", "cube"], 45)


FLAT = {"fewest": 2, "most": 4, "across": 3, "down": 3, "families": ["zero_hop"]}
BOXES = {"channels": 4, "fewest_boxes": 10, "most_boxes": 12, "noise": 0.1}
READERS = {
    "params": (settings, of_settings),
    "clevr": (made(pixels_stand_in, **FLAT), of_clevr),
    "vqa2": (made(vqa_stand_in, **BOXES), of_vqa),
    "pictures": (made(pictures_stand_in), of_pictures),
    "cifar100": (
        lambda folder: cifar_stand_in.write(cifar_stand_in.World(0, 200, 100), folder),
        lambda folder: cifar_official.read(folder, False),
    ),
    "features": (features, of_features),
    "metrics": (cells, lambda folder: report.tables()),
    "lock": (lock, of_lock),
    "request": (request, of_request),
}


if __name__ == "__main__":
    run(main)
