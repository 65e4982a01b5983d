"""From a picture and a question to an answer: as PyTorch says it, and every mistake in one line."""

import io
import struct
import zlib

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from specialists.data.text import encode
from specialists.eyes import extract, scene_cnn
from specialists.networks import san
from specialists.serving import answering
from specialists.serving.answering import Onnx, best
from specialists.serving.export import Answerer, described, exported, folded, quantized, ranges

WORDS = ["<padding>", "<unknown>", "are", "cube", "cubes", "how", "is", "many", "red", "the", "what"]
SAN = {
    "blocks": 0,
    "width": 4,
    "embedding": 8,
    "lstm": 8,
    "pool": "mean",
    "attention": 8,
    "glimpses": 2,
    "hidden": 8,
}


def png(width=32, height=32, **options):
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    image.save(file := io.BytesIO(), "PNG", **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    settings = scene_cnn.Settings(2, 3, 8, 8, images=1, steps=1, batch=1, lr=0.1)
    eyes = scene_cnn.SceneCNN(settings, torch.Generator().manual_seed(0))
    return Answerer(eyes, [san.Network((2, 3), 8, len(WORDS), 4, **SAN) for _ in range(2)]).eval()


def asked(seed, words, pictures=1):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (pictures, 64, 96, 3), dtype=np.uint8)
    return pixels, rng.integers(2, len(WORDS), (pictures, words)), np.full(pictures, words)


@pytest.fixture(scope="module")
def files(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    about = {"words": WORDS, "answers": ["no", "red", "two", "yes"], "size": [64, 96], "longest": 6}
    ready, questions = folded(model), [asked(i, 5) for i in range(8)]
    whole = exported(ready, questions[0])
    for name, content in (("fp32", whole), ("int8", quantized(whole, ready, questions))):
        (folder / f"{name}.onnx").write_bytes(described(content, about))
    return folder


@pytest.mark.parametrize(("words", "pictures"), [(5, 1), (2, 1), (6, 3)])
def test_in_fp32_it_says_what_pytorch_says_for_any_number_of_words_and_pictures(
    model, files, words, pictures
):
    inputs = asked(words, words, pictures)
    with torch.no_grad():
        expected = model(*map(torch.from_numpy, inputs)).numpy()
    found = Onnx(files / "fp32.onnx").run(*inputs)
    assert found.shape == (2, pictures, 4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_in_int8_it_says_nearly_that_in_fewer_bytes(model, files):
    inputs = asked(1, 5)
    exact, rough = (Onnx(files / f"{kind}.onnx").run(*inputs) for kind in ("fp32", "int8"))
    assert not np.array_equal(exact, rough)
    np.testing.assert_allclose(rough, exact, atol=0.05)
    assert (files / "int8.onnx").stat().st_size < 0.9 * (files / "fp32.onnx").stat().st_size


def test_the_same_model_is_the_same_bytes(model):
    ready, questions = folded(model), [asked(i, 5) for i in range(2)]
    one, other = (exported(ready, asked(0, 5)) for _ in range(2))
    assert one == other and quantized(one, ready, questions) == quantized(one, ready, questions)


def test_convolutions_that_normalise_themselves_say_the_same(model):
    inputs, ready = [*map(torch.from_numpy, asked(3, 5))], folded(model)
    assert not any(isinstance(each, torch.nn.BatchNorm2d) for each in ready.modules())
    with torch.no_grad():
        torch.testing.assert_close(ready(*inputs), model(*inputs), atol=1e-6, rtol=0)


def test_ranges_are_of_what_goes_into_each_convolution_and_comes_out(model):
    ready, questions = folded(model), [asked(i, 5) for i in range(3)]
    found = ranges(ready, questions)
    assert len(found) == sum(isinstance(each, torch.nn.Conv2d) for each in ready.modules())
    pixels = torch.from_numpy(np.concatenate([image for image, *_ in questions]))
    given = pixels.permute(0, 3, 1, 2).float() / 64 - 2
    with torch.no_grad():
        said = ready.eyes.fine[0](given)
    low, high = found["eyes.fine.0"]
    np.testing.assert_allclose(low, [given.min(), said.min()], rtol=1e-5)
    np.testing.assert_allclose(high, [given.max(), said.max()], rtol=1e-5)


def test_onnxruntime_measures_nothing_that_goes_into_the_file(model, monkeypatch):
    """What it computes differs between processors."""
    ready = folded(model)
    whole = exported(ready, asked(0, 5))
    monkeypatch.setattr("onnxruntime.quantization.calibrate.CalibraterBase.create_inference_session", None)
    assert quantized(whole, ready, [asked(0, 5)])


def test_weights_of_7_bits_add_up_on_every_processor(files):
    graph = onnx.load(files / "int8.onnx").graph
    weights = [onnx.numpy_helper.to_array(each) for each in graph.initializer]
    eight = [each for each in weights if each.dtype == np.int8 and each.ndim > 1]
    assert len(eight) == 6 + 2 * 2  # convolutions; of each LSTM by inputs and by states
    assert all(np.abs(each.astype(int)).max() <= 64 for each in eight)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_a_picture_is_read_as_in_training(mode, tmp_path):
    path = tmp_path / "picture.png"
    Image.open(io.BytesIO(png(50, 40))).convert(mode).save(path)
    expected, _ = extract.load([path], (64, 96))
    assert np.array_equal(answering.pixels(path.read_bytes(), (64, 96)), expected)


def test_a_question_is_read_as_in_training(files):
    tokens, length = answering.words("What red cube?", WORDS, 6)
    expected, _ = encode(["What red cube?"], WORDS, 3)
    assert tokens.tolist() == expected.tolist() and length.tolist() == [3]
    probability_MC = Onnx(files / "fp32.onnx")(png(), "How many red cubes are there?")
    assert probability_MC.shape == (2, 4) and np.allclose(probability_MC.sum(1), 1)


def test_words_that_say_nothing_are_passed_over_unless_they_were_learned():
    plain, there = (
        answering.words(f"how many cubes are{end}", WORDS, 6)[0] for end in ("", " there, please")
    )
    assert plain.tolist() == there.tolist()
    learned = answering.words("how many cubes are there", [*WORDS, "there"], 6)[0]
    assert learned[0, -1] == len(WORDS)


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("", "question: '' has no words"),
        ("?!", "question: '?!' has no words"),
        ("can we see", "question: 'can we see' has no words about a picture"),
        (
            "how many zebras are in Kenya",
            "question: unknown words zebras, in, kenya; known: are cube cubes how is",
        ),
        ("red " * 7, "question: it has 7 words, the limit is 6"),
    ],
)
def test_a_question_that_cannot_be_read_is_one_line(question, message):
    with pytest.raises(ValueError) as error:
        answering.words(question, WORDS, 6)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)


