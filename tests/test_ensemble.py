"""Feature sharing against the formula written out, and the file that an ensemble travels in."""

import pytest
import torch
from torch import nn

from specialists.answers.ensemble import Ensemble, load, mask, save, share
from specialists.networks import resnet8, resnet20, vgg17
from specialists.networks.convolutions import conv, norm


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        self.lower, self.upper = nn.Linear(4, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.upper(self.lower(x))


def members(count=3):
    torch.manual_seed(0)
    return [Both() for _ in range(count)]


def features():
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(5, 4, 6, 6, generator=generator) for _ in range(3)]


def test_sharing_is_the_formula_with_one_mask_for_every_ordered_pair():
    own, keep = features(), 0.7
    shared = share(own, keep, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    masks = []
    for m in range(3):
        wanted = own[m].clone()
        for j in range(3):
            if j != m:
                masks.append(mask(own[j], keep, generator))
                wanted += masks[-1] * own[j]
        assert torch.allclose(shared[m], wanted)
    assert all((a != b).any() for i, a in enumerate(masks) for b in masks[:i])


def test_without_a_generator_it_is_the_expectation():
    own = features()
    generator = torch.Generator().manual_seed(3)
    draws = [torch.stack(share(own, 0.3, generator)) for _ in range(4000)]
    expected = torch.stack(share(own, 0.3, None))
    assert torch.allclose(torch.stack(draws).mean(0), expected, atol=0.08)
    assert torch.allclose(expected[1], own[1] + 0.3 * (own[0] + own[2]), atol=1e-6)


def test_nothing_kept_is_no_sharing_and_all_kept_is_the_sum():
    own, generator = features(), torch.Generator().manual_seed(0)
    assert all(torch.equal(a, b) for a, b in zip(share(own, 0.0, generator), own, strict=True))
    assert all(torch.allclose(a, sum(own), atol=1e-6) for a in share(own, 1.0, generator))


@pytest.mark.parametrize("keep", [0.0, 0.25, 0.7, 1.0])
@pytest.mark.parametrize("shape", [(64, 16, 9, 9), (7, 3, 5, 1)])
def test_a_mask_keeps_its_share_and_lies_as_what_it_masks(keep, shape):
    like = torch.zeros(shape, dtype=torch.bfloat16).to(memory_format=torch.channels_last)
    drawn = mask(like, keep, torch.Generator().manual_seed(0))
    assert drawn.stride() == like.stride() and drawn.dtype == like.dtype
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}
    assert abs(drawn.float().mean().item() - keep) < 5 * (keep * (1 - keep) / like.numel()) ** 0.5 + 1e-4


def test_gradients_flow_to_the_members_that_were_listened_to():
    own = [x.requires_grad_() for x in features()]
    share(own, 0.7, torch.Generator().manual_seed(3))[0].sum().backward()
    assert torch.equal(own[0].grad, torch.ones_like(own[0]))
    kept = mask(own[1], 0.7, torch.Generator().manual_seed(3))
    assert torch.equal(own[1].grad, kept)


def test_a_sharing_ensemble_travels_with_what_it_shares(tmp_path):
    ensemble = Ensemble(members(), keep=0.7).eval()
    save(ensemble, tmp_path / "a.safetensors")
    again = load(tmp_path / "a.safetensors", Both).eval()
    x = torch.randn(8, 4)
    assert torch.equal(ensemble(x), again(x))
    alone = Ensemble(members()).eval()
    assert (alone(x) != ensemble(x)).any()
    save(alone, tmp_path / "b.safetensors")
    assert load(tmp_path / "b.safetensors", Both).keep is None


def test_what_cannot_share_says_so():
    with pytest.raises(ValueError, match="no parts `lower` and `upper`"):
        Ensemble([nn.Linear(2, 2)], keep=0.7)
    with pytest.raises(ValueError, match="sharing: 1.5 is out of range: 0 to 1"):
        Ensemble(members(), keep=1.5)


def test_convolutions_start_and_average_as_the_papers_do():
    torch.manual_seed(0)
    assert conv(64, 256).weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    averages = norm(3)
    averages(torch.full((2, 3, 4, 4), 10.0))
    assert torch.allclose(averages.running_mean, torch.ones(3))


