"""python -m stages.export NETWORK CELL NAME

Write a cell with its eyes, its vocabulary and its answers as one ONNX file, from pixels and words to answers:
in fp32, and with convolutions and LSTM in int8. Both answer the questions of `report`, beside PyTorch.

reads   params: threads, networks.NETWORK, features, data.root; data/features, models/CELL.safetensors,
        models/eyes.safetensors
writes  models/onnx/NAME.onnx, NAME-int8.onnx; metrics/export/NAME.json: accuracy of each, and how often it
        says what PyTorch says, in percent
"""

from functools import lru_cache, partial

import numpy as np
import torch
from safetensors.torch import load_file
from tqdm import tqdm

from specialists import backbone, params
from specialists.answering import Onnx
from specialists.data import clevr, prepared
from specialists.ensemble import load
from specialists.export import Answerer, described, exported, quantized
from specialists.files import replacing, write_json
from specialists.networks import network as network_class
from specialists.networks import scene_cnn
from specialists.runtime import setup
from stages import run

CALIBRATION = 64  # questions


def main(network: str, cell: str, name: str):
    setup(params.read("threads", int))
    data, root = prepared.load("data/features"), params.read("data.root", str)
    build = partial(params.read, f"networks.{network}", network_class(network), *data.shape)
    eyes = scene_cnn.SceneCNN(params.read("features.scene_cnn", scene_cnn.Settings), torch.Generator())
    eyes.load_state_dict(load_file("models/eyes.safetensors"))
    model = Answerer(eyes, load(f"models/{cell}.safetensors", build).members).eval()
    about = {"words": data.meta["words"], "answers": data.meta["answers"], "size": eyes.size}
    about |= {"longest": params.read("features.longest", int), "cell": cell}
    images = clevr.read(root, "train").images + clevr.read(root, "val").images
    asked = partial(question, data, images)
    rows = data.rows("train")
    few = [asked(row) for row in rows[:: -(-len(rows) // CALIBRATION)].tolist()]
    content = {"fp32": exported(model, few[0])}
    content["int8"] = quantized(content["fp32"], few)
    files = {"fp32": f"models/onnx/{name}.onnx", "int8": f"models/onnx/{name}-int8.onnx"}
    for kind, path in files.items():
        with replacing(path) as draft:
            draft.write_bytes(described(content[kind], about))

    sessions = {kind: Onnx(path) for kind, path in files.items()}
    rows = data.rows("report")
    said = {kind: np.zeros(len(rows), int) for kind in ("torch", *files)}
    for i, row in enumerate(tqdm(rows.tolist(), "questions", disable=None)):
        inputs = asked(row)
        with torch.no_grad():
            said["torch"][i] = model(*map(torch.from_numpy, inputs)).mean(0).argmax()
        for kind, session in sessions.items():
            said[kind][i] = session.run(*inputs).mean(0).argmax()
    label = data.labels(rows).numpy()
    result = {
        kind: {
            "top1": 100 * float((answers == label).mean()),
            "same_answers": 100 * float((answers == said["torch"]).mean()),
        }
        for kind, answers in said.items()
    }
    write_json(f"metrics/export/{name}.json", result | {"questions": len(rows)})
    if result["fp32"]["same_answers"] < 99.9:
        raise ValueError(
            f"{files['fp32']}: {result['fp32']['same_answers']:.2f} % of its answers are those of PyTorch"
        )


def question(data, images, row):
    """What a served model gets for one row of the features: pixels, tokens, length."""
    length = int(data.questions["length"][row])
    tokens = data.questions["tokens"][row, :length].numpy().astype(np.int64)[None]
    size = tuple(side * scene_cnn.STRIDE for side in data.meta["grid"])
    return picture(images[int(data.questions["image"][row])], size), tokens, np.array([length])


@lru_cache(maxsize=8)  # the questions of one image follow each other
def picture(path, size):
    return np.array(backbone.decode(path, size)[0])[None]  # torch wants its own memory


if __name__ == "__main__":
    run(main)
