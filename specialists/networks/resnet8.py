"""ResNet-8: ResNet-20 with one block a stage, for tables that a CPU computes in an hour."""

from torch import nn

from specialists.networks.convolutions import Chain, Pool, conv, norm
from specialists.networks.resnet20 import Block


class Network(nn.Module):
    """`lower` ends after the first block, where members may share features."""

    def __init__(self, classes, *, width: int):
        super().__init__()
        self.lower = Chain(conv(3, width), Block(width, width))
        self.upper = Chain(
            *(Block(width, 2 * width), Block(2 * width, 4 * width)),
            *(norm(4 * width), nn.ReLU(), Pool()),
            nn.Linear(4 * width, classes),
        )

    def forward(self, image_B3HW):
        return self.upper(self.lower(image_B3HW))