@pytest.mark.parametrize(("network", "parameters"), [(resnet20, 275_668), (vgg17, 20_081_188)])
def test_the_papers_networks_have_their_size(network, parameters):
    built = network.Network(100, width={resnet20: 16, vgg17: 64}[network])
    assert sum(p.numel() for p in built.parameters()) == parameters


@pytest.mark.parametrize(("network", "relus"), [(resnet8, 2), (resnet20, 6), (vgg17, 2)])
def test_features_are_shared_where_the_paper_says(network, relus, monkeypatch):
    """The 6th ReLU of ResNet-20, the 2nd of ResNet-8 and VGG-17: just before the image first shrinks."""
    built, count, relu = network.Network(10, width=4).eval(), [], torch.relu
    monkeypatch.setattr(torch, "relu", lambda x: (count.append(1), relu(x))[1])
    image = torch.randn(2, 3, 32, 32)
    features = built.lower(image)
    assert features.shape == (2, 4, 32, 32) and len(count) == relus and (features >= 0).all()
    assert torch.equal(built.upper(features), built(image)) and built(image).shape == (2, 10)


@pytest.mark.parametrize(("network", "each"), [(resnet8, 1), (resnet20, 3)])
def test_a_resnet_is_its_description_written_out(network, each):
    """Convolution; blocks of a width, as many of twice and of four times it; norm and ReLU, mean, linear."""
    torch.manual_seed(0)
    built, x = network.Network(10, width=4), torch.randn(3, 3, 32, 32)
    wanted = written_out(built.state_dict(), x, each)
    assert torch.allclose(built.eval()(x), wanted, atol=1e-5)


def layers(weights):
    """norm(name, x) and conv(name, x) of a network in evaluation."""

    def norm(name, x):
        scale = weights[f"{name}.weight"] / (weights[f"{name}.running_var"] + 1e-3).sqrt()
        shift = weights[f"{name}.bias"] - weights[f"{name}.running_mean"] * scale
        return x * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)

    def conv(name, x, stride=1):
        return nn.functional.conv2d(x, weights[f"{name}.weight"], stride=stride, padding=1)

    return norm, conv


def written_out(weights, x, each):
    """Shortcuts by pooling."""
    norm, conv = layers(weights)
    x = conv("lower.0", x)
    for name in [*(f"lower.{i + 1}" for i in range(each)), *(f"upper.{i}" for i in range(2 * each))]:
        stride = 2 if name in ("upper.0", f"upper.{each}") else 1
        y = norm(f"{name}.norm1", conv(f"{name}.conv1", x, stride)).clamp_min(0)
        y = norm(f"{name}.norm2", conv(f"{name}.conv2", y))
        if stride == 2:
            x = (x[:, :, ::2, ::2] + x[:, :, 1::2, ::2] + x[:, :, ::2, 1::2] + x[:, :, 1::2, 1::2]) / 4
            missing = torch.zeros(len(x), (y.shape[1] - x.shape[1]) // 2, *x.shape[2:])
            x = torch.cat([missing, x, missing], 1)
        x = (x + y).clamp_min(0)
    x = norm(f"upper.{2 * each}", x).clamp_min(0).mean((2, 3))
    return x @ weights[f"upper.{2 * each + 3}.weight"].T + weights[f"upper.{2 * each + 3}.bias"]


def test_vgg17_is_its_description_written_out():
    """64, 64; pool, 128 twice; pool, 256 four times; pool, 512 four times; the same again; mean, linear."""
    torch.manual_seed(0)
    built = vgg17.Network(10, width=4)
    x, weights = torch.randn(3, 3, 32, 32), built.state_dict()
    wanted = built.eval()(x)
    norm, conv = layers(weights)
    names = [f"lower.{3 * i}" for i in range(2)]
    for first, count in ((1, 2), (8, 4), (21, 4), (34, 4)):
        names += ["pool", *(f"upper.{first + 3 * i}" for i in range(count))]
    for name in names:
        if name == "pool":
            x = x.unflatten(2, (-1, 2)).unflatten(4, (-1, 2)).amax((3, 5))
        else:
            part, place = name.split(".")
            x = norm(f"{part}.{int(place) + 1}", conv(name, x)).clamp_min(0)
    found = x.mean((2, 3)) @ weights["upper.47.weight"].T + weights["upper.47.bias"]
    assert torch.allclose(found, wanted, atol=1e-5)
