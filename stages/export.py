"""python -m stages.export NETWORK CELL NAME [--small]

Write a cell with its eyes, its vocabulary and its answers as one ONNX file, from pixels and words to answers:
in fp32, and with convolutions and LSTM in int8. Both answer the questions of `report`, beside PyTorch. With
--small the cell has small eyes, and the student that learned with them.

reads   params: compute, networks.NETWORK, features.eyes, features.longest, features.scene_cnn, data.root;
        data/features, models/CELL.safetensors, models/answers/CELL.safetensors; with --small also
        distill.small_eyes, and data/small and models/small/CELL.safetensors instead of the first two
writes  models/onnx/NAME.onnx, models/onnx/NAME-int8.onnx; metrics/export/NAME.json: top-1 of the cell and of
        PyTorch, which has the pixels, and how often they answer the same, in percent;
        metrics/environment/export/NAME.json: `answers`, the same of both files, which depend on the processor
"""

import time
from functools import lru_cache

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from specialists import data as prepared
from specialists.answers.ensemble import load, mean
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import replacing, write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.data.clevr import official
from specialists.networks import builder
from specialists.serving import answering
from specialists.serving.export import Answerer, described, exported, folded, quantized
from specialists.students import sight

CALIBRATION, TOGETHER = 64, 16  # questions
FILES = {"fp32": "", "int8": "-int8"}
LEAST = {"fp32": 99.9, "int8": 90.0}  # percent of the answers of PyTorch


def main(network: str, cell: str, name: str, *, small: bool = False):
    setup(read("compute", Compute), convolutions=True)
    start, root = time.monotonic(), read("data.root", str)
    folder, eyes = (sight.SMALL, sight.small()) if small else (sight.WIDE, sight.wide())
    data = prepared.load(folder)
    weights = f"models/{'small/' if small else ''}{cell}.safetensors"
    model = Answerer(eyes, load(weights, builder(network, data.shape)).members).cpu().eval()
    about = {"words": data.meta["words"], "answers": data.meta["answers"], "size": eyes.size}
    about |= {"longest": read("features.longest", int), "cell": cell}
    train, report = official.read(root, "train"), official.read(root, "val")
    content = {kind: described(each, about) for kind, each in made(model, train, about).items()}

    table = load_file(f"models/answers/{cell}.safetensors")["report"].float()
    said = {"cell": mean(table, data.task).argmax(1).numpy(), "torch": by_torch(model, data, report, about)}
    said |= {kind: by_file(each, report, about) for kind, each in content.items()}
    label = data.targets(data.rows("report")).numpy()
    result = {kind: compared(answers, said["torch"], label) for kind, answers in said.items()}
    measured = {kind: result.pop(kind) for kind in FILES}
    if any(measured[kind]["same_as_torch"] < least for kind, least in LEAST.items()):
        raise ValueError(f"{cell}: in ONNX it does not answer as in PyTorch: {measured}")
    for kind, end in FILES.items():
        with replacing(f"models/onnx/{name}{end}.onnx") as draft:
            draft.write_bytes(content[kind])
    write_json(f"metrics/export/{name}.json", result | {"questions": len(label)})
    last = f"models/onnx/{name}{FILES['int8']}.onnx"
    environment.write(f"export/{name}", time.monotonic() - start, last, answers=measured)


def made(model, train, about):
    """The two files; the second is scaled to some questions of train."""
    few = range(0, len(train.text), -(-len(train.text) // CALIBRATION))
    examples = [asked(train, row, about) for row in few]
    whole = exported(model := folded(model), examples[0])
    return {"fp32": whole, "int8": quantized(whole, model, examples)}


@torch.no_grad()
def by_torch(model, data, report, about):
    """The answer to every question of report, from its pixels; in batches, which saves steps of LSTMs."""
    rows, said = data.rows("report"), []
    for part in tqdm(torch.arange(len(rows)).split(TOGETHER), "PyTorch", disable=None):
        (_, *words), _ = data.batch(rows[part])
        pictures = np.concatenate([picture(report, row, about) for row in part])
        said.append(model(torch.from_numpy(pictures), *(each.cpu() for each in words)).mean(0).argmax(1))
    return torch.cat(said).numpy()


def by_file(content, report, about):
    """The answer of a file to every question of report, one at a time."""
    session, rows = answering.Onnx(content), range(len(report.text))
    every = tqdm(rows, "ONNX", disable=None)
    return np.array([session.run(*asked(report, row, about)).mean(0).argmax() for row in every])


def compared(answers, others, label):
    """Percent of the answers that are right, and percent that equal the others."""
    return {
        "top1": 100 * float((answers == label).mean()),
        "same_as_torch": 100 * float((answers == others).mean()),
    }


def asked(split, row, about):
    """What the file is given for a question of a split: pixels, tokens, length."""
    words = answering.words(split.text[row], about["words"], about["longest"])
    return picture(split, row, about), *words


def picture(split, row, about):
    return pixels(split.images[split.image[row]], tuple(about["size"]))


@lru_cache(maxsize=8)  # the questions of one image follow each other
def pixels(path, size):
    return answering.pixels(path.read_bytes(), size)


if __name__ == "__main__":
    run(main)
