"""One method a file. Its `loss` is given what its parameters name:

    task_MB        what each member pays for an example that it learns
    logits_MBC     what each member says
    teacher_MBC    what the base model of each member says; a method that does not ask needs no teachers
    k              how many members learn an example; a method that does not ask is a generalist
    generator      of random numbers
    task           what a right answer is: a file like specialists/answers/label.py
    done           the share of the training that is done, a tensor; 1 where members are asked after it
    *, settings    those of its row in params.yaml

Beside them a row may have `method`, a file of another name; `sharing`, the probability with which members get
each other's features (answers/ensemble.py); `average`, the share of the steps, the last, over which weights
are averaged (training/average.py). A loss returns (loss_B, chosen_MB). The docstring of the file begins with
the method's title. A file without `loss` is the base models as they are.
"""

import inspect
from importlib import import_module
from pathlib import Path

import torch

from specialists.base import params

GIVEN = ("task_MB", "logits_MBC", "teacher_MBC", "k", "generator", "task", "done")
BESIDE = ("method", "sharing", "average")  # keys of a row that are not for its loss


class Method:
    """A row of params.yaml `methods`: its loss, and what that needs."""

    def __init__(self, row):
        section = f"methods.{row}"
        file = _file(params.optional(section, "method", str, row))
        self.sharing = params.optional(section, "sharing", float, None)
        self.average = params.optional(section, "average", float, 0.0)
        self.file, self.trains = file.__file__, hasattr(file, "loss")
        function = getattr(file, "loss", _untrained)
        if self.average and not self.trains:
            raise ValueError(f"{section}.average: {self.average}: this method does not train")
        self._loss = params.configure(section, function, BESIDE)
        asked = inspect.signature(function).parameters.values()
        self._asks = [p.name for p in asked if p.kind is not p.KEYWORD_ONLY]
        for name in self._asks:
            if name not in GIVEN:
                raise ValueError(f"{self.file}: loss asks for {name}; it is given {', '.join(GIVEN)}")

    @property
    def generalist(self):
        return "k" not in self._asks

    @property
    def taught(self):
        return "teacher_MBC" in self._asks

    def loss(self, **given):
        """(loss_B, chosen_MB)"""
        loss_B, chosen_MB = self._loss(**{name: given[name] for name in self._asks})
        found, right = (loss_B.shape, chosen_MB.shape, chosen_MB.dtype), given["task_MB"].shape
        if found != (right[1:], right, torch.bool):
            raise ValueError(f"{self.file}: loss returns {found}, expected {(right[1:], right, torch.bool)}")
        return loss_B, chosen_MB


def _untrained():
    """The loss of a method that does not train."""


def _file(name):
    known = sorted(p.stem for folder in __path__ for p in Path(folder).glob("[!_]*.py"))
    if name not in known:
        raise ValueError(f"method: {name!r} is not a file of specialists/methods; known: {', '.join(known)}")
    return import_module(f"specialists.methods.{name}")
