"""Whitening against its defining properties, and the stage that applies it."""

import numpy as np
import pytest
import torch
import yaml

from specialists.answers.ensemble import Ensemble
from specialists.base import runtime
from specialists.data import load
from specialists.data.cifar100 import official, prepare, whitening
from specialists.networks import resnet20
from stages import features, stand_in

PARAMS = {
    "compute": {"mode": "fast", "threads": 1, "compile": False},
    "world": {"seed": 0, "train_images": 300, "test_images": 100},
    "data": {"format": "cifar100", "root": "data/stand_in", "official": False, "select": 1, "seed": 0},
    "features": {"whiten": "standard", "threads": 1},
}


def values(images=400, size=12):
    generator = torch.Generator().manual_seed(0)
    mixing = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return 100 + 20 * torch.randn(images, size, generator=generator, dtype=torch.float64) @ mixing


def test_contrast_is_an_image_of_mean_0_and_length_55():
    normal = whitening.contrast(values())
    assert torch.allclose(normal.mean(1), torch.zeros(400, dtype=torch.float64), atol=1e-9)
    assert torch.allclose((normal**2).sum(1).sqrt(), torch.full((400,), 55.0, dtype=torch.float64))
    assert torch.equal(whitening.contrast(torch.full((1, 12), 7.0)), torch.zeros(1, 12))


def test_zca_leaves_e_over_e_plus_a_tenth_of_every_direction_and_turns_nothing():
    """In the basis of the covariance, ZCA scales each direction: from variance e to e / (e + 0.1)."""
    train = values()
    normal = whitening.contrast(train).numpy()
    e, v = np.linalg.eigh(np.cov(normal.T, bias=True))
    white = whitening.KINDS["zca"](train)(train).numpy()
    inside = np.cov((white @ v).T, bias=True)
    assert np.allclose(inside, np.diag(e / (e + 0.1)), atol=1e-8)
    assert np.allclose(white @ v, (normal - normal.mean(0)) @ v / np.sqrt(e + 0.1), atol=1e-8)


def test_what_is_learnt_is_learnt_from_train_alone():
    whitened = whitening.zca(values())
    assert torch.allclose(whitened(values(20))[:5], whitened(values(20)[:5]))


def test_standard_is_mean_0_and_deviation_1_of_each_channel():
    train = values(size=24)
    done = whitening.standard(train)(train).reshape(-1, 3)
    assert torch.allclose(done.mean(0), torch.zeros(3, dtype=torch.float64), atol=1e-9)
    assert torch.allclose(done.std(0, correction=0), torch.ones(3, dtype=torch.float64))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(PARAMS))
    stand_in.main()
    return tmp_path


