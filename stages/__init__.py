"""One file, one kind of stage: `python -m stages.NAME ARGUMENTS`, in a folder that holds params.yaml."""

import os
import sys
from contextlib import suppress
from pathlib import Path

# The checkout that holds the current folder counts, not the installed project: DVC runs queued experiments in
# copies of the repository.
_here = Path(__file__).resolve().parents[1]
_nearest = next(
    (up for up in (Path.cwd(), *Path.cwd().parents) if (up / "stages/__init__.py").exists()), _here
)
if _nearest != _here:
    __path__[:] = [str(_nearest / "stages")]
sys.path.insert(0, str(_nearest))

from specialists.base import portable  # noqa: E402

if Path("params.yaml").is_file():  # to read a FIFO would have no end; the stage says what is wrong with it
    with suppress(RecursionError):
        portable.announce()
        if portable.wanted("params.yaml"):
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # a GPU has bits of its own
