"""Tools to run by hand: `python -m tools.NAME ARGUMENTS`."""

import sys
from pathlib import Path

# As in stages/__init__.py: what counts is the checkout that holds the current folder.
_here = Path(__file__).resolve().parents[1]
_nearest = next(
    (up for up in (Path.cwd(), *Path.cwd().parents) if (up / "tools/__init__.py").exists()), _here
)
if _nearest != _here:
    __path__[:] = [str(_nearest / "tools")]
sys.path.insert(0, str(_nearest))