def test_the_stage_splits_by_class_and_keeps_pixels_in_place(folder, monkeypatch):
    features.main()
    data = load("data/features")
    rows = {split: data.rows(split) for split in ("train", "select", "report")}
    assert [len(mine) for mine in rows.values()] == [200, 100, 100]
    assert sorted(torch.cat(list(rows.values())).tolist()) == list(range(400))
    assert data.targets(rows["select"]).bincount(minlength=100).tolist() == [1] * 100
    assert torch.equal(data.groups(rows["report"]), data.targets(rows["report"]) // 5)
    assert data.shape == (100,) and len(data.group_names) == 20
    monkeypatch.setattr(runtime, "_mode", "fast")
    for has, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(runtime, "HAS_BF16", has)
        ((image_B3HW,), _) = data.batch(rows["train"][:3])
        assert image_B3HW.dtype == dtype
        assert Ensemble([resnet20.Network(100, width=4)])(image_B3HW).shape == (1, 3, 100)

    train, test, *_ = official.read("data/stand_in", False)
    pixels = np.concatenate([train.pixels, test.pixels])
    (image,), label = data.batch(rows["report"][:7])
    mean, std = (f(pixels[rows["train"]].reshape(-1, 3).astype(float), 0) for f in (np.mean, np.std))
    wanted = ((pixels[rows["report"][:7]] - mean) / std).transpose(0, 3, 1, 2)
    assert image.dtype == torch.bfloat16 and image.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(image.double(), torch.from_numpy(wanted), rtol=2**-8)
    assert torch.equal(label, data.targets(rows["report"][:7]))


def test_every_image_is_whitened_in_float64_and_stays_in_its_row(folder, monkeypatch):
    fitted = []
    monkeypatch.setattr(prepare, "CHUNK", 64)
    monkeypatch.setitem(whitening.KINDS, "zca", lambda train: fitted.append(train) or (lambda values: values))
    params = PARAMS | {"features": {"whiten": "zca", "threads": 1}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    features.main()
    (values,), data = fitted, load("data/features")
    train, test, *_ = official.read("data/stand_in", False)
    pixels, every = torch.from_numpy(np.concatenate([train.pixels, test.pixels])), torch.arange(400)
    assert values.dtype == torch.float64
    assert torch.equal(values.byte(), pixels[data.rows("train")].flatten(1))
    assert torch.equal(data.batch(every)[0][0].permute(0, 2, 3, 1), pixels.bfloat16())
    assert data.targets(every).tolist() == [*train.fine, *test.fine]
    assert data.groups(every).tolist() == [*train.coarse, *test.coarse]


def test_classes_of_other_sizes_are_refused():
    label = np.append(np.arange(300) % 100, 7)
    with pytest.raises(ValueError, match="train has 3 to 4 images of a class, expected equally many"):
        prepare.hold_out(label, 1, 0)


def nearest(images, means):
    return np.argmin([[((image - mean) ** 2).sum() for mean in means] for image in images], 1)


def seen(image):
    """What neither phase, contrast nor brightness changes: the spectrum, and the shares of the colours."""
    light = image.mean(2) / 255
    spectrum = np.abs(np.fft.fft2(light - light.mean())).ravel()
    return np.append(spectrum / np.linalg.norm(spectrum), 2 * image.mean((0, 1)) / image.mean())


def test_a_class_of_the_stand_in_can_be_told_from_all_others(folder):
    train, test, *_ = official.read("data/stand_in", False)
    means = [np.mean([seen(x) for x in train.pixels[train.fine == c]], 0) for c in range(100)]
    assert (nearest([seen(x) for x in test.pixels], means) == test.fine).mean() > 0.75


def test_an_epoch_is_full_batches_and_every_image_has_its_turn(folder):
    features.main()
    data = load("data/features")
    epochs = [data.order(64, torch.Generator().manual_seed(seed)) for seed in range(8)]
    assert all(len(set(order.tolist())) == len(order) == 192 for order in epochs)
    assert set(torch.cat(epochs).tolist()) == set(range(200))
    assert len(data.order(1000, torch.Generator())) == 200


def test_the_same_bytes_twice(folder):
    def written():
        return {path: path.read_bytes() for path in (folder / "data").glob("*/*")}

    features.main()
    first = written()
    stand_in.main()
    features.main()
    assert len(first) == 5 and written() == first


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("data", "select", 3, "data.select: 3 is out of range: 1 to 2 images of each class"),
        ("data", "seed", -1, "params.yaml: data: seed: -1 is out of range: 0 to 2147483647"),
        ("data", "root", "nowhere", "nowhere/train: No such file or directory"),
        ("features", "whiten", "pca", "whiten: 'pca' is unknown; known: zca, standard"),
    ],
)
def test_a_mistake_is_one_line_and_no_output(folder, section, key, value, message):
    params = PARAMS | {section: PARAMS[section] | {key: value}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match=message):
        features.main()
    assert not (folder / "data/features").exists()


def test_a_world_without_every_class_is_refused(folder):
    params = PARAMS | {"world": PARAMS["world"] | {"test_images": 50}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match="world: test_images: 50 is not a multiple of 100"):
        stand_in.main()
