"""Who learned what.

F groups, M members
"""


def dominated(count_FM):
    """(group, percent) of each member: the (first) group of which it learns the largest share."""
    for count_F in zip(*count_FM, strict=True):
        share_F = [100 * count / max(sum(all_M), 1) for count, all_M in zip(count_F, count_FM, strict=True)]
        yield share_F.index(max(share_F)), max(share_F)
