"""Writing a folder so that a crash leaves the old one, the new one or none, and never half of one.

And what no folder of data may hold.
"""

import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path

ENDLESS = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)


@contextmanager
def replacing(folder):
    """Yield an empty draft beside `folder`; it takes that name if the block ends well, else it is removed."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # named by process: a worker that outlives a killed run must not write into this one's
    draft, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{end}") for end in ("draft", "old"))
    _sweep(folder)
    try:
        draft.mkdir()
        yield draft
        if folder.exists():
            folder.rename(old)
        draft.rename(folder)
    except OSError as error:
        raise OSError(f"{folder}: could not be made: {error}") from error
    finally:
        _sweep(folder)


def _sweep(folder):
    """Remove drafts, those of killed runs too."""
    for end in ("draft", "old"):
        for path in folder.parent.glob(f".{folder.name}.*.{end}"):
            shutil.rmtree(path, ignore_errors=True)


def readable(path):
    """Refuse a file, or a folder with one, that has no content before somebody writes, or that has no end."""
    inside = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    for each in filter(os.path.exists, [path, *inside]):
        if stat.S_IFMT(os.stat(each).st_mode) in ENDLESS:
            raise ValueError(f"{each}: a FIFO, a socket or a device; expected a file")
