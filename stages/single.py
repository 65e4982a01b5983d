"""python -m stages.single NETWORK SEED NAME [--budget ROW] [--boxes K] [--teacher FILE] [--answers]

Train one network alone, by a tactic: another network, another budget (delayed updates), K boxes of an image,
or a teacher, whose logits on train are in FILE. Accuracy is by type of answer.

reads   params: compute, networks.NETWORK, budgets.ROW (`base` if none is named); with --teacher taught;
        data/features
writes  models/NAME.safetensors; metrics/curves/NAME.json; metrics/NAME.json: accuracy in percent on select
        and report, in all and by type; MiB that a step keeps for its backward pass; parameters; with
        --answers models/answers/NAME.safetensors: logits on report
"""

import torch
from safetensors.torch import save

from specialists import data as prepared
from specialists.answers import ballots
from specialists.answers.ensemble import Ensemble, answer
from specialists.answers.said import kept
from specialists.base.command import run
from specialists.base.files import replacing, write_json
from specialists.base.params import configure, read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.students import distillation
from specialists.training import checkpoint, memory, outputs
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix
from specialists.training.step import home


def main(
    network: str,
    seed: int,
    name: str,
    *,
    budget: str = "base",
    boxes: str = "",
    teacher: str = "",
    answers: bool = False,
):
    setup(read("compute", Compute))
    how, data = read(f"budgets.{budget}", Budget), prepared.load("data/features")
    if not (boxes or "0").isdecimal():
        raise ValueError(f"--boxes: {boxes!r} is not a number")
    data = data.best(int(boxes)) if boxes else data
    torch.manual_seed(mix("weights", network, "single", seed))
    ensemble = Ensemble([builder(network, data.shape)()])
    told = home().Said([teacher]) if teacher else None
    distill = configure("taught", distillation.distill) if teacher else None

    def loss(logits_MBC, target_B, position_B, generator):
        if told is None:
            return data.task.loss(logits_MBC, target_B)[0], None
        said_BC = data.task.distribution(told.at(position_B, logits_MBC.device)[0])
        return distill(logits_MBC[0], said_BC, target_B, data.task), None

    inputs = ["data/features/meta.json", *filter(None, [teacher])]
    scratch = checkpoint.place(name, inputs, network, seed, budget, boxes)
    curve, seconds = fit(ensemble, data, loss, how, mix("batches", network, "single", seed), scratch)
    outputs.write(ensemble, f"models/{name}.safetensors", name, {"curve": curve}, seconds, scratch)
    said = {split: answer(ensemble, data, data.rows(split)) for split in ("select", "report")}
    if answers:
        with replacing(kept(name)) as draft:
            draft.write_bytes(save({"report": said["report"]}))
    write_json(f"metrics/{name}.json", measured(ensemble, said, data, how))


def measured(ensemble, by_split, data, budget):
    """What metrics/NAME.json holds."""
    result = {"parameters": sum(each.numel() for each in ensemble.parameters())}
    for split, logits_MBC in by_split.items():
        rows = data.rows(split)
        right_B = data.task.right(logits_MBC[0].argmax(1), data.targets(rows))
        result[split] = ballots.by_kind(right_B, data.kinds(rows), data.kind_names)
    piece = budget.pieces(data.rows("train")[: budget.batch])[0]
    inputs, target = data.batch(piece)
    ensemble.train()
    return result | {
        "kept_mib": memory.kept(ensemble, inputs, lambda said: data.task.loss(said, target).sum())
    }


if __name__ == "__main__":
    run(main)
