"""The one loop: fit members to batches, checkpoint, and go on after a kill as if nothing had happened.

M members, B batch, C answers
"""

import hashlib
import io
import math
import pickle
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from specialists import metrics
from specialists.files import digest, replacing
from specialists.runtime import DEVICE

SAVE_SECONDS = 30


@dataclass(frozen=True)
class Budget:
    """How long and how: the optimizer, and the learning rate over the steps.

    It climbs to `lr` during the share `warmup` of all steps, then falls to `lr_end` along a half cosine; with
    `drops` it stays, times `factor` from each of these shares on. SGD is that of Nesterov, with momentum 0.9.
    """

    epochs: int
    batch: int
    lr: float
    lr_end: float = 0.0
    optimizer: str = "adam"
    weight_decay: float = 0.0
    warmup: float = 0.0
    drops: list[float] = ()
    factor: float = 0.1

    def __post_init__(self):
        if self.epochs < 1 or self.batch < 1:
            raise ValueError(f"epochs {self.epochs} and batch {self.batch} must be at least 1")
        if not 0 <= self.lr_end <= self.lr:
            raise ValueError(f"lr_end {self.lr_end} is out of range: 0 to lr = {self.lr}")
        if self.optimizer not in ("adam", "sgd"):
            raise ValueError(f"optimizer: {self.optimizer!r} is unknown; known: adam, sgd")
        for name, share in (("warmup", self.warmup), *(("drops", drop) for drop in self.drops)):
            if not 0 <= share < 1:
                raise ValueError(f"{name}: {share} is out of range: a share of all steps, below 1")

    def rate(self, done):
        """The learning rate when the share `done` of all steps is done."""
        if done < self.warmup:
            return self.lr * done / self.warmup
        if self.drops:
            return self.lr * self.factor ** sum(done >= drop for drop in self.drops)
        fallen = (done - self.warmup) / (1 - self.warmup)
        return self.lr_end + (self.lr - self.lr_end) * (1 + math.cos(math.pi * fallen)) / 2

    def make(self, module):
        """The optimizer of a module; weights decay, biases and normalisation do not."""
        weights = [p for p in module.parameters() if p.ndim > 1]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": [p for p in module.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "adam":
            return torch.optim.Adam(groups, lr=self.lr, fused=True)
        return torch.optim.SGD(groups, lr=self.lr, momentum=0.9, nesterov=True, fused=True)


