"""A small CNN that learns to read CLEVR scenes: a grid of features that say what stands in each cell.

It stands in for features of a network that was trained on a million photographs: it needs no downloaded
weights, and less than a minute of training. It says per cell whether the centre of an object lies there,
where in the cell, and the object's shape, colour, material and size. The heads are linear, so the features
that they read carry all of it linearly. Half-way, at twice the resolution, heads answer the same. It learns
this fast because of them, of shifted pictures, and of many steps of few images.

B N images, H W pixels, R rows and C columns of cells (X in a line), F channels, O objects of an image,
A answers: present, attributes; P properties: y, x as shares of the image, attributes
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import trange

from specialists.base.runtime import precision
from specialists.data.clevr.official import ATTRIBUTES
from specialists.data.limits import within

STRIDE = 32
CHOICES = (2, *map(len, ATTRIBUTES.values()))
LIMITS = {
    "rows": (1, 64),
    "columns": (1, 64),
    "channels": (1, 4096),
    "width": (1, 1024),
    "images": (1, 100_000),
    "steps": (1, 1_000_000),
    "batch": (1, 4096),
}


@dataclass(frozen=True)
class Settings:
    """Cells and channels of the map, width of the first layer, how long to learn and from how many images."""

    rows: int
    columns: int
    channels: int
    width: int
    images: int
    steps: int
    batch: int
    lr: float

    def __post_init__(self):
        within(self, LIMITS)
        if not self.lr > 0:
            raise ValueError(f"lr: {self.lr} is out of range: above 0")


class SceneCNN(nn.Module):
    def __init__(self, settings, generator):
        super().__init__()
        self.grid, self.channels = (settings.rows, settings.columns), settings.channels
        self.size = (settings.rows * STRIDE, settings.columns * STRIDE)
        w = settings.width
        self.fine = nn.Sequential(  # 2R x 2C; max-pooling keeps the highlights that tell metal from rubber
            *layer(3, w, 8, 4),
            *layer(w, w),
            nn.MaxPool2d(2),
            *layer(w, 2 * w),
            nn.MaxPool2d(2),
            *layer(2 * w, 2 * w),
        )
        self.coarse = nn.Sequential(*layer(2 * w, 2 * w, 3, 2), *layer(2 * w, settings.channels))
        self.fine_heads = nn.Linear(2 * w, sum(CHOICES) + 2)
        self.heads = nn.Linear(settings.channels, sum(CHOICES) + 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def maps(self, image_BHW3):
        """uint8 pixels -> the map half-way (B, 2R, 2C, .) and the map (B, R, C, F)"""
        fine = self.fine(image_BHW3.permute(0, 3, 1, 2).float().mul_(1 / 64).sub_(2))
        return fine.permute(0, 2, 3, 1), self.coarse(fine).permute(0, 2, 3, 1)

    def forward(self, image_BHW3):
        return self.maps(image_BHW3)[1]

    def accuracy(self, map_NRF, objects, sizes_N2, first=0):
        """F1 of presence over all cells; for each attribute the share that is right where an object is.

        The objects are those of the pictures from `first` on.
        """
        what_NRCA, _ = targets(pack(objects, sizes_N2[first:]), self.grid)
        cells, right = np.zeros((2, 2), np.int64), np.zeros(len(ATTRIBUTES), np.int64)
        for start in range(0, len(what_NRCA), 256):
            map_BRF = map_NRF[first + start : first + start + 256]
            logits, _ = split(self.heads(map_BRF.float()))
            said_XA = torch.stack([logit.argmax(-1) for logit in logits], -1).flatten(0, 1).numpy()
            what_XA = what_NRCA[start : start + 256].flatten(0, 2).numpy()
            np.add.at(cells, (what_XA[:, 0], said_XA[:, 0]), 1)
            right += (said_XA == what_XA)[what_XA[:, 0] == 1, 1:].sum(0)
        (_, extra), (missed, hit) = cells
        scores = {"presence_f1": 2 * hit / max(2 * hit + extra + missed, 1)}
        scores |= zip(ATTRIBUTES, right / max(hit + missed, 1), strict=True)
        return {name: float(score) for name, score in scores.items()}


def layer(inputs, outputs, kernel=3, stride=1):
    """A convolution, its normalisation and ReLU."""
    padding = (kernel - stride + 1) // 2  # the output has 1 / stride of the input's cells
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


def split(answers):
    """What a head says -> [logits per answer], place"""
    *logits, where = answers.float().split([*CHOICES, 2], -1)
    return logits, where


def pack(objects, sizes_N2):
    """Objects as in `official.Split`, of images of (height, width), as (N, O, P): far first, then NaN."""
    objects = objects[np.lexsort((-objects[:, 3], objects[:, 0]))]
    image = objects[:, 0].astype(np.int64)
    rank = np.arange(len(image)) - np.searchsorted(image, image)
    packed_NOP = np.full((len(sizes_N2), rank.max(initial=0) + 1, 2 + len(ATTRIBUTES)), np.nan, np.float32)
    packed_NOP[image, rank] = np.column_stack([objects[:, [2, 1]] / sizes_N2[image], objects[:, 4:]])
    return packed_NOP


def targets(packed_NOP, grid):
    """(what_NRCA int64, where_NRC2 float32): `what` is 1 and the attributes where an object is, else 0.

    `where` is the centre's place in its cell, -0.5 to 0.5. Of several centres in a cell the nearest to the
    camera counts, because it is written last; a centre outside the image is in no cell.
    """
    rows, columns = grid
    what_NRCA = np.zeros((len(packed_NOP), rows, columns, len(CHOICES)), np.int64)
    where_NRC2 = np.zeros((len(packed_NOP), rows, columns, 2), np.float32)
    y, x = packed_NOP[..., 0] * rows, packed_NOP[..., 1] * columns
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    image, y, x, kinds = inside.nonzero()[0], y[inside], x[inside], packed_NOP[inside][:, 2:]
    cell = (image, y.astype(np.int64), x.astype(np.int64))
    what_NRCA[cell] = np.column_stack([np.ones(len(kinds)), kinds])
    where_NRC2[cell] = np.column_stack([y % 1 - 0.5, x % 1 - 0.5])
    return torch.from_numpy(what_NRCA), torch.from_numpy(where_NRC2)


def loss(logits, where_BRC2, what_BRCA, there_BRC2):
    """Twice the cross-entropy of presence, the mean of those of the attributes, the error of the place."""
    total = 2 * cross_entropy(logits[0].flatten(0, 2), what_BRCA[..., 0].flatten())
    present = what_BRCA[..., 0] == 1
    if present.any():
        for i, logit in enumerate(logits[1:], 1):
            total = total + cross_entropy(logit[present], what_BRCA[..., i][present]) / len(ATTRIBUTES)
        total = total + mse_loss(where_BRC2[present], there_BRC2[present])
    return total


def jitter(image_BHW3, packed_BOP, generator):
    """Shift by up to half a cell each way, the border repeated, and mirror left to right half of the time."""
    _, height, width, _ = image_BHW3.shape
    dy, dx = torch.randint(-STRIDE // 2, STRIDE // 2 + 1, (2,), generator=generator).tolist()
    rows = (torch.arange(height) + dy).clamp(0, height - 1)
    columns = (torch.arange(width) + dx).clamp(0, width - 1)
    packed_BOP = packed_BOP - np.array([dy / height, dx / width, 0, 0, 0, 0], np.float32)
    if torch.rand((), generator=generator) < 0.5:
        columns = columns.flip(0)
        packed_BOP[..., 1] = 1 - packed_BOP[..., 1]
    return image_BHW3.index_select(1, rows).index_select(2, columns), packed_BOP


def train(network, image_NHW3, objects, sizes_N2, settings, generator):
    """Teach the network these images, and freeze it."""
    packed_NOP, (rows, columns) = pack(objects, sizes_N2), network.grid
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, settings.steps, pct_start=0.2)
    order = torch.empty(0, dtype=torch.int64)
    for _ in trange(settings.steps, desc="scene_cnn", disable=None):
        while len(order) < settings.batch:
            order = torch.cat([order, torch.randperm(len(image_NHW3), generator=generator)])
        chosen, order = order[: settings.batch], order[settings.batch :]
        image_BHW3, packed_BOP = jitter(image_NHW3[chosen], packed_NOP[chosen.numpy()], generator)
        with precision():
            fine, coarse = network.maps(image_BHW3)
            total = loss(*split(network.heads(coarse)), *targets(packed_BOP, (rows, columns)))
            total = total + loss(
                *split(network.fine_heads(fine)), *targets(packed_BOP, (2 * rows, 2 * columns))
            )
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    if not total.isfinite():
        raise ValueError(f"lr: {settings.lr} is too large: the loss became {total.item()}")
    network.eval().requires_grad_(False)
