"""python -m tools.bench_boxes

Questions per second through a training step of bottom-up top-down at the published size: 256 questions, 36
boxes of 2048 channels, 3,129 answers. Two versions take turns in one run: the published one, in fp32 with all
questions padded to 14 words, and ours, in bf16 with the questions of a batch alike in length. Lengths are
those of VQA v2, 6.2 words on average. It also measures how fast a store of boxes feeds such questions, each
about another image, read from the disk and then from memory.

reads   nothing
writes  scratch/boxes_of_bench, 0.3 GB, which it deletes again
"""

import math
import os
import shutil
import time
from pathlib import Path
from statistics import median
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from specialists.answers import votes
from specialists.answers.ensemble import Ensemble
from specialists.base.command import run
from specialists.base.runtime import DEVICE, Compute, setup
from specialists.data.order import by_length
from specialists.data.pictures import grid
from specialists.data.vqa2 import store
from specialists.data.vqa2.read import Boxes, Words
from specialists.networks import butd
from specialists.training.budget import Budget

BATCH, BOXES, CHANNELS, WORDS, ANSWERS, LONGEST, HIDDEN = 256, 36, 2048, 19_902, 3_129, 14, 1024
SIZES = {"embedding": 300, "question": HIDDEN, "hidden": HIDDEN, "classifier_hidden": 2 * HIDDEN}
LENGTHS = {3: 2, 4: 12, 5: 26, 6: 26, 7: 15, 8: 9, 9: 5, 10: 3, 12: 1, 14: 1}  # words -> percent
TURNS, IMAGES, FOLDER = 5, 2048, Path("scratch/boxes_of_bench")
BUDGET = Budget(epochs=1, batch=BATCH, lr=2e-3, optimizer="adamax", clip=0.25)


class Published(nn.Module):
    """The network as it was published, with nothing but torch."""

    def __init__(self):
        super().__init__()

        def layer(inputs, outputs):
            return weight_norm(nn.Linear(inputs, outputs), dim=None)

        self.words = nn.Embedding(WORDS, SIZES["embedding"], padding_idx=0)
        self.gru = nn.GRU(SIZES["embedding"], HIDDEN, batch_first=True)
        self.attend_image, self.attend_question = layer(CHANNELS, HIDDEN), layer(HIDDEN, HIDDEN)
        self.attend, self.of_image = layer(HIDDEN, 1), layer(CHANNELS, HIDDEN)
        self.of_question = layer(HIDDEN, HIDDEN)
        self.first, self.second = layer(HIDDEN, 2 * HIDDEN), layer(2 * HIDDEN, ANSWERS)

    def forward(self, image_BKF, tokens_BL):
        question_BH = self.gru(self.words(tokens_BL))[0][:, -1]
        asked_B1H = F.relu(self.attend_question(question_BH)).unsqueeze(1)
        logit_BK1 = self.attend(F.dropout(F.relu(self.attend_image(image_BKF)) * asked_B1H, 0.2))
        image_BF = (logit_BK1.softmax(1) * image_BKF).sum(1)
        joint_BH = F.relu(self.of_question(question_BH)) * F.relu(self.of_image(image_BF))
        return self.second(F.dropout(F.relu(self.first(joint_BH)), 0.5))


def main():
    setup(Compute(mode="fast", threads=torch.get_num_threads(), compile=False))
    generator = torch.Generator().manual_seed(0)
    length_N = torch.tensor([*LENGTHS])[
        torch.multinomial(torch.tensor([*LENGTHS.values()]).float(), TURNS * BATCH, True, generator=generator)
    ]
    tokens_NL = torch.randint(2, WORDS, (len(length_N), LONGEST), generator=generator)
    image_BKF = torch.rand(BATCH, BOXES, CHANNELS, generator=generator).to(DEVICE)
    box_BK4 = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(BATCH, BOXES, 4).contiguous().to(DEVICE)
    target_B2A = torch.stack(
        [torch.randint(ANSWERS, (BATCH, 4), generator=generator), torch.ones(BATCH, 4)], 1
    )
    target_B2A = target_B2A.float().to(DEVICE)
    published, network = (
        Published().to(DEVICE),
        butd.Network(
            CHANNELS, WORDS, ANSWERS, activation="relu", dropout=0.5, attention_dropout=0.2, **SIZES
        ),
    )
    count = [sum(each.numel() for each in module.parameters()) for module in (published, network)]
    assert count[0] == count[1], count
    ours, orders = (
        Ensemble([network]),
        {"published": torch.arange(len(length_N)), "ours": by_length(length_N, BATCH, generator)},
    )
    steps = {"published": stepping(published, [published]), "ours": stepping(ours, ours.members)}
    seconds = {name: [] for name in steps}
    for turn in range(TURNS):
        for name, step in steps.items():
            rows = orders[name].split(BATCH)[turn]
            length_B = length_N[rows]
            longest = LONGEST if name == "published" else int(length_B.max())
            there = torch.arange(longest) < length_B.unsqueeze(1)
            tokens_BL = tokens_NL[rows, :longest] * there
            if name == "published":  # which pads to the left
                tokens_BL = torch.stack(
                    [t.roll(LONGEST - int(n)) for t, n in zip(tokens_BL, length_B, strict=True)]
                )
                inputs = image_BKF, tokens_BL.to(DEVICE)
            else:
                inputs = image_BKF, box_BK4, tokens_BL.to(DEVICE), length_B.to(DEVICE)
            seconds[name].append(step(inputs, target_B2A))
    rate = {name: BATCH / median(each[1:]) for name, each in seconds.items()}
    for name, each in rate.items():
        print(f"{name:10} {each:8.1f} questions/s")
    print(f"ours is {rate['ours'] / rate['published']:.2f} times as fast")
    for where, rate in fed(np.random.default_rng(0)).items():
        print(f"the store feeds {rate:.0f} questions/s from {where}")


def fed(rng):
    """Questions per second whose boxes are read at random: from the disk, and again from memory."""
    side, found = math.isqrt(BOXES), {}
    eyes = SimpleNamespace(grid=(side, side), channels=CHANNELS - grid.PLACE)
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.parent.mkdir(exist_ok=True)
    maps = ((rng.random((1, side, side, eyes.channels)).astype(np.float16), None) for _ in range(IMAGES))
    grid.write(FOLDER, range(IMAGES), eyes, maps)
    with open(FOLDER / "features.f16", "rb") as file:  # out of the memory of this machine
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    boxes, order = store.load(FOLDER), rng.permutation(IMAGES)
    data = Boxes(boxes, np.array([*boxes.images.values()]), {}, {}, Words(WORDS), BOXES)
    for where in ("the disk", "memory"):
        start = time.perf_counter()
        for first in range(0, IMAGES, BATCH):
            data.seen(order[first : first + BATCH])
        found[where] = IMAGES / (time.perf_counter() - start)
    shutil.rmtree(FOLDER)
    return found


def stepping(module, members):
    """(inputs, target) -> seconds of a training step."""
    optimizer = BUDGET.make(module)

    def step(inputs, target_B2A):
        done()
        start = time.perf_counter()
        optimizer.zero_grad()
        votes.loss(module(*inputs), target_B2A).mean().backward()
        BUDGET.shorten(members)
        optimizer.step()
        done()
        return time.perf_counter() - start

    return step


def done():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    run(main)
