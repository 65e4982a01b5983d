"""python -m stages.report

Collect the cells of the table: mean, std and n over seeds, ours beside the paper's, and draw its Figures 3
and 4.

reads   params: table, data.root; data/features, metrics/cells, metrics/curves, models/answers, the pictures
        of data.root
writes  metrics/table.json, table.csv, table.md, metrics/figures/*.png
"""

import torch
from PIL import Image
from safetensors.torch import load_file

from specialists import figures, losses
from specialists.data import clevr
from specialists.data.features import Features
from specialists.ensemble import mean
from specialists.files import read_json, replacing, write_json
from specialists.params import read
from specialists.report import TITLES, Table, cell, csv, markdown, table
from stages import run


def main():
    axes = read("table", Table)
    data = Features.load("data/features")
    rows = table(axes, {name: read_json(f"metrics/cells/{name}.json") for name in axes.cells()})
    write_json("metrics/table.json", rows)
    for path, text in (("metrics/table.csv", csv(rows)), ("metrics/table.md", markdown(rows))):
        with replacing(path) as draft:
            draft.write_text(text)
    for network in axes.networks:
        for method in axes.methods:
            name = cell(network, method, axes.ks[0], axes.seeds[0])
            title = f"{network.upper()}, {TITLES[method]}, k = {axes.ks[0]}: who learns which question family"
            counts = read_json(f"metrics/curves/cells/{name}.json")["families"]
            figures.save(
                figures.specialization(counts, data.group_names, title),
                f"metrics/figures/families-{name}.png",
            )
        path = f"metrics/figures/answers-{network}-k{axes.ks[0]}-s{axes.seeds[0]}.png"
        figures.save(one_question(axes, network, data), path)
    print(markdown(rows))


def one_question(axes, network, data):
    """Figure 4, for the question on which the last method most clearly says what the others do not."""
    rows, answers = data.rows("report"), data.meta["answers"]
    label_B = data.labels(rows)
    logits = {
        method: load_file(
            f"models/answers/cells/{cell(network, method, axes.ks[0], axes.seeds[0])}.safetensors"
        )["report"].float()
        for method in axes.methods
    }
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
    official = clevr.read(read("data.root", str), "val")
    with Image.open(official.images[official.image[row]], formats=["PNG"]) as picture:
        return figures.distributions(
            shown, answers, answers[label_B[row]], official.text[row], picture.convert("RGB")
        )


if __name__ == "__main__":
    run(main)
