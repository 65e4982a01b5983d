"""python -m stages.question

Draw the paper's Figure 4: what each member answers to one question, under each method. Framed is the member
that is surest of the right answer, the specialist as MCL chooses it.

reads   params: table, data.root; data/features, models/answers, the pictures of data.root
writes  metrics/questions/NETWORK-kK-sSEED.png
"""

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from specialists import figures, losses
from specialists.data import clevr, prepared
from specialists.ensemble import mean
from specialists.params import read
from specialists.report import TITLES, Table, cell
from stages import run


def main():
    axes, root = read("table", Table), read("data.root", str)
    data = prepared.load("data/features")
    for network in axes.networks:
        path = f"metrics/questions/{network}-k{axes.ks[0]}-s{axes.seeds[0]}.png"
        figures.save(one_question(axes, network, data, root), path)


def one_question(axes, network, data, root):
    """The question on which the last method most clearly says what the others do not."""
    rows, answers = data.rows("report"), data.meta["answers"]
    label_B = data.labels(rows)
    logits = {method: said(cell(network, method, axes.ks[0], axes.seeds[0])) for method in axes.methods}
    right = {
        m: mean(logits_MBC).gather(1, label_B.unsqueeze(1)).squeeze(1) for m, logits_MBC in logits.items()
    }
    *others, last = right.values()
    row = (last - torch.stack(others).amax(0) if others else last).argmax().item()
    shown = {}
    for method, logits_MBC in logits.items():
        task_M1 = losses.task_loss(logits_MBC[:, row : row + 1], label_B[row : row + 1])
        best = answers[mean(logits_MBC)[row].argmax()]
        shown[TITLES[method]] = (logits_MBC[:, row].softmax(1).numpy(), task_M1.argmin().item(), best)
    official = clevr.read(root, "val")
    with Image.open(official.images[official.image[row]], formats=["PNG"]) as picture:
        return figures.distributions(
            shown, answers, answers[label_B[row]], official.text[row], picture.convert("RGB")
        )


def said(cell):
    """The logits of a cell's members on report."""
    path = f"models/answers/cells/{cell}.safetensors"
    try:
        return load_file(path)["report"].float()
    except (OSError, KeyError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate the cell again") from None


if __name__ == "__main__":
    run(main)
