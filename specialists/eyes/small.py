"""Small eyes that learn to see what the wide eyes see, in a fraction of the operations.

The wide eyes made the features. The small ones look at pictures of half the size and learn by example alone:
shifted and mirrored pictures, and what the wide eyes make of each.

B, N images, H W pixels, F channels
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import avg_pool2d
from tqdm import trange

from specialists.base.runtime import precision
from specialists.data.limits import within
from specialists.eyes import scene_cnn
from specialists.eyes.scene_cnn import layer
from specialists.training.budget import Budget

WARMUP = 0.2  # of all steps, as for the wide ones
LIMITS = {name: scene_cnn.LIMITS[name] for name in ("width", "steps", "batch")}


@dataclass(frozen=True)
class Settings:
    """Width of the first layer, how long to learn and from how many pictures at a time."""

    width: int
    steps: int
    batch: int
    lr: float

    def __post_init__(self):
        within(self, LIMITS)
        if not self.lr > 0:
            raise ValueError(f"lr: {self.lr} is out of range: above 0")


class SmallEyes(nn.Module):
    """The map of a SceneCNN with the settings `wide`, from half as many pixels each way."""

    def __init__(self, settings, wide, generator):
        super().__init__()
        self.grid, self.channels = (wide.rows, wide.columns), wide.channels
        self.size = (wide.rows * scene_cnn.STRIDE // 2, wide.columns * scene_cnn.STRIDE // 2)
        w = settings.width
        self.layers = nn.Sequential(
            *layer(3, w, 4, 4),
            *layer(w, w),
            nn.MaxPool2d(2),
            *layer(w, 2 * w),
            *layer(2 * w, 2 * w, 3, 2),
            *layer(2 * w, wide.channels),
        )
        for module in self.layers:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)

    def forward(self, image_BHW3):
        """Pixels -> the map, B x rows x columns x F."""
        image_B3HW = image_BHW3.permute(0, 3, 1, 2).float()
        return self.layers(image_B3HW.mul(1 / 64).sub(2)).permute(0, 2, 3, 1)


def halved(image_BHW3):
    """The mean of every four pixels."""
    return avg_pool2d(image_BHW3.permute(0, 3, 1, 2).float(), 2).permute(0, 2, 3, 1)


def imitate(small, wide, image_NHW3, spread_F, settings, generator):
    """Teach the small eyes, on pictures of the size of the wide ones; errors count in units of `spread_F`."""
    for network in (small.train(), wide.eval()):
        network.to(memory_format=torch.channels_last)
    budget = Budget(epochs=1, batch=settings.batch, lr=settings.lr, warmup=WARMUP)
    optimizer, no_objects = budget.make(small), np.zeros((settings.batch, 0, 6), np.float32)
    for step in trange(settings.steps, desc="small eyes", disable=None):
        chosen = torch.randint(len(image_NHW3), (settings.batch,), generator=generator)
        image_BHW3, _ = scene_cnn.jitter(image_NHW3[chosen], no_objects, generator)
        with precision():
            with torch.no_grad():
                seen = wide(image_BHW3).float()
            error = ((small(halved(image_BHW3)).float() - seen) / spread_F).square().mean()
        budget.pace(optimizer, step / settings.steps)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    if not error.isfinite():
        raise ValueError(f"lr: {settings.lr} is too large: the error became {error.item()}")
    small.eval().requires_grad_(False)
