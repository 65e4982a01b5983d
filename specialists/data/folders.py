"""Writing a folder so that a crash leaves the old one, the new one or none, and never half of one."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(folder):
    """Yield an empty draft beside `folder`, which takes its name if the block ends well and goes if not."""
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
