"""Spoilt files of every reader: an answer, or a line that somebody wrote; python -m tools.fuzz tries more."""

import random
import signal
import time

import pytest

from tools import fuzz, spoil

INPUTS = 180


def test_spoilt_files_are_read_or_refused_in_one_line():
    for name, found in fuzz.fuzzed([*fuzz.READERS], INPUTS, seed=7):
        assert len(found) == INPUTS // len(fuzz.READERS)
        assert not any(found), (name, [each for each in found if each])


def test_what_goes_wrong_is_seen(tmp_path, monkeypatch):
    """Of the fuzzer itself: another error, a hang and a wrong reader are told from a refusal."""

    def read(folder):
        text = (folder / "number").read_text()
        if text != "12":
            raise {True: ValueError, False: KeyError}[text.isdecimal()](text)

    (tmp_path / "number").write_text("12")
    assert fuzz.verdict(read, tmp_path) is None
    (tmp_path / "number").write_text("13")
    assert fuzz.verdict(read, tmp_path) is None
    (tmp_path / "number").write_text("x")
    assert fuzz.verdict(read, tmp_path) == "KeyError: 'x'"
    (tmp_path / "number").write_text("late")
    monkeypatch.setattr(fuzz, "SECONDS", 1)
    signal.signal(signal.SIGALRM, fuzz.late)
    assert fuzz.verdict(lambda folder: time.sleep(3), tmp_path) == "nothing after 1 seconds"
    assert fuzz.verdict(lambda folder: int("q"), tmp_path).startswith("ValueError, which nobody meant: inv")
    monkeypatch.setitem(fuzz.READERS, "none", (lambda folder: None, lambda folder: 1 / 0))
    with pytest.raises(AssertionError, match="none: what nobody spoilt is refused: ZeroDivisionError"):
        next(fuzz.fuzzed(["none"], 1, seed=0))
    with pytest.raises(ValueError, match="READER: 'x' is unknown; known: params, clevr"):
        fuzz.main(1, reader="x")


def test_each_way_to_spoil_changes_something_and_the_same_seed_the_same():
    content = b'{"size": 12, "name": "red", "more": [1.5, true, null]}' * 3
    for way in (spoil.flipped, spoil.cut, spoil.lost, spoil.twice, spoil.strange):
        made = [way(content, random.Random(i)) for i in range(20)]
        assert len({*made}) > 10
        assert made == [way(content, random.Random(i)) for i in range(20)]
    assert all(isinstance(spoil.spoilt(b"", random.Random(i)), bytes) for i in range(20))
