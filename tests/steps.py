"""python tests/steps.py products|convolutions: digests of what some steps of portable training end in.

Run as it is and on an emulated processor, it must print the same (tests/test_portable.py), and with code that
tools.accept is to accept. It is small, for emulation is a hundred times as slow, but some sums are of more
products than networks.portable.LONGEST.
"""

import base64
import hashlib
import json
import os
import pickle
import sys
from contextlib import chdir
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
from specialists.base import portable  # noqa: E402

os.environ.update(portable.VARIABLES)

import h5py  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from specialists.answers import label  # noqa: E402
from specialists.answers.ensemble import Ensemble, mean  # noqa: E402
from specialists.base.runtime import Compute, setup  # noqa: E402
from specialists.data.clevr import read as clevr  # noqa: E402
from specialists.data.clevr.render import render  # noqa: E402
from specialists.data.clevr.world import World, scene  # noqa: E402
from specialists.data.pictures import listed  # noqa: E402
from specialists.data.records import Place  # noqa: E402
from specialists.data.vqa2 import convert, hdf5, read, vocabulary  # noqa: E402
from specialists.eyes import scene_cnn  # noqa: E402
from specialists.methods import cmcl, mcl, mcl_kd, mcl_kd_annealed  # noqa: E402
from specialists.networks import ban, box_san, butd, mlp, relation, resnet8, resnet20, resnext101, san, vgg17  # noqa: E402
from specialists.students.distillation import distill  # noqa: E402
from specialists.students.modalities import imitation  # noqa: E402
from specialists.tables.rows import Table  # noqa: E402
from specialists.tables.titles import titles  # noqa: E402
from specialists.training.budget import Budget  # noqa: E402
from specialists.training.loop import fit, plain  # noqa: E402

HEAD = {"classifier_hidden": 520, "dropout": 0.3, "attention_dropout": 0.2}
ON_BOXES = {
    butd: {"hidden": 32, "activation": "swish", **HEAD},
    ban: {"glimpses": 2, "activation": "relu", "counter": "sharpened", **HEAD},
    box_san: {"attention": 16, "glimpses": 2, "hidden": 32, "dropout": 0.3, "counter": "plain"},
}
WORDS, CELLS, CHANNELS, ANSWERS = 12, 12, 8, 28
ASKED = 45  # of a batch, so that there are 540 words and 540 cells
GATED = {
    "groups": 4,
    "width": 3,
    "active": 2,
    "attention": 6,
    "balance": 0.01,
    "scope": "batch",
    "embedding": 8,
}
RELATION = {"first": 6, "channels": 8, "last": 5, "lstm": 24, "pool": "last", "units": 24, "dropout": 0.3}
RESNEXT = {"blocks": [1, 1], "channels": 8, "question": 24, "hidden": 24, "activation": "relu", **HEAD}
SIZES = {"width": 4, "embedding": 8, "lstm": 24, "pool": "mean"}


