"""Which answers are learned, and how right each of them is to a question.

An answer is learned if it is the common answer of enough questions. The list is sorted, so that equal data
give equal numbers, and travels with the weights: an index means nothing without it.
"""

import itertools
import re
from collections import Counter, defaultdict

import numpy as np

from specialists.data.vqa2.official import ANSWER_TYPES
from specialists.data.vqa2.scoring import normalized, worth

NUMBER = re.compile(r"[-+.eE\d]*\d[-+.eE\d]*")
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


def kinds(annotations, answers):
    """The type of each answer: that of the questions to which most people gave it; of equals *other*."""
    count = defaultdict(Counter)
    for each in annotations:
        for answer in map(normalized, each.answers):
            count[answer][each.answer_type] += 1
    return [max(ANSWER_TYPES, key=lambda kind: (count[answer][kind], kind == "other")) for answer in answers]


def vectors(path, words):
    """(words, E) float32 from a text file with a word and its numbers a line; zeros where it has none.

    A word of GloVe may hold blanks; a first line as word2vec's says how many words and numbers there are.
    """
    place, found = {word: i for i, word in enumerate(words)}, None
    try:
        lines = open(path, encoding="utf-8")
    except OSError as error:
        raise ValueError(f"features.vectors: {path}: {error.strerror}") from None
    with lines:
        first = next(lines, "")
        width, header = _form(first.split())
        if width < 1:
            raise ValueError(
                f"features.vectors: {path}: line 1: found {first!r:.60}, expected a word and numbers"
            )
        for number, line in enumerate(itertools.chain([first], lines), 1):
            word, *values = line.rstrip().split(" ")
            if word not in place or number <= header or _blank(values, width):
                continue
            found = np.zeros((len(words), width), np.float32) if found is None else found
            try:
                found[place[word]] = np.array(values, np.float32).reshape(width)
            except ValueError:
                said = f"{len(values)} values of {word!r}, expected {width} numbers"
                raise ValueError(f"features.vectors: {path}: line {number}: {said}") from None
    if found is None:
        raise ValueError(f"features.vectors: {path}: none of {len(words)} words is in it")
    return found


def _form(first):
    """(how many numbers a word has, whether the first line says so)"""
    header = len(first) == 2 and all(map(str.isdecimal, first))
    return (int(first[1]) if header else len(first) - 1), header


def _blank(values, width):
    """Whether a part of a word stands before its numbers."""
    return not all(map(NUMBER.fullmatch, values[:-width]))
