"""Targets by hand, the loss against sums written out, and that the network learns what is drawn."""

import math

import numpy as np
import pytest
import torch

from specialists.data.clevr import official
from specialists.eyes import extract, scene_cnn
from specialists.eyes.scene_cnn import SceneCNN, Settings, jitter, pack, targets
from tests.tree import plant

SETTINGS = Settings(rows=2, columns=3, channels=16, width=4, images=100, steps=6, batch=4, lr=0.01)
SIZES = np.array([[60, 90], [120, 180]])  # the same picture at two sizes


def item(image, x, y, depth, *kinds):
    return (image, x, y, depth, *kinds)


def test_targets_by_hand():
    objects = np.array(
        [
            item(0, 45, 15, 9.0, 0, 1, 0, 1),
            item(1, 120, 60, 9.0, 2, 7, 1, 0),  # on the border: the cell that begins there
            item(1, 3, 119.9, 9.0, 1, 3, 0, 0),
        ],
        np.float32,
    )
    what, where = targets(pack(objects, SIZES), (2, 3))
    assert what.shape == (2, 2, 3, 5) and where.shape == (2, 2, 3, 2)
    assert what[0, 0, 1].tolist() == [1, 0, 1, 0, 1] and where[0, 0, 1].tolist() == [0, 0]
    assert what[1, 1, 2].tolist() == [1, 2, 7, 1, 0] and where[1, 1, 2].tolist() == [-0.5, -0.5]
    assert what[1, 1, 0].tolist() == [1, 1, 3, 0, 0]
    assert where[1, 1, 0].tolist() == pytest.approx([59.9 / 60 - 0.5, 3 / 60 - 0.5], abs=1e-5)
    assert what[..., 0].sum() == 3 and what.sum() == 3 + 1 + 1 + 2 + 7 + 1 + 1 + 3


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_several_in_a_cell_the_nearest_counts(order):
    objects = np.array([item(0, 40, 10, 12.0, 0, 0, 0, 0), item(0, 50, 20, 8.0, 2, 5, 1, 1)], np.float32)[
        order
    ]
    what, where = targets(pack(objects, SIZES[:1]), (2, 3))
    assert what[0, 0, 1].tolist() == [1, 2, 5, 1, 1]
    assert where[0, 0, 1].tolist() == pytest.approx([20 / 30 - 0.5, 20 / 30 - 0.5])


def test_a_centre_outside_the_image_is_in_no_cell():
    objects = np.array(
        [item(0, x, y, 9, 0, 0, 0, 0) for x, y in ((-1, 5), (90, 5), (5, 60), (5, -0.1))], np.float32
    )
    assert targets(pack(objects, SIZES[:1]), (2, 3))[0].sum() == 0


def test_loss_against_plain_sums():
    torch.manual_seed(0)
    objects = np.array([item(0, 45, 15, 9.0, 0, 1, 0, 1), item(1, 10, 10, 9.0, 2, 7, 1, 0)], np.float32)
    what, there = targets(pack(objects, SIZES), (2, 3))
    logits = [torch.randn(2, 2, 3, n, dtype=torch.float64) for n in scene_cnn.CHOICES]
    where = torch.randn(2, 2, 3, 2, dtype=torch.float64)

    def cost(logit, answer):
        return -math.log(math.exp(logit[answer]) / sum(math.exp(x) for x in logit))

    cells = [(b, r, c) for b in range(2) for r in range(2) for c in range(3)]
    full = [cell for cell in cells if what[cell][0]]
    expected = 2 * sum(cost(logits[0][cell].tolist(), what[cell][0].item()) for cell in cells) / 12
    for i in range(1, 5):
        expected += sum(cost(logits[i][cell].tolist(), what[cell][i].item()) for cell in full) / 2 / 4
    expected += sum(((where[cell] - there[cell]) ** 2).sum().item() for cell in full) / 4
    assert scene_cnn.loss(logits, where, what, there.double()).item() == pytest.approx(expected)
    empty = torch.zeros_like(what)
    assert scene_cnn.loss(logits, where, empty, there).isfinite()


def test_objects_move_with_the_picture():
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for _ in range(20):
        image = torch.zeros(1, 64, 96, 3, dtype=torch.uint8)
        image[0, 30, 50] = 255
        packed = pack(np.array([item(0, 50.5, 30.5, 9, 2, 7, 1, 0)], np.float32), np.array([[64, 96]]))
        moved, packed = jitter(image, packed, generator)
        assert moved.shape == image.shape
        y, x = (moved[0, ..., 0] == 255).nonzero()[0].tolist()
        assert packed[0, 0].tolist() == pytest.approx([(y + 0.5) / 64, (x + 0.5) / 96, 2, 7, 1, 0])
        seen.add((y, x))
    assert len(seen) > 10 and all(abs(y - 30) <= 16 for y, _ in seen)


def picture(tmp_path, **counts):
    plant(tmp_path / "clevr", width=96, height=64, **counts)
    split = official.read(tmp_path / "clevr", "train")
    return split, *extract.load(split.images, (64, 96))


def test_the_same_bytes_whatever_the_global_random_state(tmp_path):
    split, images, sizes = picture(tmp_path)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        generator = torch.Generator().manual_seed(0)
        network = SceneCNN(SETTINGS, generator)
        scene_cnn.train(network, images, split.objects, sizes, SETTINGS, generator)
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_it_learns_from_sixty_drawings(tmp_path):
    split, images, sizes = picture(tmp_path, train=60)
    settings = Settings(rows=2, columns=3, channels=32, width=16, images=100, steps=300, batch=8, lr=0.01)
    generator = torch.Generator().manual_seed(0)
    network = SceneCNN(settings, generator)
    assert network.size == (64, 96)
    scene_cnn.train(network, images, split.objects, sizes, settings, generator)
    map_NRF = network(images).flatten(1, 2).half()
    scores = network.accuracy(map_NRF, split.objects, sizes)
    # a few seconds' worth; guessing the commonest value would be right for 0.2 of the colours
    assert scores["presence_f1"] > 0.95 and scores["color"] > 0.35 and scores["material"] > 0.65
    moved = split.objects.copy()
    moved[:, 5] = (moved[:, 5] + 1) % 8
    assert network.accuracy(map_NRF, moved, sizes)["color"] < 0.25
    assert network.accuracy(map_NRF, moved, sizes)["shape"] == scores["shape"]


def test_a_learning_rate_that_diverges_is_an_error(tmp_path):
    split, images, sizes = picture(tmp_path)
    settings = Settings(rows=2, columns=3, channels=16, width=4, images=100, steps=6, batch=4, lr=1e30)
    network = SceneCNN(settings, torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match="^lr: 1e.30 is too large"):
        scene_cnn.train(network, images, split.objects, sizes, settings, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("steps", 0, "1 to 1000000"),
        ("channels", -1, "1 to 4096"),
        ("rows", 10**9, "1 to 64"),
        ("lr", 0.0, "above 0"),
        ("lr", float("nan"), "above 0"),
    ],
)
def test_settings_out_of_range(name, value, right):
    with pytest.raises(ValueError, match=f"^{name}: {value} is out of range: {right}$"):
        Settings(**vars(SETTINGS) | {name: value})
