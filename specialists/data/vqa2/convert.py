"""From the published files of bottom-up features to the store of store.py, once and for all.

There may be several files, TSV (tsv.py) or HDF5 (hdf5.py), as published. Memory holds one image. A killed
conversion goes on after the last whole image.

Boxes stay in the order of the file. As their generator is published, files of 36 boxes have them by
confidence, but for images with just 36 sure ones. Files of 10 to 100 do so only where fewer than 10 or more
than 100 were sure; elsewhere the first are not the best. No file holds the confidence.
"""

import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from specialists.base.files import read_json, write_json
from specialists.data.vqa2 import hdf5, tsv
from specialists.data.vqa2.store import FILES

LARGEST_FP16 = 65504
FORMATS = {"tsv": tsv, "hdf5": hdf5, "h5": hdf5}
TOGETHER = 256  # images between two points from which a killed conversion goes on


def convert(sources, folder, most=0):
    """Write the store of some files, with the first `most` boxes of each image, or all.

    A store of the same files is left as it is.
    """
    sources, part = [*map(Path, sources)], Path(folder).with_name(f".{Path(folder).name}.part")
    read = [[path.name, path.stat().st_size] for path in sources]
    about = {"read": read, "most": most, "changed": [path.stat().st_mtime_ns for path in sources]}
    if _read(Path(folder) / "state.json").get("about") == about:
        return
    shutil.rmtree(folder, ignore_errors=True)
    state = _begun(part, about)
    sizes = [_format(path).size(path) for path in sources]
    bar = tqdm(total=sum(sizes), initial=state["done"], unit_scale=True, desc="boxes", disable=None)
    with _Files(part, state) as files, bar:
        before = 0
        for path, size in zip(sources, sizes, strict=True):
            if before + size > state["done"]:
                _file(path, before, most, state, files, bar)
            before += size
    if not state["images"]:
        raise ValueError(f"{', '.join(map(str, sources))}: no images")
    counted = {key: state[key] for key in ("channels", "images", "boxes", "again")}
    write_json(part / "meta.json", {"read": read, "most": most} | counted)
    os.rename(part, folder)


def _read(state):
    return read_json(state) if state.exists() else {}


def _begun(part, about):
    """What a killed conversion of the same files had reached; else nothing."""
    if (found := _read(part / "state.json")).get("about") == about:
        return found
    part.mkdir(parents=True, exist_ok=True)
    return {"about": about, "done": 0, "channels": 0, "images": 0, "boxes": 0, "again": 0}


def _format(path):
    """By the ending, after which published files may have a number."""
    for end in reversed(path.name.split(".")):
        if end in FORMATS:
            return FORMATS[end]
    raise ValueError(f"{path}: expected a file that ends in {', '.join(FORMATS)}")


def _file(path, before, most, state, files, bar):
    """Add the images of a file; `done` counts what all files have, bytes of a TSV and images of an HDF5."""
    for place, image, box_N4, feature_NF, end in _format(path).images(path, max(state["done"] - before, 0)):
        channels = feature_NF.shape[1]
        if state["channels"] and channels != state["channels"]:
            found = f"{channels} features of a box, before {state['channels']}"
            raise ValueError(f"{place}: image {image}: {found}")
        if not (np.abs(feature_NF) <= LARGEST_FP16).all() or not np.isfinite(box_N4).all():
            raise ValueError(f"{place}: image {image}: a number that is not finite in fp16")
        state["channels"], kept_N4 = channels, box_N4[: most or None]
        if not (kept_N4[:, 2] > kept_N4[:, 0]).any():
            raise ValueError(f"{place}: image {image}: no box that is wider than nothing")
        files.add(image, kept_N4, feature_NF[: most or None])
        bar.update(before + end - state["done"])
        state["done"] = before + end
        if files.waiting >= TOGETHER:
            files.mark()


class _Files:
    """The three files of a store, and how far all of them are whole."""

    def __init__(self, part, state):
        self.part, self.state, self.waiting = part, state, 0
        sizes = {"features.f16": state["boxes"] * state["channels"] * 2, "boxes.f32": state["boxes"] * 16}
        sizes["images.i64"] = state["images"] * 24
        self.files = {name: open(part / name, "ab") for name in FILES}
        for name, file in self.files.items():
            file.truncate(sizes[name])
            file.seek(0, os.SEEK_END)
        self.known = set(np.fromfile(part / "images.i64", np.int64).reshape(-1, 3)[:, 0].tolist())

    def __enter__(self):
        return self

    def add(self, image, box_N4, feature_NF):
        if image in self.known:  # published files hold some images twice
            self.state["again"] += 1
            return
        self.known.add(image)
        rows = np.array([image, self.state["boxes"], len(box_N4)])
        for (name, kind), values in zip(FILES.items(), (feature_NF, box_N4, rows), strict=True):
            self.files[name].write(np.ascontiguousarray(values, kind).data)
        self.state["images"] += 1
        self.state["boxes"] += len(box_N4)
        self.waiting += 1

    def mark(self):
        for file in self.files.values():
            file.flush()
            os.fsync(file.fileno())
        write_json(self.part / "state.json", self.state)
        self.waiting = 0

    def __exit__(self, *error):
        self.mark()
        for file in self.files.values():
            file.close()
