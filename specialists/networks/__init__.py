"""One network per file; `network: san` in params.yaml is `specialists/networks/san.py`."""

from importlib import import_module
from pathlib import Path


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
