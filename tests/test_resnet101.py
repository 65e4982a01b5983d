"""The trunk against arithmetic done by hand and a convolution written out, and foreign files of weights."""

import pytest
import torch
from safetensors.torch import save_file

from specialists.eyes import resnet101
from specialists.eyes.resnet101 import Bottleneck, ResNet101


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return ResNet101().state_dict()


def save(weights, path):
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return path


def test_parameters_by_hand(weights):
    def block(inputs, width, project):
        convolutions = inputs * width + 9 * width * width + width * 4 * width
        norms = 2 * (width + width + 4 * width)
        return convolutions + norms + project * (inputs * 4 * width + 2 * 4 * width)

    expected = 3 * 64 * 7 * 7 + 2 * 64
    for inputs, width, blocks in ((64, 64, 3), (256, 128, 4), (512, 256, 23)):
        expected += block(inputs, width, 1) + (blocks - 1) * block(4 * width, width, 0)
    assert sum(p.numel() for p in ResNet101().parameters()) == expected
    assert {"conv1.weight", "bn1.running_mean", "layer1.0.downsample.0.weight", "layer3.22.bn3.bias"} <= set(
        weights
    )


def test_names_and_places_of_the_strides(weights):
    assert len([name for name in weights if name.endswith("conv2.weight")]) == 3 + 4 + 23
    network = ResNet101()
    strided = [name for name, m in network.named_modules() if getattr(m, "stride", 1) in ((2, 2), 2)]
    assert strided == (
        [
            "conv1",
            "pool",
            "layer2.0.conv2",
            "layer2.0.downsample.0",
            "layer3.0.conv2",
            "layer3.0.downsample.0",
        ]
    )


def test_shape_and_normalisation(weights, tmp_path):
    network = resnet101.load(save(weights, tmp_path / "w.safetensors"))
    image = torch.randint(0, 256, (1, *network.size, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert network(image).shape == (1, 14, 14, 1024)
        seen = []
        network.conv1.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
        network(image)
    pixel = image[0, 5, 7].double() / 255
    expected = [(pixel[0] - 0.485) / 0.229, (pixel[1] - 0.456) / 0.224, (pixel[2] - 0.406) / 0.225]
    assert seen[0][0, :, 5, 7].tolist() == pytest.approx([x.item() for x in expected], abs=1e-5)


def slow_convolution(x, weight, stride, padding):
    """One output number at a time."""
    channels, height, width = x.shape
    padded = torch.zeros(channels, height + 2 * padding, width + 2 * padding, dtype=x.dtype)
    padded[:, padding : padding + height, padding : padding + width] = x
    k = weight.shape[-1]
    rows, columns = ((n + 2 * padding - k) // stride + 1 for n in (height, width))
    out = torch.zeros(len(weight), rows, columns, dtype=x.dtype)
    for o in range(len(weight)):
        for r in range(rows):
            for c in range(columns):
                window = padded[:, r * stride : r * stride + k, c * stride : c * stride + k]
                out[o, r, c] = (window * weight[o]).sum()
    return out


@pytest.mark.parametrize("inputs, stride", [(6, 2), (8, 1)])
def test_bottleneck_against_plain_sums(inputs, stride):
    torch.manual_seed(1)
    block = Bottleneck(inputs, 2, stride).double().eval()
    for module in block.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean):
                torch.nn.init.normal_(tensor)
            module.running_var.uniform_(0.5, 2)

    def norm(x, bn):
        scale = bn.weight / torch.sqrt(bn.running_var + 1e-5)
        return (x - bn.running_mean[:, None, None]) * scale[:, None, None] + bn.bias[:, None, None]

    x = torch.randn(inputs, 5, 5, dtype=torch.float64)
    with torch.no_grad():
        y = norm(slow_convolution(x, block.conv1.weight, 1, 0), block.bn1).clamp(min=0)
        y = norm(slow_convolution(y, block.conv2.weight, stride, 1), block.bn2).clamp(min=0)
        y = norm(slow_convolution(y, block.conv3.weight, 1, 0), block.bn3)
        short = x
        if inputs != 8:
            short = norm(slow_convolution(x, block.downsample[0].weight, stride, 0), block.downsample[1])
        assert torch.allclose(block(x[None])[0], (y + short).clamp(min=0), atol=1e-10)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_a_whole_checkpoint_fits(weights, tmp_path, name):
    whole = weights | {
        "layer4.0.conv1.weight": torch.ones(2),
        "fc.weight": torch.ones(2),
        "fc.bias": torch.ones(2),
    }
    whole = {key: value for key, value in whole.items() if not key.endswith("num_batches_tracked")}
    network = resnet101.load(save(whole, tmp_path / name))
    assert all(torch.equal(value, weights[key]) for key, value in network.state_dict().items())
    assert not network.training and not any(p.requires_grad for p in network.parameters())


def refused(path, *parts):
    with pytest.raises(ValueError) as caught:
        resnet101.load(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ") and "\n" not in line and len(line) < 400
    for part in parts:
        assert part in line


def test_foreign_weights(weights, tmp_path):
    refused(tmp_path / "none.pth", "not found")
    without = {key: value for key, value in weights.items() if not key.startswith("layer3.22.conv")}
    refused(save(without, tmp_path / "a.pth"), "missing layer3.22.conv1.weight, layer3.22.conv2.weight")
    refused(save(weights | {"stem.weight": torch.ones(1)}, tmp_path / "b.pth"), "unknown stem.weight")
    wrong = weights | {"conv1.weight": torch.ones(64, 3, 3, 3)}
    refused(save(wrong, tmp_path / "c.pth"), "conv1.weight: shape [64, 3, 3, 3], expected [64, 3, 7, 7]")
    refused(save(weights | {"bn1.bias": 3}, tmp_path / "d.pth"), "bn1.bias: shape ['int'], expected [64]")
    refused(
        save(weights | {"bn1.bias": torch.full((64,), float("nan"))}, tmp_path / "e.pth"),
        "bn1.bias: not finite",
    )
    refused(save([1, 2], tmp_path / "f.pth"), "found a list, expected tensors by name")


class Evil:
    def __reduce__(self):
        return (open, ("run.txt", "w"))


def test_a_file_that_would_run_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused(save({"conv1.weight": Evil()}, tmp_path / "evil.pth"), "not a file of tensors")
    assert not (tmp_path / "run.txt").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not tensors", b"\x80\x04K\x01.", b"PK\x03\x04cut", b"(", b"\x80\x02}q\x00."]
)
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_not_a_file_of_tensors(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name)
