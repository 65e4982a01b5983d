"""From the bytes of a PNG file to pixels, for training and serving alike, and without torch.

Other formats of Pillow are read where they are asked for.

H x W pixels
"""

import io
import struct
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

LONGEST_SIDE, MOST_BYTES = 4096, 32 << 20
# What Pillow raises for broken PNGs.
BROKEN = (
    *(OSError, SyntaxError, ValueError, IndexError, AssertionError, struct.error),
    Image.DecompressionBombError,
)


def read(path, size, formats=("PNG",)):
    """`decode` of a file."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path}: expected a {' or '.join(formats)}, but {error.strerror}") from None
    return decode(content, size, path, formats)


def decode(content, size, name="image", formats=("PNG",)):
    """((H, W, 3) uint8 pixels resized to size = (H, W), if there is one, and the (height, width) of the file;
    both of the picture turned upright."""
    expected = f"expected a {' or '.join(formats)}"
    # Pillow warns of pictures that it reads all the same. catch_warnings would not be safe among threads.
    warnings.filterwarnings("ignore", module="PIL[.]")
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"more than {MOST_BYTES >> 20} MiB of something")
        with Image.open(io.BytesIO(content), formats=formats) as image:
            if max(image.size) > LONGEST_SIDE:
                raise ValueError(f"{image.width} x {image.height} pixels, the limit is {LONGEST_SIDE}")
            ImageOps.exif_transpose(image, in_place=True)
            return _resized(image, size), (image.height, image.width)
    except UnidentifiedImageError:
        raise ValueError(f"{name}: {expected}, found {len(content)} bytes of something else") from None
    except BROKEN as error:
        reason = " ".join(str(error).split())[:120] or f"it is broken ({type(error).__name__})"
        raise ValueError(f"{name}: {expected}, but {reason}") from None


def _resized(image, size):
    if image.mode.startswith("I"):  # 16 bits of grey; convert would clip the upper 8
        image = image.point(lambda grey: grey / 256).convert("L")
    size = size or (image.height, image.width)
    return np.array(image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR))
