"""A small CNN that learns to read CLEVR scenes: a grid of features that say what stands in each cell.

The stand-in for features of a network that was trained on a million photographs: it needs no downloaded
weight and less than a minute of training. Per cell it is asked whether the centre of an object lies there, where
in the cell, and the object's shape, colour, material and size; the heads are linear, so the features that
they read carry all of it linearly.

B N images, H W pixels, R rows and C columns of cells (X in a line), F channels, A answers: present + attributes
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from tqdm import trange

from specialists.data.clevr import ATTRIBUTES

STRIDE = 16
CHOICES = (2, *map(len, ATTRIBUTES.values()))


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
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name}: {value} is out of range: above 0")


class SceneCNN(nn.Module):
    def __init__(self, settings, generator):
        super().__init__()
        self.grid, self.channels = (settings.rows, settings.columns), settings.channels
        self.size = (settings.rows * STRIDE, settings.columns * STRIDE)
        width = settings.width
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4),
            *_layer(3 * 4 * 4, 2 * width, 1),
            *_layer(2 * width, 2 * width, 1),
            *_layer(2 * width, 4 * width, 2),
            *_layer(4 * width, 4 * width, 1),
            *_layer(4 * width, 4 * width, 2),
            *_layer(4 * width, settings.channels, 1),
        )
        self.heads = nn.Linear(settings.channels, sum(CHOICES) + 2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(self.heads.bias)

    def forward(self, image_BHW3):
        """uint8 pixels -> (B, R, C, F)"""
        image_B3HW = image_BHW3.permute(0, 3, 1, 2).float() / 127.5 - 1
        return self.layers(image_B3HW.contiguous(memory_format=torch.channels_last)).permute(0, 2, 3, 1)

    def read(self, map_BRCF):
        """[logits per answer], where_BRC2"""
        *logits, where_BRC2 = self.heads(map_BRCF).float().split([*CHOICES, 2], -1)
        return logits, where_BRC2

    def accuracy(self, map_NRF, objects, sizes_N2):
        """F1 of presence over all cells, and for each attribute the share that is right where an object is."""
        what_NRCA, _ = targets(objects, sizes_N2, self.grid)
        cells, right = np.zeros((2, 2), np.int64), np.zeros(len(ATTRIBUTES), np.int64)
        for start in range(0, len(map_NRF), 256):
            map_BRF = torch.from_numpy(map_NRF[start : start + 256].astype(np.float32))
            logits, _ = self.read(map_BRF.unflatten(1, self.grid))
            said_XA = torch.stack([logit.argmax(-1) for logit in logits], -1).flatten(0, 2).numpy()
            what_XA = what_NRCA[start : start + 256].flatten(0, 2).numpy()
            np.add.at(cells, (what_XA[:, 0], said_XA[:, 0]), 1)
            right += (said_XA == what_XA)[what_XA[:, 0] == 1, 1:].sum(0)
        (_, extra), (missed, hit) = cells
        scores = {"presence_f1": 2 * hit / max(2 * hit + extra + missed, 1)}
        scores |= zip(ATTRIBUTES, right / max(hit + missed, 1), strict=True)
        return {name: float(score) for name, score in scores.items()}


def _layer(inputs, outputs, stride):
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()


def targets(objects, sizes_N2, grid):
    """(what_NRCA int64, where_NRC2 float32) of objects as in `clevr.Split`, in images of (height, width).

    what is 1 and the attributes where an object's centre is, else 0; where is the centre's place in its cell,
    -0.5 to 0.5. Of several centres in a cell the nearest to the camera counts; outside is no cell.
    """
    rows, columns = grid
    what_NRCA = np.zeros((len(sizes_N2), rows, columns, len(CHOICES)), np.int64)
    where_NRC2 = np.zeros((len(sizes_N2), rows, columns, 2), np.float32)
    objects = objects[np.argsort(-objects[:, 3], kind="stable")]  # the nearest is written last
    image = objects[:, 0].astype(np.int64)
    y = objects[:, 2] / sizes_N2[image, 0] * rows
    x = objects[:, 1] / sizes_N2[image, 1] * columns
    inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
    image, y, x, kinds = image[inside], y[inside], x[inside], objects[inside, 4:]
    cell = (image, y.astype(np.int64), x.astype(np.int64))
    what_NRCA[cell] = np.column_stack([np.ones(len(kinds)), kinds])
    where_NRC2[cell] = np.column_stack([y % 1 - 0.5, x % 1 - 0.5])
    return torch.from_numpy(what_NRCA), torch.from_numpy(where_NRC2)


def loss(logits, where_BRC2, what_BRCA, there_BRC2):
    """Cross-entropy of presence everywhere, and where an object is of its attributes, plus its place's error."""
    present = what_BRCA[..., 0] == 1
    total = cross_entropy(logits[0].flatten(0, 2), what_BRCA[..., 0].flatten())
    if present.any():
        for i, logit in enumerate(logits[1:], 1):
            total = total + 0.3 * cross_entropy(logit[present], what_BRCA[..., i][present])
        total = total + mse_loss(where_BRC2[present], there_BRC2[present])
    return total


def train(network, image_NHW3, objects, sizes_N2, settings, generator):
    """Teach the network these images, half of the batches mirrored left to right, and freeze it."""
    what_NRCA, there_NRC2 = targets(objects, sizes_N2, network.grid)
    network.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, settings.steps, pct_start=0.2)
    order = torch.empty(0, dtype=torch.int64)
    for _ in trange(settings.steps, desc="scene_cnn", disable=None):
        while len(order) < settings.batch:
            order = torch.cat([order, torch.randperm(len(image_NHW3), generator=generator)])
        rows, order = order[: settings.batch], order[settings.batch :]
        batch = image_NHW3[rows], what_NRCA[rows], there_NRC2[rows]
        if torch.rand((), generator=generator) < 0.5:
            batch = [x.flip(2) for x in batch]
            batch[2] = batch[2] * torch.tensor([1.0, -1.0])
        with torch.autocast("cpu", torch.bfloat16):
            total = loss(*network.read(network(batch[0])), *batch[1:])
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        schedule.step()
    if not total.isfinite():
        raise ValueError(f"lr: {settings.lr} is too large: the loss became {total.item()}")
    network.eval().requires_grad_(False)
