"""The one loop: fit members to batches, checkpoint, and go on after a kill as if nothing had happened.

M members, B batch, C answers
"""

import hashlib
import math
import time

import torch
from torch.amp import GradScaler

from specialists.answers import metrics
from specialists.answers.ensemble import answer
from specialists.base.runtime import DEVICE
from specialists.training import checkpoint, step
from specialists.training.alone import join
from specialists.training.average import Mean

SAVE_SECONDS = 30
UNSCALED = GradScaler(DEVICE.type, enabled=False)
UNASKED = torch.zeros((), dtype=torch.float64)


def mix(*parts):
    """One seed from several parts, so that seed 1 of member 0 is not seed 0 of member 1."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


def plain(task):
    """The loss of a task in the form that `fit` wants, without a choice of members."""

    def loss(logits_MBC, target_B, position_B, generator):
        return task.loss(logits_MBC, target_B).sum(0), None

    return loss


def fit(ensemble, data, loss, budget, seed, scratch, scaler=UNSCALED, average=0.0, done=UNASKED):
    """Train all members on the same batches; returns (one record per epoch, seconds in all).

    `loss(logits_MBC, target_B, position_B, generator)` -> (loss_B, chosen_MB or None), where `position`
    counts within the train split. A member may add a loss of its own: the mean over the batch that its last
    forward pass left as `extra`. Order and noise of an epoch depend on (seed, epoch) alone, dropout on (seed,
    step). specialists/data/__init__.py lists what `data` must offer; it may have no rows of `select`.
    `scratch` is the file of the checkpoint. `scaler` keeps gradients in the range of fp16. With `average` the
    weights end as their mean over that share of the steps, the last; the curve is that of what trains. `done`
    is a tensor of the device, where a loss may read the share of the training that is done: it is filled
    before each step, and in the end with 1. Under torchrun `ranks` share the work; they have the numbers of
    one, and only the first returns.
    """
    ranks = join(ensemble, step.home().kept(data), scaler)
    ensemble, data = ranks.ensemble, ranks.data
    train = data.rows("train")
    examples = len(data.order(budget.batch, torch.Generator()))
    steps = math.ceil(examples / budget.batch)
    total = budget.epochs * steps
    optimizer, generator = budget.make(ensemble), torch.Generator(DEVICE)
    state = checkpoint.restore(scratch, ensemble, optimizer, generator)
    scaler.load_state_dict(scaler.state_dict() | state["scaler"])
    each = step.home().Step(ranks, loss, budget, optimizer, generator, scaler)
    for name, summed in state["sums"].items():
        each.sums[name].copy_(summed)
    mean = Mean(ensemble, average, total, state["means"])
    saved = start = time.monotonic()
    before = state["seconds"]

    def save():
        state.update(seconds=before + time.monotonic() - start, scaler=scaler.state_dict(), sums=each.sums)
        ranks.save(scratch, ensemble, optimizer, generator, state)

    title = scratch.stem.rpartition("-")[0]
    with ranks.progress(title, total, state["step"]) as progress:
        for epoch in range(state["step"] // steps, budget.epochs):
            order = data.order(budget.batch, torch.Generator().manual_seed(mix(seed, epoch)))
            if state["step"] == epoch * steps:
                generator.manual_seed(mix(seed, epoch, "noise"))
                each.clear()
            ensemble.train()
            for position in order.split(budget.batch)[state["step"] - epoch * steps :]:
                done.fill_(share := state["step"] / total)
                budget.pace(optimizer, share)
                torch.manual_seed(mix(seed, state["step"], "dropout"))
                for piece in budget.pieces(position):
                    each.learn(*data.batch(train[piece]), piece, len(position))
                each.update()
                each.done(epoch)
                state["step"] += 1
                mean.add(state["step"])
                progress.step()
                if ranks.agree(time.monotonic() - saved > SAVE_SECONDS) and state["step"] % steps:
                    each.check(epoch)
                    save()
                    saved = time.monotonic()
            each.check(epoch)
            state["curve"].append(_record(ensemble, data, each.sums, examples))
            progress.line(epoch + 1, budget.epochs, state["curve"][-1])
            save()
    ranks.leave()
    mean.put()
    done.fill_(1)
    return state["curve"], state["seconds"]


def _record(ensemble, data, sums, examples):
    record, rows = {"loss": sums["loss"].item() / examples}, data.rows("select")
    if len(rows):
        select = metrics.accuracy(answer(ensemble, data, rows), data.targets(rows), data.task)
        record |= {"select_top1": select["top1"], "select_oracle": select["oracle"]}
    return record | {"chosen": sums["chosen"].tolist()} if sums["chosen"].any() else record
