"""Writing so that a crash leaves the old file or the new one; reading so that a mistake is one line."""

import hashlib
import json
import os
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tokenize import TokenError
from zipfile import BadZipFile

from safetensors import SafetensorError

# Errors of array readers on damaged files: numpy parses a header as Python.
DAMAGED = (
    *(OSError, EOFError, ValueError, KeyError, OverflowError, RecursionError),
    *(SyntaxError, TokenError, SafetensorError, BadZipFile),
)
RECENT = []  # what was read last, for an error that nobody foresaw


@contextmanager
def replacing(path):
    """Yield a draft beside `path`; it takes that name if the block ends well, else it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield draft
        with open(draft, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise OSError(f"{path}: could not be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def write_json(path, tree):
    """Sorted keys and a fixed layout, so that equal content is equal bytes."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(tree, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path):
    RECENT[:] = [path]
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"{path}: not found") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON, perhaps cut short: {error}") from None


def named(cell):
    """Refuse the name of a cell whose files would have none, or lie elsewhere."""
    if {"", ".", ".."} & {*cell.split("/")}:
        raise ValueError(f"CELL: {cell!r}: expected a name such as cells/NAME")


def digest(*paths):
    """One hash of the content of files, in the order given."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def md5(path):
    """The name that DVC gives to the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
