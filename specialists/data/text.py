"""Questions to numbers: words, a vocabulary with two reserved ids, and rows of tokens of one length."""

import re

import numpy as np

PADDING, UNKNOWN = 0, 1
RESERVED = ["<padding>", "<unknown>"]
WORD = re.compile(r"\w+|;")


def tokenize(question):
    """Lower-case words. The semicolon, between a premise and its question, counts as one; other signs go."""
    return WORD.findall(question.lower())


def vocabulary(questions):
    """The word of each id: the reserved ones, then every word of these questions in sorted order."""
    return RESERVED + sorted({word for question in questions for word in tokenize(question)})


def encode(questions, words, longest):
    """(tokens (questions, longest) int16, length int32): left-aligned, cut at `longest`; new is UNKNOWN."""
    if len(words) > np.iinfo(np.int16).max:
        raise ValueError(f"{len(words)} words do not fit into int16 tokens")
    ids = {word: i for i, word in enumerate(words)}
    tokens = np.full((len(questions), longest), PADDING, np.int16)
    length = np.zeros(len(questions), np.int32)
    for row, question in enumerate(questions):
        line = [ids.get(word, UNKNOWN) for word in tokenize(question)[:longest]]
        if not line:
            raise ValueError(f"question {row}: {question!r} has no words")
        tokens[row, : len(line)] = line
        length[row] = len(line)
    return tokens, length
