"""Bottom-up features as the published TSV: a line is an image.

image_id, image_w, image_h, num_boxes, boxes and features, the last two base64 of float32, n x 4 corners in
pixels and n x F.
"""

import binascii

import numpy as np


def size(path):
    """Bytes."""
    return path.stat().st_size


def images(path, start):
    """Yield (place, image id, boxes as shares of the image, features, byte after it) from byte `start` on."""
    with open(path, "rb") as file:
        file.seek(start)
        for line in iter(file.readline, b""):
            end = file.tell()
            place = f"{path}: the line at byte {end - len(line)}"
            yield place, *_image(place, line), end


def _image(place, line):
    """(image id, boxes as shares of the image, features) of a line."""
    fields = line.rstrip(b"\r\n").split(b"\t")
    if len(fields) != 6 or not line.endswith(b"\n"):
        raise ValueError(f"{place}: {len(fields)} fields, expected 6 and an end of line; it may be cut short")
    try:
        image, width, height, count = map(int, fields[:4])
        box, feature = (np.frombuffer(binascii.a2b_base64(each), np.float32) for each in fields[4:])
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    fits = len(box) == 4 * count and len(feature) and not len(feature) % max(count, 1)
    if min(count, width, height) < 1 or not fits:
        found = f"{count} boxes in {width} x {height}, {len(box)} corners, {len(feature)} features"
        raise ValueError(f"{place}: image {image}: {found} do not go together")
    size = np.array([width, height] * 2, np.float32)
    return image, box.reshape(count, 4) / size, feature.reshape(count, -1)
