"""python -m stages.export NETWORK CELL NAME [--small]

Write a cell with its eyes, its vocabulary and its answers as one ONNX file, from pixels and words to answers:
in fp32, and with convolutions and LSTM in int8. Both answer the questions of `report`, beside PyTorch. With
--small it has small eyes, and what the student has learned with them.

reads   params: threads, networks.NETWORK, features, data.root; data/features,
        models/answers/CELL.safetensors, models/CELL.safetensors, models/eyes.safetensors; with --small
        distill.small_eyes, and instead of the last two those of models/small/
writes  models/onnx/NAME.onnx, models/onnx/NAME-int8.onnx; metrics/export/NAME.json: top-1, and how often
        PyTorch answers the same, in percent
"""

from functools import lru_cache, partial

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from specialists import answering, params
from specialists.answering import Onnx
from specialists.data import clevr, prepared
from specialists.ensemble import load, mean
from specialists.export import Answerer, described, exported, quantized
from specialists.files import replacing, write_json
from specialists.networks import network as network_class
from specialists.runtime import setup
from stages import run
from stages.imitate import sight

CALIBRATION = 64  # questions


def main(network: str, cell: str, name: str, *, small: bool = False):
    setup(params.read("threads", int))
    data, root = prepared.load("data/features"), params.read("data.root", str)
    build = partial(params.read, f"networks.{network}", network_class(network), *data.shape)
    eyes = sight(small=small)
    ensemble = load(f"models/{'small/' if small else ''}{cell}.safetensors", build)
    model = Answerer(eyes, ensemble.members).cpu().eval()
    about = {"words": data.meta["words"], "answers": data.meta["answers"], "size": eyes.size}
    about |= {"longest": params.read("features.longest", int), "cell": cell}
    train, report = clevr.read(root, "train"), clevr.read(root, "val")
    few = range(0, len(train.text), -(-len(train.text) // CALIBRATION))
    examples = [asked(train, row, about) for row in few]
    content = {"": exported(model, examples[0])}
    content["-int8"] = quantized(content[""], examples)
    content = {kind: described(model, about) for kind, model in content.items()}

    # The table's answers, from the wide eyes in half precision; PyTorch's, from pixels; those of the files.
    table = load_file(f"models/answers/{cell}.safetensors")["report"].float()
    sessions = {kind: Onnx(each) for kind, each in content.items()}
    said = {"cell": mean(table).argmax(1).numpy()}
    said |= {kind: np.zeros(len(report.text), int) for kind in ("torch", *sessions)}
    for row in tqdm(range(len(report.text)), "questions", disable=None):
        inputs = asked(report, row, about)
        with torch.no_grad():
            said["torch"][row] = model(*map(torch.from_numpy, inputs)).mean(0).argmax()
        for kind, session in sessions.items():
            said[kind][row] = session.run(*inputs).mean(0).argmax()
    label = data.labels(data.rows("report")).numpy()
    names = {"cell": "cell", "torch": "torch", "": "fp32", "-int8": "int8"}
    result = {
        names[kind]: {
            "top1": 100 * float((answers == label).mean()),
            "same_as_torch": 100 * float((answers == said["torch"]).mean()),
        }
        for kind, answers in said.items()
    }
    if result["fp32"]["same_as_torch"] < 99.9 or result["int8"]["same_as_torch"] < 90:
        raise ValueError(f"{cell}: in ONNX it does not answer as in PyTorch: {result}")
    for kind, each in content.items():
        with replacing(f"models/onnx/{name}{kind}.onnx") as draft:
            draft.write_bytes(each)
    write_json(f"metrics/export/{name}.json", result | {"questions": len(label)})


def asked(split, row, about):
    """What the file is given for a question of a split: pixels, tokens, length."""
    picture = pixels(split.images[split.image[row]], tuple(about["size"]))
    return picture, *answering.words(split.text[row], about["words"], about["longest"])


@lru_cache(maxsize=8)  # the questions of one image follow each other
def pixels(path, size):
    return answering.pixels(path.read_bytes(), size)


if __name__ == "__main__":
    run(main)
