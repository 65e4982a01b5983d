"""ResNet-20 for 32x32 images, the variant of Lee et al. (2017): 275,668 parameters at width 16, 100 classes.

B batch
"""

import torch
import torch.nn.functional as F
from torch import nn

from specialists.networks.convolutions import Chain, Pool, conv, norm


class Network(nn.Module):
    """`lower` ends after the first three blocks (the 6th ReLU), where members may share features."""

    def __init__(self, classes, *, width: int):
        super().__init__()
        wider, widest = 2 * width, 4 * width
        self.lower = Chain(conv(3, width), *(Block(width, width) for _ in range(3)))
        self.upper = Chain(
            *(Block(width, wider), Block(wider, wider), Block(wider, wider)),
            *(Block(wider, widest), Block(widest, widest), Block(widest, widest)),
            norm(widest),
            nn.ReLU(),
            Pool(),
            nn.Linear(widest, classes),
        )

    def forward(self, image_B3HW):
        return self.upper(self.lower(image_B3HW))


class Block(nn.Module):
    """relu(x + bn(conv(relu(bn(conv(x)))))); to widen, x is pooled and padded with zero channels."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.norm1 = conv(inputs, outputs, 1 if inputs == outputs else 2), norm(outputs)
        self.conv2, self.norm2 = conv(outputs, outputs), norm(outputs)
        self.pad = (outputs - inputs) // 2

    def forward(self, x):
        y = self.norm2(self.conv2(torch.relu(self.norm1(self.conv1(x)))))
        if self.pad:
            x = F.pad(F.avg_pool2d(x, 2), (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu(x + y)
