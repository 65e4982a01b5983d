"""From the published TSV of bottom-up features to the store of store.py, once and for all.

A line of the TSV is an image: image_id, image_w, image_h, num_boxes, boxes and features, the last two base64
of float32, n x 4 corners in pixels and n x F. Files may be several, as published.

Memory stays at one line; a conversion that was killed goes on after the last image that is whole.
"""

import binascii
import os
import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from specialists.base.files import read_json, write_json
from specialists.data.vqa2.store import FILES

LARGEST_FP16 = 65504
TOGETHER = 256  # images between two points from which a killed conversion goes on


def convert(sources, folder, most=0):
    """Write the store of some TSV files; of each image the first `most` boxes are kept, or all.

    What is there already of the same files is left.
    """
    sources, part = [*map(Path, sources)], Path(folder).with_name(f".{Path(folder).name}.part")
    read = [[path.name, path.stat().st_size] for path in sources]
    about = {"read": read, "most": most, "changed": [path.stat().st_mtime_ns for path in sources]}
    if _read(Path(folder) / "state.json").get("about") == about:
        return
    shutil.rmtree(folder, ignore_errors=True)
    state = _begun(part, about)
    total = sum(size for _, size in read)
    with (
        _Files(part, state) as files,
        tqdm(
            total=total, initial=state["done"], unit="B", unit_scale=True, desc="boxes", disable=None
        ) as bar,
    ):
        before = 0
        for path, (_, size) in zip(sources, read, strict=True):
            if before + size > state["done"]:
                _file(path, max(state["done"] - before, 0), before, most, state, files, bar)
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


def _file(path, start, before, most, state, files, bar):
    with open(path, "rb") as file:
        file.seek(start)
        for line in iter(file.readline, b""):
            at = file.tell() - len(line)
            image, box_N4, feature_NF = _image(path, at, line, state["channels"])
            state["channels"] = feature_NF.shape[1]
            files.add(image, box_N4[: most or None], feature_NF[: most or None])
            state["done"] = before + at + len(line)
            bar.update(len(line))
            if files.waiting >= TOGETHER:
                files.mark()


def _image(path, at, line, channels):
    """(image id, boxes as shares of the image, features) of a line."""
    fields = line.rstrip(b"\r\n").split(b"\t")
    place = f"{path}: the line at byte {at}"
    if len(fields) != 6 or not line.endswith(b"\n"):
        raise ValueError(f"{place}: {len(fields)} fields, expected 6 and an end of line; it may be cut short")
    try:
        image, width, height, count = map(int, fields[:4])
        box, feature = (np.frombuffer(binascii.a2b_base64(each), np.float32) for each in fields[4:])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    if (
        count < 1
        or width < 1
        or height < 1
        or len(box) != 4 * count
        or len(feature) % count
        or not len(feature)
    ):
        found = f"{count} boxes in {width} x {height}, {len(box)} corners, {len(feature)} features"
        raise ValueError(f"{place}: image {image}: {found} do not go together")
    feature_NF = feature.reshape(count, -1)
    if channels and feature_NF.shape[1] != channels:
        found = feature_NF.shape[1]
        raise ValueError(f"{place}: image {image}: {found} features of a box, before {channels}")
    if not (np.abs(feature) <= LARGEST_FP16).all() or not np.isfinite(box).all():
        raise ValueError(f"{place}: image {image}: a number that is not finite in fp16")
    return image, box.reshape(count, 4) / np.array([width, height] * 2, np.float32), feature_NF


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
