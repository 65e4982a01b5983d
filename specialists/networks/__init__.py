"""One network per file; a row of params.yaml `networks` names its file, or has its name."""

from importlib import import_module
from pathlib import Path

from torch import nn

from specialists.base import params
from specialists.base.runtime import hold_convolutions


def network(name):
    """The class `Network` of the file with that name: Network(data's shape..., *, settings...)."""
    known = sorted(
        p.stem for p in Path(__file__).parent.glob("[!_]*.py") if "class Network(" in p.read_text()
    )
    if name not in known:
        raise ValueError(
            f"network: {name!r} is not a file of specialists/networks; known: {', '.join(known)}"
        )
    return import_module(f"specialists.networks.{name}").Network


def builder(row, shape, told=False):
    """A function that makes a new network of a row at each call, for data of that shape.

    `told`: whether the network is told the answers.
    """
    section = f"networks.{row}"
    file = network(params.optional(section, "network", str, row))
    if getattr(file, "told", False) != told:
        reason = (
            "is told no answer, so it is no such teacher"
            if told
            else "is told the answer, so it can only teach"
        )
        raise ValueError(f"{section}: this network {reason}")

    def build():
        made = params.read(section, file, *shape, beside=("network",))
        if not all(values.numel() for values in made.parameters()):
            raise ValueError(f"params.yaml: {section}: a layer of size 0")
        if any(isinstance(part, nn.Conv2d) for part in made.modules()):
            hold_convolutions()
        return made

    return build
