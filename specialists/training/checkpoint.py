"""The state of training, which survives a kill; its name identifies all that decides the result."""

import hashlib
import io
import pickle
import sys
from pathlib import Path

import torch

from specialists.base import params
from specialists.base.files import digest, named, replacing
from specialists.base.runtime import DEVICE

FRESH = {"step": 0, "sums": {}, "curve": [], "seconds": 0.0, "scaler": {}, "means": {}}


def place(name, inputs, *arguments):
    """scratch/NAME-KEY.pt; KEY is all that decides the result: inputs, params read, arguments, code."""
    named(name)
    root = Path(__file__).parents[2]
    loaded = {getattr(module, "__file__", None) for module in list(sys.modules.values())} - {None}
    code = [file for file in loaded if file.startswith((f"{root}/specialists/", f"{root}/stages/"))]
    content = digest(*inputs, *sorted(code))
    decided = content, sorted(params.seen().items()), arguments, torch.__version__, DEVICE.type
    key = hashlib.sha256(repr(decided).encode()).hexdigest()
    return Path("scratch") / f"{Path(name).name}-{key[:16]}.pt"


def save(path, ensemble, optimizer, generator, state):
    tree = {
        "model": ensemble.state_dict(),
        "optimizer": optimizer.state_dict(),
        "noise": generator.get_state(),
    }
    torch.save(tree | {"state": state}, content := io.BytesIO())
    with replacing(path) as draft:
        draft.write_bytes(content.getbuffer())


def restore(path, ensemble, optimizer, generator):
    """The state to go on from, and weights, optimizer and noise as they were then."""
    if not path.exists():
        return dict(FRESH, curve=[], means={})
    try:
        tree = torch.load(path, weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError):
        raise ValueError(f"{path}: a damaged checkpoint; delete it to start again") from None
    ensemble.load_state_dict(tree["model"])
    optimizer.load_state_dict(tree["optimizer"])
    generator.set_state(tree["noise"])
    return tree["state"]
