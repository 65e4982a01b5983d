"""Which answers are learned, and how right each of them is to a question.

An answer is learned if it is the common answer of enough questions. The list is sorted, so that equal data
give equal numbers, and travels with the weights: an index means nothing without it.
"""

from collections import Counter

import numpy as np

from specialists.data.vqa2.scoring import normalized, worth

LEAST = 9  # questions; with train and val of the real data that leaves 3,129 answers


def vocabulary(annotations, least=LEAST):
    """The answers that are learned, in sorted order."""
    count = Counter(normalized(each.common) for each in annotations)
    return sorted(answer for answer, times in count.items() if times >= least)


def shares(answers, places):
    """Place in the vocabulary -> how right it is: 0.3, 0.6, 0.9 or 1 where 1, 2, 3 or more of ten agree.

    That is the accuracy of the answer, by scoring.py, where all answers are in one form.
    """
    count = Counter(places[form] for form in map(normalized, answers) if form in places)
    people = len(answers)
    return {place: worth([i < same for i in range(people)]) for place, same in sorted(count.items())}


def packed(shares_of_each):
    """(questions, 2, A) float32, as specialists/answers/votes.py reads it: places and shares, then 0."""
    most = max((len(shares) for shares in shares_of_each), default=0)
    found = np.zeros((len(shares_of_each), 2, max(most, 1)), np.float32)
    for row, each in zip(found, shares_of_each, strict=True):
        row[0, : len(each)], row[1, : len(each)] = [*each], [*each.values()]
    return found
