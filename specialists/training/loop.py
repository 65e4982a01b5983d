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
from specialists.training import checkpoint
from specialists.training.alone import join

SAVE_SECONDS = 30
UNSCALED = GradScaler(DEVICE.type, enabled=False)


def mix(*parts):
    """One seed from several parts, so that seed 1 of member 0 is not seed 0 of member 1."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


def plain(task):
    """The loss of a task in the form that `fit` wants, without a choice of members."""

    def loss(logits_MBC, target_B, position_B, generator):
        return task.loss(logits_MBC, target_B).sum(0), None

    return loss


def fit(ensemble, data, loss, budget, seed, scratch, scaler=UNSCALED):
    """Train all members on the same batches; returns (one record per epoch, seconds in all).

    `loss(logits_MBC, target_B, position_B, generator)` -> (loss_B, chosen_MB or None), where `position`
    counts within the train split. A member may add a loss of its own: the mean over the batch that its last
    forward pass left as `extra`. Order and noise of an epoch depend on (seed, epoch) alone, dropout on (seed,
    step). specialists/data/__init__.py lists what `data` must offer; it may have no rows of `select`.
    `scratch` is the file of the checkpoint. `scaler` keeps gradients in the range of fp16. Under torchrun
    `ranks` share the work; they have the numbers of one, and only the first returns.
    """
    ranks = join(ensemble, data, scaler)
    ensemble, data = ranks.ensemble, ranks.data
    train = data.rows("train")
    examples = len(data.order(budget.batch, torch.Generator()))
    steps = math.ceil(examples / budget.batch)
    optimizer, generator = budget.make(ensemble), torch.Generator(DEVICE)
    state = checkpoint.restore(scratch, ensemble, optimizer, generator)
    scaler.load_state_dict(scaler.state_dict() | state["scaler"])
    saved = start = time.monotonic()
    before = state["seconds"]

    def save():
        state.update(seconds=before + time.monotonic() - start, scaler=scaler.state_dict())
        ranks.save(scratch, ensemble, optimizer, generator, state)

    title = scratch.stem.rpartition("-")[0]
    with ranks.progress(title, budget.epochs * steps, state["step"]) as progress:
        for epoch in range(state["step"] // steps, budget.epochs):
            order = data.order(budget.batch, torch.Generator().manual_seed(mix(seed, epoch)))
            if state["step"] == epoch * steps:
                generator.manual_seed(mix(seed, epoch, "noise"))
                state |= {"loss": 0.0, "chosen": 0}
            ensemble.train()
            for position in order.split(budget.batch)[state["step"] - epoch * steps :]:
                budget.pace(optimizer, state["step"] / (budget.epochs * steps))
                torch.manual_seed(mix(seed, state["step"], "dropout"))
                optimizer.zero_grad()
                for piece in budget.pieces(position):
                    inputs, target = data.batch(train[piece])
                    logits_MBC = ensemble(*inputs, generator=generator)
                    loss_B, chosen_MB = loss(logits_MBC, target, piece, generator)
                    if (bad_B := ~loss_B.isfinite().cpu()).any():
                        row, value = train[piece][bad_B][0], loss_B[bad_B][0]
                        raise ValueError(f"the loss of row {row} is {value} at step {state['step']}")
                    extra = sum(getattr(member, "extra", 0) for member in ensemble.members)
                    scaler.scale((loss_B.sum() + len(piece) * extra) / len(position)).backward()
                    state["loss"] += loss_B.detach().double().sum().item()
                    state["chosen"] = state["chosen"] + (0 if chosen_MB is None else chosen_MB.sum(1))
                ranks.add()
                scaler.unscale_(optimizer)
                budget.shorten(ensemble.members)
                scaler.step(optimizer)
                scaler.update()
                state["step"] += 1
                progress.step()
                if ranks.agree(time.monotonic() - saved > SAVE_SECONDS) and state["step"] % steps:
                    save()
                    saved = time.monotonic()
            state["curve"].append(_record(ensemble, data, state, examples))
            progress.line(epoch + 1, budget.epochs, state["curve"][-1])
            save()
    ranks.leave()
    return state["curve"], state["seconds"]


def _record(ensemble, data, state, examples):
    record, rows = {"loss": state["loss"] / examples}, data.rows("select")
    if len(rows):
        select = metrics.accuracy(answer(ensemble, data, rows), data.targets(rows), data.task)
        record |= {"select_top1": select["top1"], "select_oracle": select["oracle"]}
    return record if isinstance(state["chosen"], int) else record | {"chosen": state["chosen"].tolist()}
