"""ResNet-101 up to conv4 (He et al. 2016, stride in the 3x3), the paper's features: 224x224 -> 1024x14x14.

Parameters are named as in torchvision, whose published ImageNet weights fit; what follows conv4 is left out.

B images, R rows and C columns of cells, F channels
"""

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import relu

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BLOCKS = (3, 4, 23)
LATER = ("layer4.", "fc.")


class Bottleneck(nn.Module):
    """relu(x + 1x1(3x3(1x1(x)))) with four times `width` channels; the first of a layer projects x."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample = None
        if inputs != 4 * width:
            project = nn.Conv2d(inputs, 4 * width, 1, stride, bias=False)
            self.downsample = nn.Sequential(project, nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = relu(self.bn1(self.conv1(x)))
        y = relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet101(nn.Module):
    grid, channels, size = (14, 14), 1024, (224, 224)

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = _layer(64, 64, BLOCKS[0], 1)
        self.layer2 = _layer(256, 128, BLOCKS[1], 2)
        self.layer3 = _layer(512, 256, BLOCKS[2], 2)

    def forward(self, image_BHW3):
        """uint8 pixels -> (B, R, C, F)"""
        pixel = (image_BHW3.float() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        x = self.pool(relu(self.bn1(self.conv1(pixel.permute(0, 3, 1, 2)))))
        return self.layer3(self.layer2(self.layer1(x))).permute(0, 2, 3, 1)


def _layer(inputs, width, blocks, stride):
    first = Bottleneck(inputs, width, stride)
    return nn.Sequential(first, *(Bottleneck(4 * width, width, 1) for _ in range(blocks - 1)))


def load(path):
    """The frozen network with the weights of a file: safetensors, or a torch file of nothing but tensors."""
    network = ResNet101()
    wanted = network.state_dict()
    found = {name: value for name, value in _tensors(path).items() if not name.startswith(LATER)}
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):  # unused, and older files do not have it
            found[name] = value
    for what, names in (("missing", wanted.keys() - found.keys()), ("unknown", found.keys() - wanted.keys())):
        if names:
            raise ValueError(f"{path}: not the weights of a ResNet-101: {what} {_few(names)}")
    for name, value in wanted.items():
        if not isinstance(found[name], torch.Tensor) or found[name].shape != value.shape:
            shape = list(getattr(found[name], "shape", [type(found[name]).__name__]))
            raise ValueError(f"{path}: {name}: shape {shape}, expected {list(value.shape)}")
        if not found[name].isfinite().all():
            raise ValueError(f"{path}: {name}: not finite, the file is damaged")
    network.load_state_dict(found)
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _tensors(path):
    try:
        if str(path).endswith(".safetensors"):
            found = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise ValueError(f"{path}: not found; features.weights names a file of weights") from None
    except Exception as error:  # a parser may raise anything on a foreign file
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: not a file of tensors ({type(error).__name__}: {reason})") from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise ValueError(f"{path}: found a {type(found).__name__}, expected tensors by name")
    return found


def _few(names):
    names = sorted(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
