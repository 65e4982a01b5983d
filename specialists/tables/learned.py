"""Who learned what.

F groups, M members
"""

import numpy as np

from specialists.base.files import read_json


def assigned(name, families):
    """How many examples of each family a cell assigned to each member."""
    path = f"metrics/curves/cells/{name}.json"
    curves = read_json(path)
    counts = curves.get("families") if isinstance(curves, dict) else None
    if not isinstance(counts, list) or len(counts) != len(families):
        raise ValueError(
            f"{path}: families: found {counts!r:.60}, expected counts for {len(families)} families"
        )
    try:
        np.array(counts, np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{path}: families: found {counts!r:.60}, expected counts ({error})") from None
    return counts


def dominated(count_FM):
    """(group, percent) of each member: the (first) group of which it learns the largest share."""
    for count_F in zip(*count_FM, strict=True):
        share_F = [100 * count / max(sum(all_M), 1) for count, all_M in zip(count_F, count_FM, strict=True)]
        yield share_F.index(max(share_F)), max(share_F)
