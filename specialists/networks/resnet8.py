"""ResNet-8 for 32x32 images: a block of ResNet-20 at each width. 81,236 parameters at width 16, 22,236 at 8.

B batch
"""

from torch import nn

from specialists.networks.convolutions import Chain, Pool, conv, norm
from specialists.networks.portable import Linear
from specialists.networks.resnet20 import Block


class Network(nn.Module):
    """`lower` ends after the first block (the 2nd ReLU), where members may share features."""

    def __init__(self, classes, *, width: int):
        super().__init__()
        wider, widest = 2 * width, 4 * width
        self.lower = Chain(conv(3, width), Block(width, width))
        self.upper = Chain(
            *(Block(width, wider), Block(wider, widest)),
            *(norm(widest), nn.ReLU(), Pool(), Linear(widest, classes)),
        )

    def forward(self, image_B3HW):
        return self.upper(self.lower(image_B3HW))
