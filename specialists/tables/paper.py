"""Published numbers, from paper.csv beside params.yaml.

Ours are of *Learning to Specialize with Knowledge Distillation*: MLP and SAN from its Table 1 (CLEVR
validation), ResNet-20 and VGG-17 from its Table 4 (CIFAR-100 test).
"""

import csv
from pathlib import Path

HEADER = ["network", "method", "k", "top1", "oracle"]


def published(path="paper.csv"):
    """(network, method, k) -> top-1 and oracle; nothing where there is no such file."""
    if not Path(path).exists():
        return {}
    found = {}
    try:
        header, *lines = csv.reader(Path(path).read_text().splitlines())
        if header != HEADER:
            raise ValueError
    except ValueError:  # also no line, or no text
        raise ValueError(f"{path}: line 1: expected {','.join(HEADER)}") from None
    for number, fields in enumerate(lines, 2):
        try:
            row, numbers = _parsed(fields)
        except ValueError as error:
            raise ValueError(f"{path}: line {number}: {','.join(fields)!r}: {error}") from None
        if row in found:
            raise ValueError(f"{path}: line {number}: {','.join(fields)!r}: its row stands twice")
        found[row] = numbers
    return found


def _parsed(fields):
    if len(fields) != len(HEADER):
        raise ValueError(f"{len(fields)} fields, expected {len(HEADER)}: {','.join(HEADER)}")
    network, method, k, *percents = fields
    if k and not (k.isdecimal() and int(k)):
        raise ValueError(f"k: {k!r} is neither empty nor a number of members")
    for name, text in zip(HEADER[3:], percents, strict=True):
        if not _is_percent(text):
            raise ValueError(f"{name}: {text!r} is no percentage")
    return (network, method, int(k) if k else None), dict(zip(HEADER[3:], map(float, percents), strict=True))


def _is_percent(text):
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
