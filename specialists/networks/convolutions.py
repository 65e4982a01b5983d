"""What resnet20.py and vgg17.py share, with the initial weights and running averages of Lee et al. (2017)."""

from torch import nn


class Chain(nn.Sequential):
    """A Sequential with our own forward: torch.compile would skip torch's and compile pieces."""

    def forward(self, x):
        for layer in self:
            x = layer(x)
        return x


class Pool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def conv(inputs, outputs, stride=1):
    layer = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
    nn.init.normal_(layer.weight, std=(2 / (9 * outputs)) ** 0.5)
    return layer


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.1)
