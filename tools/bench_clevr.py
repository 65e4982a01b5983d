"""python -m tools.bench_clevr [--share PERCENT]

What CLEVR v1.0 costs before a network that sees pixels trains: PERCENT (all if not said) of its 85,000
pictures of 480 x 320 and 850,000 questions, made smaller, to 128 x 128, by a process whose peak of memory is
told. The files are synthetic: few pictures and questions differ, and the rest repeat them.

reads   nothing
writes  scratch/bench_clevr, which it deletes again: about 6 GB
"""

import json
import os
import shutil
from pathlib import Path

from specialists.base.command import run
from specialists.base.files import read_json
from specialists.data.clevr_pixels import prepare, stand_in
from tools.bench_vqa2 import alone, measured

FOLDER = Path("scratch/bench_clevr")
IMAGES, ASKED, DRAWN = {"train": 70_000, "val": 15_000}, 10, 100  # DRAWN differ


def main(*, share: int = 100):
    if not 1 <= share <= 100:
        raise ValueError(f"--share: {share} is out of range: 1 to 100")
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name in ("few", "many", "features"):
        (FOLDER / name).mkdir(parents=True)
    try:
        sizes = {"seed": 0, "width": 480, "height": 320, "across": 5, "down": 4, "fewest": 3, "most": 10}
        drawn = {f"{split}_images": DRAWN for split in IMAGES}
        world = stand_in.World(**sizes, **drawn, questions_per_image=ASKED, families=[])
        stand_in.write(world, FOLDER / "few")
        for split, count in IMAGES.items():
            alone(repeated, split, count * share // 100)
        seconds, mib, (images, questions) = alone(measured, prepared)
        print(f"{images:,} pictures, {questions:,} questions: {seconds:.1f} s, {mib:.0f} MiB")
    finally:
        shutil.rmtree(FOLDER)


def prepared():
    data = prepare.Data(format="clevr_pixels", root=str(FOLDER / "many"), select=0.1, seed=0)
    settings = prepare.Settings(height=128, width=128, longest=45, threads=1)
    prepare.prepare(data, settings, FOLDER / "features")
    splits = read_json(FOLDER / "features/meta.json")["splits"].values()
    return [sum(split[what] for split in splits) for what in ("images", "questions")]


def repeated(split, count):
    """Scenes, questions and pictures of a split, over and over under new names."""
    few, many = FOLDER / "few", FOLDER / "many"
    (many / "images" / split).mkdir(parents=True)
    for kind in ("scenes", "questions"):
        (many / kind).mkdir(exist_ok=True)
        path = Path(kind, f"CLEVR_{split}_{kind}.json")
        of_image = [[] for _ in range(DRAWN)]
        for each in read_json(few / path)[kind]:
            of_image[each["image_index"]].append(each)
        with open(many / path, "w") as file:
            file.write(f'{{"{kind}": [')
            for image in range(count):
                own = {"image_index": image, "image_filename": f"{image}.png"}
                lines = (json.dumps(each | own) for each in of_image[image % DRAWN])
                file.write(",\n" * (image > 0) + ",\n".join(lines))
            file.write("]}\n")
    for image in range(count):
        drawn = few / "images" / split / f"CLEVR_{split}_{image % DRAWN:06d}.png"
        os.link(drawn, many / "images" / split / f"{image}.png")


if __name__ == "__main__":
    run(main)
