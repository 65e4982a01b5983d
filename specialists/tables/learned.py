"""Who learned what: how many examples of each group a cell assigned to each member.

F groups, M members
"""

import numpy as np

from specialists.base.files import read_json


def assigned(cell, groups):
    """count_FM of a cell, for the names of all groups."""
    path = f"metrics/curves/cells/{cell}.json"
    curves = read_json(path)
    counts = curves.get("families") if isinstance(curves, dict) else None
    if not isinstance(counts, list) or len(counts) != len(groups):
        raise ValueError(
            f"{path}: families: found {counts!r:.60}, expected counts for {len(groups)} families"
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
