"""The reader of the official CIFAR-100 files: what it gives, and what it will not swallow."""

import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from specialists.data.cifar100 import official

REAL = Path(__file__).parents[2] / "shared/data/cifar-100-python.tar.xz"


def tree(images=3):
    rng = np.random.default_rng(0)
    return {
        b"data": rng.integers(0, 256, (images, 3072), np.uint8),
        b"fine_labels": [99, 0, 7][:images],
        b"coarse_labels": [19, 0, 3][:images],
        b"filenames": [b"a.png"] * images,
    }


def names():
    return {
        b"fine_label_names": [b"class %d" % i for i in range(100)],
        b"coarse_label_names": [b"group %d" % i for i in range(20)],
    }


@pytest.fixture
def root(tmp_path):
    for name, content in (("train", tree()), ("test", tree(2)), ("meta", names())):
        (tmp_path / name).write_bytes(pickle.dumps(content, protocol=2))
    return tmp_path


def test_a_pixel_is_where_the_format_says(root):
    train, test, classes, groups = official.read(root, official=False)
    row = tree()[b"data"][1]
    for y, x, colour in ((0, 0, 0), (0, 31, 1), (31, 0, 2), (5, 7, 1)):
        assert train.pixels[1, y, x, colour] == row[1024 * colour + 32 * y + x]
    assert train.fine.tolist() == [99, 0, 7] and train.coarse.tolist() == [19, 0, 3]
    assert len(test.pixels) == 2 and classes[99] == "class 99" and groups[19] == "group 19"


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_any_python_that_wrote_the_files_is_read(root, protocol):
    expected = official.read(root, official=False)[0]
    (root / "train").write_bytes(pickle.dumps(tree(), protocol=protocol))
    found = official.read(root, official=False)[0]
    assert np.array_equal(found.pixels, expected.pixels)


# An array of addresses, made of the file's bytes, and used as a shape: numpy would follow them.
ADDRESSES = (
    b"\x80\x02cnumpy\nndarray\ncnumpy\nndarray\nK\x01\x85cnumpy\ndtype\nU\x01O\x85RU\x08AAAAAAAA\x87R\x85R."
)


class Evil:
    def __reduce__(self):
        return os.mkdir, ("harm",)


def changed(**values):
    return {key: value for key, value in (tree() | values).items() if value is not None}


def whole(content):
    return pickle.dumps(content, protocol=2)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "train",
            whole(Evil()),
            "train: not a pickle of CIFAR-100 .*asks for posix.mkdir, which is not data",
        ),
        ("train", b"cnumpy\nfromfile\n.", "asks for numpy.fromfile"),
        ("train", b"c_codecs\ndecode\n.", "asks for _codecs.decode"),
        ("train", ADDRESSES, "train: not a pickle of CIFAR-100"),
        ("train", whole(tree())[:-40], "train: not a pickle of CIFAR-100"),
        ("train", b"", "train: not a pickle of CIFAR-100"),
        ("meta", b"\x80\x02]r\x00\x00\x00\x7f.", "meta: not a pickle .*puts something at place 2130706432"),
        ("train", whole([1]), "train: found a list, expected a dict"),
        ("train", whole({}), "train: data: found NoneType, expected u1"),
        ("train", whole({**tree(), b"data": np.zeros((3, 3072))}), r"data: found f8 \(3, 3072\)"),
        ("train", whole({**tree(), b"data": np.asfortranarray(tree()[b"data"])}), "expected .* row by row"),
        (
            "test",
            whole({**tree(), b"data": np.zeros((3, 100), np.uint8)}),
            r"test: data: found u1 \(3, 100\)",
        ),
        ("train", whole({**tree(), b"fine_labels": [1, 2]}), "fine_labels: expected a list of 3 labels"),
        ("train", whole({**tree(), b"fine_labels": [1, 2, 100]}), r"fine_labels\[2\]: 100 is not 0 to 99"),
        (
            "train",
            whole({**tree(), b"coarse_labels": [1, "2", 3]}),
            r"coarse_labels\[1\]: '2' is not 0 to 19",
        ),
        ("meta", whole({**names(), b"coarse_label_names": [b"x"]}), "coarse_label_names: expected 20 names"),
        ("meta", None, "meta: No such file or directory; get cifar-100-python.tar.gz"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(root, monkeypatch, name, content, message):
    monkeypatch.chdir(root)
    (root / name).unlink() if content is None else (root / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        official.read(root, official=False)
    assert not (root / "harm").exists()


def test_a_file_that_lies_elsewhere_is_refused(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "test"
    (root / "test").rename(elsewhere)
    (root / "test").symlink_to(elsewhere)
    with pytest.raises(ValueError, match=f"{root}/test: a link to a file outside {root}; put it there"):
        official.read(root, official=False)


def test_each_of_the_three_files_is_held_to_its_md5(root, monkeypatch):
    own = {name: hashlib.md5((root / name).read_bytes()).hexdigest() for name in official.MD5}
    monkeypatch.setattr(official, "MD5", own)
    official.read(root, official=True)
    for name in own:
        monkeypatch.setattr(official, "MD5", own | {name: "0" * 32})
        with pytest.raises(ValueError, match=f"{name}: md5 {own[name]}, expected 0000"):
            official.read(root, official=True)


def test_official_means_the_published_bytes(root):
    with pytest.raises(ValueError, match="train: md5 .*, expected 16019d7e3df5f24257cddd939b257f8d"):
        official.read(root, official=True)


@pytest.mark.skipif(not REAL.exists(), reason="the real CIFAR-100 is not here")
def test_the_real_files(tmp_path):
    import tarfile

    with tarfile.open(REAL) as archive:
        archive.extractall(tmp_path, filter="data")
    train, test, classes, groups = official.read(tmp_path / "cifar-100-python", official=True)
    assert train.pixels.shape == (50000, 32, 32, 3) and test.pixels.shape == (10000, 32, 32, 3)
    assert np.bincount(train.fine).tolist() == [500] * 100 and np.bincount(test.coarse).tolist() == [500] * 20
    assert classes[:2] == ["apple", "aquarium_fish"] and groups[0] == "aquatic_mammals"
