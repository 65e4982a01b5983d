"""The store of bottom-up features: what the TSV says, whatever happens on the way."""

import base64
import json
import pickle

import h5py
import numpy as np
import pytest

from specialists.data.vqa2 import convert, store, tsv

CHANNELS = 6


def line(image, count, generator, width=64, height=48, channels=CHANNELS):
    corners = np.sort(generator.random((count, 2, 2)), axis=1).reshape(count, 4)  # x1 < x2 and y1 < y2
    box = (corners * [width, height, width, height]).astype(np.float32)
    feature = generator.standard_normal((count, channels), np.float32)
    fields = [image, width, height, count, *(base64.b64encode(x).decode() for x in (box, feature))]
    return "\t".join(map(str, fields)) + "\n", box, feature


@pytest.fixture
def published(tmp_path):
    """Two files of 5 and 4 images, 1 to 9 boxes each, and what they hold: image -> (boxes, features)."""
    generator, held, paths = np.random.default_rng(0), {}, []
    for name, images in (("a.tsv", range(5)), ("b.tsv", range(5, 9))):
        paths.append(tmp_path / name)
        with open(paths[-1], "w") as file:
            for image in images:
                text, box, feature = line(100 - image, image + 1, generator)
                held[100 - image] = (box / [64, 48, 64, 48], feature)
                file.write(text)
    return paths, held


def same(folder, held, most=None):
    found = store.load(folder)
    assert list(found.images) == list(held)
    for image, (first, count) in found.images.items():
        box, feature = (each[:most] for each in held[image])
        assert count == len(box)
        np.testing.assert_allclose(found.boxes[first : first + count], box, rtol=1e-6)
        assert (found.features[first : first + count] == feature.astype(np.float16)).all()
    return found


def test_the_store_holds_what_the_files_hold(published, tmp_path):
    paths, held = published
    convert.convert(paths, tmp_path / "store")
    found = same(tmp_path / "store", held)
    assert {name: found.meta[name] for name in ("images", "boxes", "channels", "again", "most")} == {
        "images": 9,
        "boxes": 45,
        "channels": CHANNELS,
        "again": 0,
        "most": 0,
    }
    assert not [*tmp_path.glob(".store*")]


def test_the_first_boxes_are_kept(published, tmp_path):
    paths, held = published
    convert.convert(paths, tmp_path / "store", most=3)
    assert same(tmp_path / "store", held, 3).meta["boxes"] == 1 + 2 + 3 * 7


class Killed(BaseException):
    pass


def closing(files, *error):
    """As the end of a process closes files, without a mark."""
    for file in files.files.values():
        file.close()


