"""The one object that knows of ranks. torchrun's environment says how many there are; one computes all here.

Many are those of ranks.py, which is loaded by name where there are many: no list of code holds it, and no
checkpoint's name, for N ranks make the numbers of one (tests/test_ranks.py, docs/ranks.md).
"""

import os
from importlib import import_module

from specialists.base.progress import Progress
from specialists.training import checkpoint


def join(*given):
    """The ranks of a training: `Ranks(ensemble, data, scaler)` of this file, or of ranks.py."""
    many = int(os.getenv("WORLD_SIZE", "1")) > 1
    return import_module(f"specialists.training.{('alone', 'ranks')[many]}").Ranks(*given)


class Ranks:
    """What `fit` computes with, and what it does once for all ranks: here they are one."""

    def __init__(self, ensemble, data, scaler):
        self.ensemble, self.data = ensemble, data

    def progress(self, *given):
        return Progress(*given)

    def add(self):
        """Make gradients those of the whole batch."""

    def agree(self, said):
        """What the first rank says."""
        return said

    def save(self, *given):
        checkpoint.save(*given)

    def leave(self):
        """All but the first rank end here, for what follows is computed and written once."""
