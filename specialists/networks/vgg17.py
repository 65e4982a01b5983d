"""VGG-17 for 32x32 images with batch normalisation: 20,081,188 parameters at width 64 and 100 classes.

B batch
"""

from torch import nn

from specialists.networks.convolutions import Chain, Pool, conv, norm


class Network(nn.Module):
    """`lower` ends before the first pooling (the 2nd ReLU), where members may share features."""

    def __init__(self, classes, *, width: int):
        super().__init__()
        self.lower = Chain(*stack(3, width, 2))
        inputs, layers = width, []
        for times, layer in ((2, 2), (4, 4), (8, 4), (8, 4)):
            layers += [nn.MaxPool2d(2), *stack(inputs, times * width, layer)]
            inputs = times * width
        self.upper = Chain(*layers, Pool(), nn.Linear(inputs, classes))

    def forward(self, image_B3HW):
        return self.upper(self.lower(image_B3HW))


def stack(inputs, outputs, layers):
    for layer in range(layers):
        yield from (conv(inputs if layer == 0 else outputs, outputs), norm(outputs), nn.ReLU())
