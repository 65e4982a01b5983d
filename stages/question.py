"""python -m stages.question NETWORK

Draw the paper's Figure 4: what each member answers to one question, under each method, of the first k and
seed of the table. Framed is the member that is surest of the right answer, the specialist as MCL chooses it.

reads   params: table, data.root, and titles from methods; data/features, models/answers, and the questions
        and pictures of data.root
writes  metrics/questions/NETWORK.png
"""

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from specialists import data
from specialists.answers.ensemble import mean
from specialists.base.command import run
from specialists.base.params import load, read
from specialists.data.clevr import official
from specialists.tables import figures
from specialists.tables.rows import Table, cell
from specialists.tables.titles import titles


def main(network: str):
    axes, called = read("table", Table), titles(load()["methods"])
    k, seed, prepared = axes.ks[0], axes.seeds[0], data.load("data/features")
    logits = {f"{called[m]}, k = {k}": said(cell(network, m, k, seed)) for m in axes.methods}
    questions = official.read(read("data.root", str), "val")
    figures.save(one_question(logits, prepared, questions), f"metrics/questions/{network}.png")


def one_question(logits, prepared, questions):
    """The question on which the last method most clearly says what the others do not."""
    rows, answers = prepared.rows("report"), prepared.meta["answers"]
    label_B, task = prepared.targets(rows), prepared.task
    *others, last = (
        mean(logits_MBC, task).gather(1, label_B.unsqueeze(1)).squeeze(1) for logits_MBC in logits.values()
    )
    row = (last - torch.stack(others).amax(0) if others else last).argmax().item()
    shown = {}
    for title, logits_MBC in logits.items():
        loss_M1 = task.loss(logits_MBC[:, row : row + 1], label_B[row : row + 1])
        best = answers[mean(logits_MBC, task)[row].argmax()]
        shown[title] = (task.distribution(logits_MBC[:, row]).numpy(), loss_M1.argmin().item(), best)
    with Image.open(questions.images[questions.image[row]], formats=["PNG"]) as picture:
        image = picture.convert("RGB")
    return figures.distributions(shown, answers, answers[label_B[row]], questions.text[row], image)


def said(cell):
    """The logits of a cell's members on report."""
    path = f"models/answers/cells/{cell}.safetensors"
    try:
        return load_file(path)["report"].float()
    except (OSError, KeyError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error}); evaluate the cell again") from None


if __name__ == "__main__":
    run(main)