@pytest.mark.parametrize("together", [1, 2, 100])
@pytest.mark.parametrize("after", range(9))
def test_killed_after_any_image_it_ends_in_the_same_bytes(published, tmp_path, monkeypatch, together, after):
    """A kill leaves what was written since the last mark, and half an image."""
    paths, _ = published
    convert.convert(paths, tmp_path / "whole")
    monkeypatch.setattr(convert, "TOGETHER", together)
    add, added = convert._Files.add, []

    def dying(self, image, box_N4, feature_NF):
        if len(added) == after:
            self.files["features.f16"].write(b"half")
            self.files["features.f16"].flush()
            raise Killed
        added.append(image)
        add(self, image, box_N4, feature_NF)

    with monkeypatch.context() as patch:
        patch.setattr(convert._Files, "add", dying)
        patch.setattr(convert._Files, "__exit__", closing)
        with pytest.raises(Killed):
            convert.convert(paths, tmp_path / "store")
    assert not (tmp_path / "store").exists()
    read = []
    monkeypatch.setattr(tsv, "_image", lambda *given, real=tsv._image: (read.append(1), real(*given))[1])
    convert.convert(paths, tmp_path / "store")
    assert len(read) == 9 - after // together * together
    for path in (tmp_path / "whole").iterdir():
        assert (tmp_path / "store" / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_image_that_comes_again_counts_once(published, tmp_path):
    paths, held = published
    convert.convert([*paths, paths[0]], tmp_path / "store")
    assert same(tmp_path / "store", held).meta["again"] == 5


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda text: text[:-9],
            "a.tsv: the line at byte .*: 6 fields, expected 6 and an end of line; it may be",
        ),
        (lambda text: text.replace("\t", " ", 1), "the line at byte 0: 5 fields, expected 6"),
        (lambda text: text.replace("\t64\t", "\twide\t", 1), "the line at byte 0: invalid literal for int"),
        (
            lambda text: text.replace("\t1\t", "\t2\t", 1),
            "image 100: 2 boxes in 64 x 48, 4 corners, 6 features do",
        ),
        (lambda text: text.replace("\t1\t", "\t0\t", 1), "image 100: 0 boxes in 64 x 48"),
        (
            lambda text: text + line(7, 2, np.random.default_rng(1), channels=5)[0],
            "image 7: 5 features of a box, b",
        ),
        (lambda text: "", "a.tsv: no images"),
        (
            lambda text: line(7, 2, np.random.default_rng(1), width=0)[0].replace("\t0\t", "\t64\t") + text,
            "image 7: no box that is wider than nothing",
        ),
    ],
)
def test_a_line_that_does_not_fit_is_named(published, tmp_path, change, complaint):
    path = published[0][0]
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=complaint):
        convert.convert([path], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_other_files_begin_anew(published, tmp_path):
    paths, held = published
    part = tmp_path / ".store.part"
    part.mkdir()
    (part / "features.f16").write_bytes(b"other")
    (part / "state.json").write_text(json.dumps({"about": {"read": [["c.tsv", 5]], "most": 0}, "done": 5}))
    convert.convert(paths, tmp_path / "store")
    same(tmp_path / "store", held)


def as_hdf5(folder, held, fixed):
    """The same images as HDF5, in another order, the fixed ones with as many boxes each as the first."""
    order = sorted(held, reverse=True)
    boxes, features = zip(*(held[image] for image in order), strict=True)
    with h5py.File(folder / "train36.hdf5", "w") as file:
        join = np.stack if fixed else np.concatenate
        spatial = [np.concatenate([each, each[:, :2] * 0], 1) for each in boxes]
        file["image_features"], file["spatial_features"] = join(features), join(spatial)
        if not fixed:
            ends = np.cumsum([len(each) for each in boxes])
            file["pos_boxes"] = np.stack([ends - [len(each) for each in boxes], ends], 1)
    places = {image: i for i, image in enumerate(order)}
    (folder / "train36_imgid2idx.pkl").write_bytes(pickle.dumps(places))
    return folder / "train36.hdf5"


@pytest.mark.parametrize("fixed", [True, False])
def test_hdf5_holds_the_same_as_the_tsv(published, tmp_path, monkeypatch, fixed):
    _, held = published
    if fixed:
        held = {image: (box[:1], feature[:1]) for image, (box, feature) in held.items()}
    path = as_hdf5(tmp_path, held, fixed)
    convert.convert([path], tmp_path / "store")
    found = same(tmp_path / "store", held)
    monkeypatch.setattr(convert, "TOGETHER", 1)
    add, added = convert._Files.add, []

    def dying(self, image, *given):
        added.append(image)
        if len(added) == 4:
            raise Killed
        add(self, image, *given)

    with monkeypatch.context() as patch:
        patch.setattr(convert._Files, "add", dying)
        with pytest.raises(Killed):
            convert.convert([path], tmp_path / "again")
    convert.convert([path], tmp_path / "again")
    assert [*found.images] == sorted(held, reverse=True) == [*same(tmp_path / "again", held).images]


def changed(key, value):
    def change(folder):
        with h5py.File(folder / "train36.hdf5", "a") as file:
            del file[key]
            if value is not None:
                file[key] = value

    return change


def text_features(folder):
    with h5py.File(folder / "train36.hdf5", "a") as file:
        shape = file["image_features"].shape
        del file["image_features"]
        file["image_features"] = np.full(shape, "a", object)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def pickled(content):
    return lambda folder: (folder / "train36_imgid2idx.pkl").write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda folder: (folder / "train36_imgid2idx.pkl").unlink(),
            "train36_imgid2idx.pkl: not found; it says",
        ),
        (pickled(Evil()), "not a pickled dict .UnpicklingError: it asks for builtins.print"),
        (pickled({"a": 1}), "expected a dict of image ids and places"),
        (
            lambda folder: (folder / "train36_imgid2idx.pkl").write_bytes(b"\x80\x02}r\x00\x00\x00\x7f."),
            "train36_imgid2idx.pkl: not a pickled dict .UnpicklingError: puts something at place 2130706432",
        ),
        (pickled([1]), "expected a dict of image ids and places"),
        (changed("pos_boxes", None), "without pos_boxes"),
        (
            changed("image_features", None),
            "image_features or spatial_features: missing, or no table of numbers; found pos_boxes",
        ),
        (changed("spatial_features", np.zeros((3, 6))), "do not go together"),
        (
            changed("pos_boxes", np.zeros((9, 3), int)),
            r"pos_boxes: found .*\(9, 3\).*, expected two whole numbers an image",
        ),
        (changed("pos_boxes", np.zeros((9, 2))), "expected two whole numbers an image"),
        (
            changed("image_features", np.float32(1)),
            "missing, or no table of numbers; found image_features, pos_boxes",
        ),
        (changed("pos_boxes", np.array([[0, 1]])), "image 1: there is none; the file has images 0 to 0"),
        (text_features, "no table of numbers"),
        (changed("pos_boxes", np.full((9, 2), 99)), "image 0: boxes 99 to 99, of"),
        (lambda folder: (folder / "train36.hdf5").write_bytes(b"no"), "train36.hdf5: cannot be read as HDF5"),
    ],
)
def test_an_hdf5_that_does_not_fit_is_named(published, tmp_path, capsys, change, complaint):
    path = as_hdf5(tmp_path, published[1], fixed=False)
    change(tmp_path)
    with pytest.raises(ValueError, match=complaint):
        convert.convert([path], tmp_path / "store")
    assert capsys.readouterr().out == ""


def test_a_file_of_another_kind_is_named(tmp_path):
    (tmp_path / "boxes.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="boxes.npz: expected a file that ends in tsv, hdf5, h5"):
        convert.convert([tmp_path / "boxes.npz"], tmp_path / "store")