def mix(*parts):
    """One seed from several parts, so that seed 1 of member 0 is not seed 0 of member 1."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7])


def checkpoint(name, inputs, *arguments):
    """scratch/NAME-KEY.pt, where KEY is all that decides the result: inputs, params, arguments, code."""
    root = Path(__file__).parents[1]
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
    code = [file for file in loaded if file.startswith((f"{root}/specialists/", f"{root}/stages/"))]
    content = digest("params.yaml", *inputs, *sorted(code))
    key = hashlib.sha256(repr((content, arguments, torch.__version__)).encode()).hexdigest()
    return Path("scratch") / f"{Path(name).name}-{key[:16]}.pt"


def fit(ensemble, data, loss, budget, seed, checkpoint):
    """Train all members on the same batches; returns one record per epoch.

    `loss(logits_MBC, label_B, position_B, generator)` -> (loss_B, chosen_MB or None), where `position` counts
    within the train split. Order and noise of an epoch depend on (seed, epoch) alone. What `data` must offer
    is said in specialists/data/prepared.py.
    """
    train = data.rows("train")
    examples = len(data.order(budget.batch, torch.Generator()))
    steps = math.ceil(examples / budget.batch)
    optimizer, generator = budget.make(ensemble), torch.Generator(DEVICE)
    state = _restore(checkpoint, ensemble, optimizer, generator)
    saved = time.monotonic()
    with Progress(budget.epochs * steps, state["step"]) as progress:
        for epoch in range(state["step"] // steps, budget.epochs):
            order = data.order(budget.batch, torch.Generator().manual_seed(mix(seed, epoch)))
            if state["step"] == epoch * steps:
                generator.manual_seed(mix(seed, epoch, "noise"))
                state |= {"loss": 0.0, "chosen": 0}
            ensemble.train()
            for position in order.split(budget.batch)[state["step"] - epoch * steps :]:
                inputs, label = data.batch(train[position])
                logits_MBC = ensemble(*inputs, generator=generator)
                loss_B, chosen_MB = loss(logits_MBC, label, position, generator)
                if (bad_B := ~loss_B.isfinite().cpu()).any():
                    row, value = train[position][bad_B][0], loss_B[bad_B][0]
                    raise ValueError(f"the loss of row {row} is {value} at step {state['step']}")
                for group in optimizer.param_groups:
                    group["lr"] = budget.rate(state["step"] / (budget.epochs * steps))
                optimizer.zero_grad()
                loss_B.mean().backward()
                optimizer.step()
                state["step"] += 1
                state["loss"] += loss_B.detach().double().sum().item()
                state["chosen"] = state["chosen"] + (0 if chosen_MB is None else chosen_MB.sum(1))
                progress.step()
                if time.monotonic() - saved > SAVE_SECONDS and state["step"] % steps:
                    _save(checkpoint, ensemble, optimizer, generator, state)
                    saved = time.monotonic()
            state["curve"].append(_record(ensemble, data, state, examples))
            progress.line(epoch + 1, budget.epochs, state["curve"][-1])
            _save(checkpoint, ensemble, optimizer, generator, state)
    return state["curve"]


@torch.no_grad()
def answer(ensemble, data, rows, batch=500):
    """logits_MBC of all members on the given rows, in evaluation mode."""
    ensemble.eval()
    logits_MBC = torch.cat([ensemble(*data.batch(part)[0]).cpu() for part in rows.split(batch)], 1)
    if (bad_B := ~logits_MBC.isfinite().all(2).all(0)).any():
        raise ValueError(
            f"the answer to row {rows[bad_B][0]} is not finite: look at its features and the weights"
        )
    return logits_MBC


def _record(ensemble, data, state, examples):
    rows = data.rows("select")
    logits_MBC = answer(ensemble, data, rows)
    select = metrics.accuracy(logits_MBC, data.labels(rows))
    record = {
        "loss": state["loss"] / examples,
        "select_top1": select["top1"],
        "select_oracle": select["oracle"],
    }
    return record if isinstance(state["chosen"], int) else record | {"chosen": state["chosen"].tolist()}


def _save(checkpoint, ensemble, optimizer, generator, state):
    tree = {
        "model": ensemble.state_dict(),
        "optimizer": optimizer.state_dict(),
        "noise": generator.get_state(),
    }
    torch.save(tree | {"state": state}, content := io.BytesIO())
    with replacing(checkpoint) as draft:
        draft.write_bytes(content.getbuffer())


def _restore(checkpoint, ensemble, optimizer, generator):
    if not checkpoint.exists():
        return {"step": 0, "loss": 0.0, "chosen": 0, "curve": []}
    try:
        tree = torch.load(checkpoint, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        raise ValueError(f"{checkpoint}: a damaged checkpoint; delete it to start again") from None
    ensemble.load_state_dict(tree["model"])
    optimizer.load_state_dict(tree["optimizer"])
    generator.set_state(tree["noise"])
    return tree["state"]


class Progress:
    """A bar with the time left on a terminal, a line per epoch elsewhere."""

    def __init__(self, steps, done):
        self.steps, self.done, self.first, self.start = steps, done, done, time.monotonic()
        self.bar = tqdm(
            total=steps, initial=done, unit="step", dynamic_ncols=True, disable=not sys.stderr.isatty()
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bar.close()

    def step(self):
        self.done += 1
        self.bar.update()

    def line(self, epoch, epochs, record):
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in record.items() if name != "chosen")
        left = (time.monotonic() - self.start) / (self.done - self.first) * (self.steps - self.done)
        self.bar.write(f"epoch {epoch}/{epochs}  {numbers}  {left:.0f} s left", file=sys.stderr)
