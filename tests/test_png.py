"""Pictures: the same pixels for training and serving, and one clear line about what is none."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from specialists.data import png
from specialists.serving import answering

RNG = np.random.default_rng(0)
NOISE_HW3 = RNG.integers(0, 256, (48, 64, 3), dtype=np.uint8)
GREY16_HW = np.arange(0, 1 << 16, 257, dtype=np.uint16).reshape(16, 16)


def written(image, **options):
    image.save(file := io.BytesIO(), "PNG", **options)
    return file.getvalue()


def framed(*head, chunks=(), rows=b""):
    """A PNG of this header, these chunks and these rows, each of which begins with its filter."""
    chunks = [
        b"IHDR" + struct.pack(">IIBBBBB", *head, 0, 0, 0),
        *chunks,
        b"IDAT" + zlib.compress(rows),
        b"IEND",
    ]
    whole = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


COLOUR = Image.fromarray(NOISE_HW3)
PALETTE = b"PLTE" + bytes([10, 20, 30, 40, 50, 60])
PICTURES = {
    "colour": written(COLOUR),
    "colour and alpha": written(COLOUR.convert("RGBA")),
    "grey": written(COLOUR.convert("L")),
    "black and white": written(COLOUR.convert("1")),
    "16 bits of grey": written(Image.fromarray(GREY16_HW)),
    "palette": written(COLOUR.quantize(32)),
    "palette with transparency": framed(2, 2, 8, 3, chunks=(PALETTE, b"tRNS\x00\x80"), rows=b"\0\0\1\0\1\0"),
    "animation that is none": framed(
        2, 2, 8, 2, chunks=(b"acTL" + bytes(8),), rows=(b"\0" + bytes(range(6))) * 2
    ),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_file_is_the_same_pixels_in_training_and_in_serving(kind, tmp_path, recwarn):
    path = tmp_path / "picture.png"
    path.write_bytes(PICTURES[kind])
    trained_HW3, sizes = png.read(path, (32, 48))
    served_1HW3 = answering.pixels(PICTURES[kind], (32, 48))
    assert np.array_equal(served_1HW3, trained_HW3[None]) and trained_HW3.dtype == np.uint8
    assert trained_HW3.shape == (32, 48, 3) and not recwarn
    with Image.open(path) as image:
        assert sizes == image.size[::-1]


def decoded(content, size):
    return png.decode(content, size)[0]


def test_a_picture_of_the_size_asked_for_is_as_it_is_written():
    assert np.array_equal(decoded(PICTURES["colour"], (48, 64)), NOISE_HW3)


def test_sixteen_bits_of_grey_are_as_light_as_their_upper_eight():
    expected_HW3 = np.repeat((GREY16_HW >> 8)[..., None], 3, 2)
    assert np.array_equal(decoded(PICTURES["16 bits of grey"], (16, 16)), expected_HW3)


def test_a_palette_is_looked_up_whatever_is_transparent():
    found = decoded(PICTURES["palette with transparency"], (2, 2)).tolist()
    assert found == [[[10, 20, 30], [40, 50, 60]], [[40, 50, 60], [10, 20, 30]]]


def test_threads_read_in_silence(recwarn):
    """As the features stage does: a filter of one thread must not end with another."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: decoded(PICTURES["palette with transparency"], (2, 2)), range(64)))
    assert all(np.array_equal(each, found[0]) for each in found) and not recwarn


def jpeg():
    COLOUR.save(file := io.BytesIO(), "JPEG")
    return file.getvalue()


WHOLE = PICTURES["colour"]
BROKEN = {
    "empty": (b"", "expected a PNG, found 0 bytes of something else"),
    "jpeg": (jpeg(), "bytes of something else"),
    "cut": (WHOLE[: len(WHOLE) // 2], "expected a PNG, but "),
    "bits": (WHOLE[:200] + bytes(50) + WHOLE[250:], "expected a PNG, but "),
    "long": (framed(4097, 1, 8, 2), "expected a PNG, but 4097 x 1 pixels, the limit is 4096"),
    "bomb": (framed(10_000, 10_000, 8, 2), "expected a PNG, but 10000 x 10000 pixels, the limit is 4096"),
    "huge": (framed(100_000, 100_000, 8, 2), "expected a PNG, but "),
    "no palette": (
        framed(2, 2, 8, 3, chunks=(b"tRNS\x00\xff",), rows=bytes(6)),
        "expected a PNG, but it is broken (AssertionError)",
    ),
    "large": (WHOLE[:8] + bytes(33 << 20), "expected a PNG, but more than 32 MiB of something"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_picture_is_one_line_with_its_name(kind, tmp_path):
    content, message = BROKEN[kind]
    (path := tmp_path / "picture.png").write_bytes(content)
    for name, read in (
        (path, lambda: png.read(path, (4, 6))),
        ("image", lambda: png.decode(content, (4, 6))),
    ):
        with pytest.raises(ValueError) as caught:
            read()
        line = str(caught.value)
        assert line.startswith(f"{name}: ") and message in line
        assert "\n" not in line and " at 0x" not in line and len(line) < len(str(name)) + 200


def test_a_folder_and_a_file_that_is_missing(tmp_path):
    (tmp_path / "a.png").mkdir()
    for name, reason in (("a.png", "Is a directory"), ("b.png", "No such file or directory")):
        with pytest.raises(ValueError, match=f"{name}: expected a PNG, but {reason}$"):
            png.read(tmp_path / name, (4, 6))
