"""Words and ids, by hand."""

import numpy as np
import pytest

from specialists.data.text import encode, tokenize, vocabulary


def test_words_and_the_semicolon():
    assert tokenize("There is a Big, RED cube; how many\tthings?") == (
        ["there", "is", "a", "big", "red", "cube", ";", "how", "many", "things"]
    )


def test_vocabulary_is_sorted_behind_the_two_reserved_ids():
    assert vocabulary(["the red cube?", "A cube; is it red"]) == (
        ["<padding>", "<unknown>", ";", "a", "cube", "is", "it", "red", "the"]
    )


def test_encode_by_hand():
    words = vocabulary(["is it red"])
    tokens, length = encode(["Is it?", "it is not red", "red"], words, 3)
    assert tokens.dtype == np.int16 and length.dtype == np.int32
    assert tokens.tolist() == [[2, 3, 0], [3, 2, 1], [4, 0, 0]]
    assert length.tolist() == [2, 3, 1]


@pytest.mark.parametrize("empty", ["", " ", "?!"])
def test_a_question_without_words(empty):
    with pytest.raises(ValueError, match="^question 1: .* has no words$"):
        encode(["red", empty], vocabulary(["red"]), 3)


def test_more_words_than_int16():
    with pytest.raises(ValueError, match="40000 words"):
        encode(["red"], ["red"] * 40000, 3)
