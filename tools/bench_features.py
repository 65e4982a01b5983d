"""python -m tools.bench_features [--images N]

How fast features of CLEVR's size are written and read at random: maps of 14 x 14 cells and 1024 channels in
fp16, N of them (4,096 if not said; CLEVR has 85,000, 32 GiB), from eyes that take no time. Killed, the
same command goes on after the last whole file. A batch is 64 images; one that was read lately comes from
memory, so each is read once, and once more.

reads   scratch/: files of a run that was killed
writes  scratch/features, which it deletes again, and what waits there meanwhile
"""

import os
import resource
import shutil
import time
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from specialists.base.command import run
from specialists.base.runtime import Compute, setup
from specialists.data.shards import Shards
from specialists.eyes import extract
from specialists.eyes.resnet101 import ResNet101

FOLDER, BATCH, MOST = Path("scratch/features"), 64, 64  # batches to read


class Eyes(nn.Module):
    """Maps as large as those of ResNet-101, drawn once."""

    grid, channels, size = ResNet101.grid, ResNet101.channels, (16, 16)

    def __init__(self):
        super().__init__()
        shape, seeded = (extract.BATCH, *self.grid, self.channels), torch.Generator().manual_seed(0)
        self.register_buffer("map_BRCF", torch.rand(shape, generator=seeded))

    def forward(self, image_BHW3):
        return self.map_BRCF[: len(image_BHW3)]


def main(*, images: int = 4096):
    if images < 1:
        raise ValueError(f"--images: {images} is out of range: at least 1")
    setup(Compute(mode="fast", threads=1, compile=False))
    FOLDER.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", Eyes.size).save(picture := FOLDER / "picture.png")
    there = len([*Path("scratch").glob("images*.npy-*.pt")])
    start = time.perf_counter()
    _, files = extract.extract(Eyes(), [picture] * images, FOLDER / "images.npy")
    seconds, size = time.perf_counter() - start, sum(each.stat().st_size for each in files) / 2**20
    there = f"{there} of them there before: " if there else f"written at {size / seconds:.0f} MiB/s: "
    print(f"{len(files)} files, {size / 1024:.1f} GiB, {there}{seconds:.0f} s, {memory()}")
    found = Shards(files[0])
    for each in files:  # out of the memory of this machine
        with open(each, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rows = torch.randperm(len(found), generator=torch.Generator().manual_seed(0))[: MOST * BATCH]
    for where in ("the disk", "memory"):
        start = time.perf_counter()
        for some in rows.split(BATCH):
            found[some]
        seconds = time.perf_counter() - start
        rate = len(rows) / seconds
        print(f"read from {where}: {rate:.0f} images/s, {rate * found.size / 2**20:.0f} MiB/s, {memory()}")
    shutil.rmtree(FOLDER)


def memory():
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB of memory at most"


if __name__ == "__main__":
    run(main)
