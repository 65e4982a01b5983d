"""The official python version of CIFAR-100: three pickles, read without running what a pickle can run.

N images of 32 x 32 pixels, which the files hold as rows of 1024 red, then 1024 green, then 1024 blue values
"""

import hashlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from specialists.data.pickles import Bounded

CLASSES, GROUPS = 100, 20
MD5 = {
    "train": "16019d7e3df5f24257cddd939b257f8d",
    "test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "meta": "7973b15100ade9c7d40fb424638fde48",
}
GET = "get cifar-100-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html) and extract it there"


@dataclass(frozen=True)
class Split:
    """pixel_N32x32x3 uint8, and for each image the class and the superclass."""

    pixels: np.ndarray
    fine: np.ndarray
    coarse: np.ndarray


def read(root, official):
    """(train, test, names of the classes, of the superclasses); `official`: the published files alone."""
    for name in MD5:
        if not (Path(root) / name).resolve().is_relative_to(Path(root).resolve()):
            raise ValueError(f"{root}/{name}: a link to a file outside {root}; put it there")
    files = {name: _unpickled(Path(root) / name, MD5[name] if official else None) for name in MD5}
    names = [_names(files["meta"], root, *key) for key in (("fine", CLASSES), ("coarse", GROUPS))]
    return _split(files["train"], f"{root}/train"), _split(files["test"], f"{root}/test"), *names


def _unpickled(path, md5):
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}; {GET}, or name another folder: data.root") from None
    if md5 and (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != md5:
        raise ValueError(f"{path}: md5 {found}, expected {md5} (data.official is true); {GET} again")
    try:
        tree = _Unpickler(io.BytesIO(content)).load()
    except Exception as error:  # a parser may raise anything on a foreign file
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path}: not a pickle of CIFAR-100 ({type(error).__name__}: {reason})") from None
    if not isinstance(tree, dict):
        raise ValueError(f"{path}: found a {type(tree).__name__}, expected a dict")
    return tree


class _Array:
    """What a file says of an array. numpy's own, told by a file, would read and write anywhere."""

    def __setstate__(self, state):
        _, self.shape, self.kind, self.by_columns, self.content = state


class _Kind(str):
    """The name of an array's elements, `u1` for uint8."""

    def __new__(cls, name, *_):
        return super().__new__(cls, name.decode() if isinstance(name, bytes) else name)

    def __setstate__(self, state):
        pass


MEANT = {
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # how Python 3 writes bytes for Python 2
}


class _Unpickler(Bounded):
    def find_class(self, module, name):
        if (module, name) not in MEANT:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, which is not data")
        return MEANT[module, name]


def _names(meta, root, kind, count):
    names = meta.get(f"{kind}_label_names".encode())
    whole = isinstance(names, list) and len(names) == count and all(isinstance(n, bytes) for n in names)
    if not whole:
        raise ValueError(f"{root}/meta: {kind}_label_names: expected {count} names")
    return [name.decode(errors="replace") for name in names]


def _split(tree, place):
    told = vars(data) if isinstance(data := tree.get(b"data"), _Array) else {}
    content = told["content"] if isinstance(told.get("content"), bytes) else b""
    images = len(content) // 3072
    wanted = {"shape": (images, 3072), "kind": "u1", "by_columns": False, "content": content}
    if not images or len(content) % 3072 or told != wanted:
        found = f"{told['kind']} {told['shape']}" if told else type(data).__name__
        raise ValueError(f"{place}: data: found {found}, expected u1 (images, 3072), row by row")
    rows = np.frombuffer(content, np.uint8).reshape(images, 3, 32, 32)
    labels = [
        _labels(tree, place, key, images, count) for key, count in (("fine", CLASSES), ("coarse", GROUPS))
    ]
    return Split(np.ascontiguousarray(rows.transpose(0, 2, 3, 1)), *labels)


def _labels(tree, place, kind, images, count):
    found = tree.get(f"{kind}_labels".encode())
    if not isinstance(found, list) or len(found) != images:
        raise ValueError(f"{place}: {kind}_labels: expected a list of {images} labels, one for each image")
    for position, label in enumerate(found):
        if type(label) is not int or not 0 <= label < count:
            raise ValueError(f"{place}: {kind}_labels[{position}]: {label!r} is not 0 to {count - 1}")
    return np.array(found, np.int64)