def digest(*arrays):
    return hashlib.md5(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def weights(module):
    return [tensor.detach().numpy() for tensor in module.state_dict().values()]


def questions(generator, size=ASKED):
    tokens_BL = torch.randint(2, 30, (size, WORDS), generator=generator)
    image_BRF = torch.rand(size, CELLS, CHANNELS, generator=generator)
    return image_BRF, tokens_BL, torch.full((size,), WORDS)


def boxes(generator, size=ASKED):
    image_BKF, tokens_BL, length_B = questions(generator, size)
    corner_BK2 = torch.rand(size, CELLS, 2, generator=generator)
    return image_BKF, torch.cat([corner_BK2, corner_BK2 + 0.3], 2), tokens_BL, length_B


def images(generator, size=4):
    image_B3HW = torch.rand(size, 3, 32, 32, generator=generator)
    return (image_B3HW.contiguous(memory_format=torch.channels_last),)


def pixels(generator, size=9):
    image_BHW3 = torch.randint(256, (size, 32, 32, 3), generator=generator)
    tokens_BL = torch.randint(2, 30, (size, WORDS), generator=generator)
    return image_BHW3.float(), tokens_BL, torch.full((size,), WORDS)


def trained(build, batch, loss, optimizer="adam", keep=None):
    """A digest of the weights and answers of two members after some steps of a method."""
    torch.manual_seed(0)
    ensemble, generator = Ensemble([build(), build()], keep), torch.Generator().manual_seed(1)
    descent = Budget(epochs=1, batch=1, lr=4e-3, optimizer=optimizer, weight_decay=1e-4).make(ensemble)
    for _ in range(2):
        inputs = batch(generator)
        label_B = torch.randint(ANSWERS, (len(inputs[0]),), generator=generator)
        loss_B = loss(ensemble(*inputs, generator=generator), label_B, generator)
        descent.zero_grad()
        loss_B.mean().backward()
        descent.step()
    with torch.no_grad():
        return digest(*weights(ensemble), ensemble.eval()(*inputs).numpy())


class Asked:
    """Questions that come in two batches, and none to choose on."""

    task = label

    def __init__(self):
        generator = torch.Generator().manual_seed(2)
        self.inputs = questions(generator, 13)
        self.answer_N = torch.randint(ANSWERS, (13,), generator=generator)

    def rows(self, split):
        return torch.arange(13 if split == "train" else 0)

    def order(self, batch, generator):
        return torch.randperm(13, generator=generator)

    def batch(self, rows):
        return tuple(each[rows] for each in self.inputs), self.answer_N[rows]


def delayed(build, loss=None, **more):
    """A digest of the weights of two members that learn in parts, with clipped gradients."""
    torch.manual_seed(0)
    ensemble = Ensemble([build(), build()])
    budget = Budget(epochs=2, batch=8, lr=2e-3, optimizer="adamax", parts=3, clip=0.5)

    with TemporaryDirectory() as folder:
        scratch, loss = Path(folder) / "delayed-0.pt", loss or plain(label)
        curve, _ = fit(ensemble, Asked(), loss, budget, 0, scratch, **more)
    return digest(*weights(ensemble), np.array([each["loss"] for each in curve]))


def annealed(build):
    """The same of members that share examples less and less, and end as their mean over the last steps."""
    done = torch.zeros((), dtype=torch.float64)

    def loss(logits_MBC, target_B, position_B, generator):
        task_MB, teacher_MBC = label.loss(logits_MBC, target_B), logits_MBC.detach().roll(1, 0)
        given = {"beta": 1.8, "temperature": 1.0, "form": "kl", "softness": 0.5}
        return mcl_kd_annealed.loss(task_MB, logits_MBC, teacher_MBC, 1, label, done, **given)

    return delayed(build, loss, average=0.5, done=done)


def rows():
    """A digest of what rows of a second generation and of averaged weights are called."""
    settings = {"ie_plus": {}, "ie_plus_again": {"method": "ie_plus"}, "mcl_kd": {"average": 0.5}}
    settings |= {"mcl_kd_again": {"method": "mcl_kd"}}
    axes = Table(["san"], [0, 1], ["ie_plus"], ["mcl_kd"], [1], [0], [], ["ie_plus"], ["mcl_kd"])
    return hashlib.md5(repr([axes.cells(), axes.controls, titles(settings)]).encode()).hexdigest()


def specialised(method, **settings):
    def loss(logits_MBC, label_B, generator):
        given = {"task_MB": label.loss(logits_MBC, label_B), "k": 1}
        if method is not mcl:
            given |= {"logits_MBC": logits_MBC, "task": label}
        if method is cmcl:
            given |= {"generator": generator}
        if method is mcl_kd:
            given |= {"teacher_MBC": logits_MBC.detach().roll(1, 0)}
        return method.loss(**given, **settings)[0]

    return loss


def taught(logits_MBC, label_B, generator):
    return distill(
        logits_MBC[0], mean(logits_MBC.detach(), label), label_B, label, alpha=0.7, temperature=2.0
    )


def imitated():
    """A digest of the squared distance between a student and its teacher."""
    logits_BC, teacher_BC = torch.randn(2, 9, ANSWERS, generator=torch.Generator().manual_seed(3))
    teacher_BC = label.distribution(teacher_BC)
    return digest(imitation(logits_BC, teacher_BC, label, temperature=2.0, form="mse"))


KD = specialised(mcl_kd, beta=1.8, temperature=1.0, form="kl")
CE = specialised(mcl_kd, beta=50.0, temperature=0.7, form="ce")
CMCL = specialised(cmcl, beta=0.75, form="stochastic")


def products():
    shape = (3, 4), CHANNELS, 30, ANSWERS
    of_san = partial(san.Network, *shape, blocks=0, attention=16, glimpses=2, hidden=520, **SIZES)
    of_mlp = partial(mlp.Network, *shape, blocks=0, hidden=[32, 32], **SIZES)
    print("san mcl_kd", trained(of_san, questions, KD))
    print("san cmcl", trained(of_san, questions, CMCL, "sgd"))
    print("mlp mcl", trained(of_mlp, questions, specialised(mcl)))
    print("mlp mcl_kd ce", trained(of_mlp, questions, CE))
    print("mlp student", trained(of_mlp, questions, taught))
    print("mlp delayed", delayed(of_mlp))
    print("rows", rows())
    print("imitation", imitated())
    print("published", published())
    print("vectors", vectors())
    print("linked", linked())
    for file, settings in ON_BOXES.items():
        network = partial(file.Network, CHANNELS, 30, ANSWERS, embedding=8, question=24, **settings)
        print(file.__name__, trained(network, boxes, KD, "adamax"))


def published():
    """A digest of files as others write them: vectors of words, boxes as HDF5 in both forms, a list."""
    with TemporaryDirectory() as folder:
        folder = Path(folder)
        (path := folder / "vectors.txt").write_text("cube -1 0.5 2e-1\nof 7 8 9\nthe 4 5 6\n")
        found = [vocabulary.vectors(path, ["cube", "the"])]
        for name, shape, more in (("fixed", (2, 3), {}), ("any", (6,), {"pos_boxes": [[0, 2], [2, 6]]})):
            values = np.arange(6 * 4, dtype=np.float32).reshape(*shape, 4)
            with h5py.File(path := folder / f"{name}.hdf5", "w") as file:
                for key, array in (
                    {"image_features": values, "spatial_features": values / 99} | more
                ).items():
                    file[key] = array
            (folder / f"{name}_imgid2idx.pkl").write_bytes(pickle.dumps({7: 0, 5: 1}))
            found += [array for _, _, *arrays, _ in hdf5.images(path, 0) for array in arrays]
        (folder / "images").mkdir()
        for name in ("in/a.png", "in/b.txt"):
            (folder / "images" / name).parent.mkdir(exist_ok=True)
            (folder / "images" / name).touch()
        (folder / "train.csv").write_text("image,question,answer\nin/a.png,Is it?,yes\n")
        asked, pictures = listed.read(folder)
        names = [path.name for path in pictures.values()]
    two = read.Boxes(None, np.array([[0, 3]]), None, {}, read.Words(2), 2).best(3)
    return digest(*found, np.frombuffer(repr([asked, names, two.boxes]).encode(), np.uint8))


def linked():
    """What pictures are called behind a link, but not behind one that leads back."""
    with TemporaryDirectory() as folder:
        (there := Path(folder) / "there").mkdir()
        (there / "a.png").touch()
        (images := Path(folder) / "images").mkdir()
        (images / "in").symlink_to(there)
        (there / "again").symlink_to(images)
        (Path(folder) / "train.csv").write_text("image,question,answer\nin/a.png,Is it?,yes\n")
        names = [str(path.relative_to(images)) for path in listed.read(folder)[1].values()]
    return hashlib.md5(repr(names).encode()).hexdigest()


def vectors():
    """A digest of vectors below a line that says how many there are, and of words with blanks."""
    with TemporaryDirectory() as folder:
        (path := Path(folder) / "vectors.txt").write_text("2 3\ncube -1 0.5 2e-1\nthe . . 1 2 3\n")
        np.save(kept := Path(folder) / "vectors.npy", vocabulary.vectors(path, ["cube", "the"]))
        return digest(read.vectors(kept, read.Words(2)).numpy())


def prepared():
    """A batch of prepared data with boxes of two images, of which all or the first are kept, and vectors."""
    with TemporaryDirectory() as top:
        lines, folders = [], [Path(top, str(most)) for most in range(2)]
        for image in (7, 9):
            box = np.array([[0, 0, 8, 8], [image, 2, 30, 9]], np.float32)
            parts = (base64.b64encode(each.tobytes()).decode() for each in (box, box / 3))
            lines.append("\t".join([str(image), "32", "16", "2", *parts]) + "\n")
        (source := Path(top, "boxes.tsv")).write_text("".join(lines))
        number = torch.tensor([0, 1], dtype=torch.int32)
        columns = dict.fromkeys(("split", "image", "family", "kind"), number)
        columns = {name: column.clone() for name, column in columns.items()}
        columns |= {"length": number + 1, "id": number.long(), "target": torch.zeros(2, 2, 1)}
        columns |= {"tokens": torch.ones(2, 2, dtype=torch.int16)}
        names = {name: ["a", "b"] for name in ("words", "answers", "families", "kind_names")}
        said = []
        for most, folder in enumerate(folders):
            convert.convert([source], folder / "boxes", most)
            save_file(columns, folder / "questions.safetensors")
            (folder / "meta.json").write_text(json.dumps(names | {"boxes": 2}))
            np.save(folder / "vectors.npy", np.ones((2, 3), np.float32))
            data = read.load(folder)
            inputs, target_B2A = data.batch(torch.arange(2))
            said += [*inputs, target_B2A, data.words.vectors]
        return digest(*(each.numpy() for each in said))


def convolutions():
    stem = partial(mlp.Network, (3, 4), CHANNELS, 30, ANSWERS, blocks=1, hidden=[32], **SIZES)
    print("stem mcl_kd", trained(stem, partial(questions, size=8), KD))
    print("stem annealed, averaged", annealed(stem))
    print("resnet20 mcl_kd", trained(partial(resnet20.Network, ANSWERS, width=4), images, KD, "sgd", 0.7))
    print("resnet8 mcl_kd", trained(partial(resnet8.Network, ANSWERS, width=8), images, KD, "sgd", 0.7))
    print("vgg17 cmcl", trained(partial(vgg17.Network, ANSWERS, width=2), images, CMCL, "sgd", 0.7))
    of_pixels = (32, 32), 30, ANSWERS
    learned = partial(relation.Network, *of_pixels, choice="learned", **RELATION, **GATED)
    drawn = partial(relation.Network, *of_pixels, choice="drawn", **RELATION, **GATED | {"balance": 0.0})
    print("relation mcl_kd", trained(learned, pixels, KD))
    print("relation by chance", trained(drawn, pixels, KD))
    resnext = partial(resnext101.Network, *of_pixels, **RESNEXT, **GATED)
    print("resnext101 mcl_kd", trained(resnext, pixels, KD, "adamax"))
    print("scene reader", digest(*reader()))
    print("prepared", prepared())
    print("damaged", hashlib.md5(str(clevr.damaged("data", "cut short")).encode()).hexdigest())
    print("refused", hashlib.md5(" ".join(refused()).encode()).hexdigest())


def reader():
    """Two rendered scenes, and the weights of a scene reader after two steps on them."""
    world = World(seed=0, train_images=2, val_images=1, questions_per_image=2, width=96, height=64)
    pictures = [render(scene(world, "train", i), 96, 64) for i in range(2)]
    settings = scene_cnn.Settings(rows=2, columns=3, channels=8, width=4, images=2, steps=2, batch=2, lr=1e-2)
    generator = torch.Generator().manual_seed(0)
    network = scene_cnn.SceneCNN(settings, generator)
    objects = np.array([[0, 40, 30, 9, 1, 2, 0, 1], [1, 70, 50, 8, 2, 5, 1, 0]], np.float32)
    sizes = np.full((2, 2), (64, 96))
    scene_cnn.train(network, torch.from_numpy(np.stack(pictures)), objects, sizes, settings, generator)
    return [*pictures, *weights(network)]


def refused():
    """What is said of records that do not fit."""
    place = Place("questions.json", "questions[0]")
    for found in (3, "x" * 99):
        yield str(place.wrong("answer", found, "another"))
    for record in ({}, {"a": 0}):
        try:
            place.take(record, "answer", str)
        except ValueError as error:
            yield str(error)


def main(part):
    with TemporaryDirectory() as blank, chdir(blank):
        import_module("stages")  # where no params.yaml says how to compute
    setup(Compute(mode="portable", threads=1, compile=False), convolutions=part == "convolutions")
    torch.set_flush_denormal(False)  # in which the emulator errs
    {"products": products, "convolutions": convolutions}[part]()


if __name__ == "__main__":
    main(sys.argv[1])