def jpeg():
    Image.new("RGB", (8, 8)).save(file := io.BytesIO(), "JPEG")
    return file.getvalue()


def bomb():
    """A header that promises ten thousand by ten thousand pixels."""
    return framed(struct.pack(">IIBBBBB", 10000, 10000, 8, 2, 0, 0, 0))


def unpainted():
    """A palette's transparency, and no palette."""
    return framed(struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0), b"tRNS" + b"\x00\xff")


def framed(head, *others):
    """A PNG of these chunks and six bytes of pixels."""
    chunks = [b"IHDR" + head, *others, b"IDAT" + zlib.compress(bytes(6))]
    whole = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(whole)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "image: expected a PNG, found 0 bytes of something else"),
        (b"GIF89a", "image: expected a PNG, found 6 bytes of something else"),
        (jpeg(), "of something else"),
        (png()[:200], "image: expected a PNG, but "),
        (png(4097, 1), "image: expected a PNG, but 4097 x 1 pixels, the limit is 4096"),
        (bomb(), "image: expected a PNG, but 10000 x 10000 pixels, the limit is 4096"),
        (unpainted(), "image: expected a PNG, but it is broken (AssertionError)"),
        (b"\x89PNG" + bytes(33 << 20), "image: expected a PNG, but more than 32 MiB"),
    ],
)
def test_a_picture_that_cannot_be_read_is_one_line(content, message):
    with pytest.raises(ValueError) as error:
        answering.pixels(content, (64, 96))
    assert message in str(error.value) and "\n" not in str(error.value) and " at 0x" not in str(error.value)


def test_a_picture_of_any_kind_and_size_becomes_pixels_of_the_size_asked_for():
    for mode in ("L", "RGBA", "P"):
        Image.new(mode, (7, 5)).save(file := io.BytesIO(), "PNG")
        found = answering.pixels(file.getvalue(), (64, 96))
        assert found.shape == (1, 64, 96, 3) and found.dtype == np.uint8


def test_sixteen_bits_of_grey_are_as_light_as_their_upper_eight():
    grey_HW = np.arange(0, 1 << 16, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(grey_HW).save(file := io.BytesIO(), "PNG")
    found_HW3 = answering.pixels(file.getvalue(), (16, 16))[0]
    assert np.array_equal(found_HW3, np.repeat((grey_HW >> 8)[..., None], 3, 2))


def test_a_palette_with_transparency_is_read_in_silence(recwarn):
    image = Image.new("P", (4, 4))
    image.putpalette([0, 0, 0, 255, 255, 255])
    image.save(file := io.BytesIO(), "PNG", transparency=bytes([0, 128]))
    assert answering.pixels(file.getvalue(), (64, 96)).shape == (1, 64, 96, 3) and not recwarn


def test_a_file_that_is_no_model_is_one_line(tmp_path):
    path = tmp_path / "student.onnx"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ValueError, match="student.onnx: not a model of stages.export"):
        Onnx(path)
    with pytest.raises(ValueError, match="^the bytes given: not a model of stages.export"):
        Onnx(path.read_bytes())


def test_the_best_answers_come_in_order():
    found = best(np.array([0.1, 0.6, 0.1, 0.2], np.float32), ["a", "b", "c", "d"])
    assert [each["answer"] for each in found] == ["b", "d", "a"]
    assert found[0]["probability"] == pytest.approx(0.6)
