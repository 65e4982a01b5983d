"""Small eyes: half the pixels in, the same map out, and in it what the wide ones see."""

import pytest
import torch

from specialists.data.clevr import official
from specialists.eyes import extract, scene_cnn
from specialists.eyes.small import Settings, SmallEyes, halved, imitate
from tests.tree import plant

WIDE = scene_cnn.Settings(rows=2, columns=3, channels=32, width=16, images=100, steps=300, batch=8, lr=0.01)
SMALL = Settings(width=8, steps=400, batch=8, lr=0.01)


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """A wide pair of eyes that has learned to read drawings, and the drawings."""
    root = tmp_path_factory.mktemp("drawings")
    plant(root / "clevr", train=60, val=20, width=96, height=64)
    split = official.read(root / "clevr", "train")
    images, sizes = extract.load(split.images, (64, 96))
    wide, generator = scene_cnn.SceneCNN(WIDE, seeded()), seeded()
    scene_cnn.train(wide, images, split.objects, sizes, WIDE, generator)
    return wide, images, official.read(root / "clevr", "val")


def small(taught, settings=SMALL):
    wide, images, _ = taught
    found, spread_F = SmallEyes(settings, WIDE, seeded()), wide(images).flatten(0, 2).std(0).clamp_min(1e-3)
    imitate(found, wide, images, spread_F, settings, seeded())
    return found


def test_of_four_pixels_the_mean_by_hand():
    image = torch.arange(2 * 4 * 3).reshape(1, 2, 4, 3).to(torch.uint8)
    assert halved(image).tolist() == [[[[7.5, 8.5, 9.5], [13.5, 14.5, 15.5]]]]


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 3), (7, 9)])
def test_the_map_is_that_of_the_wide_from_half_as_many_pixels(rows, columns):
    reader = scene_cnn.Settings(rows, columns, channels=5, width=4, images=1, steps=1, batch=1, lr=0.1)
    wide, found = scene_cnn.SceneCNN(reader, seeded()), SmallEyes(SMALL, reader, seeded())
    assert tuple(2 * side for side in found.size) == wide.size
    maps = [each(torch.zeros(2, *each.size, 3, dtype=torch.uint8)) for each in (wide.eval(), found.eval())]
    assert maps[0].shape == maps[1].shape == (2, rows, columns, 5)


def test_from_what_they_see_the_wide_ones_read_pictures_that_neither_knows(taught):
    wide, _, val = taught
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    found, scores = small(taught), {}
    for name, each in (("wide", wide), ("small", found), ("blank", SmallEyes(SMALL, WIDE, seeded()).eval())):
        images, sizes = extract.load(val.images, each.size)
        with torch.no_grad():
            map_NRF = each(images).flatten(1, 2)
        scores[name] = wide.accuracy(map_NRF, val.objects, sizes)
    assert scores["small"]["presence_f1"] > 0.9 > 0.6 > scores["blank"]["presence_f1"]
    assert scores["small"]["material"] > scores["wide"]["material"] - 0.2
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())


def test_the_same_bytes_whatever_the_global_random_state(taught):
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(small(taught, Settings(width=4, steps=5, batch=4, lr=0.01)).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_learning_rate_that_diverges_is_an_error(taught):
    with pytest.raises(ValueError, match="^lr: 1e.30 is too large"):
        small(taught, Settings(width=4, steps=5, batch=4, lr=1e30))


def test_settings_out_of_range():
    for settings, message in (
        ((0, 1, 1, 0.1), "width: 0 is out of range: 1 to 1024"),
        ((1, 1, 1, -1.0), "lr: -1.0"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            Settings(*settings)
