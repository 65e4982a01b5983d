"""./reproduce killed at each place where it, or what it starts, writes: the next one ends in the same bytes.

`KILLS=all pytest tests/test_kills.py` kills at every one of them, KILLS=20 at twenty drawn ones.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import ROOT, environment, run
from tests.test_cluster import BEGIN, checkout, commit, numbers, top

PIPELINE = (
    BEGIN
    + """\
  cell:
    cmd: python work.py cell answers/ie.bin metrics/specialties/ie.md
    deps: [data, code/all.txt]
    outs: [answers/ie.bin, metrics/specialties/ie.md: {cache: false}]
  track:
    cmd: python -m stages.track
    deps: [metrics/specialties]
"""
)
PAGE = "<!-- pipelines/toy/metrics/specialties/ie.md -->\n<!-- end -->\n"
EVERY = "dvc tools.reproduce tools.pages"
KILLS = os.getenv("KILLS", "")
CASES = {  # (from where, which changes, the one of them that is always tried, when, who is killed)
    "a power cut": ("blank", "", "dvc: open .*/dvc.lock", "before", "parent self"),
    "alone, so that DVC writes on": ("blank", "dvc", "dvc: open .*/answers", "before", "parent"),
    "a second after it began something": ("blank", "tools.* subprocess", ".* dvc .*", "after", "self"),
    "while it mends": ("computed", "tools", ".* os.rename .*dvc.lock", "before", "self"),
}


@pytest.fixture(scope="module")
def blank(tmp_path_factory):
    """A repository with our code, and a pipeline of which nothing was computed yet."""
    folder = tmp_path_factory.mktemp("reproduce") / "blank"
    place = checkout(folder, folder.with_name("remote"), PIPELINE)
    (top(place) / "README.md").write_text(PAGE)
    (top(place) / "stages/track.py").write_text("open('tracked', 'a').write('tracked\\n')\n")
    commit(place)
    return place


@pytest.fixture(scope="module")
def computed(blank):
    """The same where all is computed and committed, and then a DVC left all that it can leave."""
    place = copied(blank, "computed")
    ended(reproduce(place))
    commit(place)
    for broken in ("dvc.lock", ".dvc/tmp/rwlock"):
        (place / broken).write_text("")
    (place / ".dvc/cache/runs/ab" / ("a" * 64)).mkdir(parents=True)
    (place / "ran").unlink()
    return place


def reproduce(place, **kill):
    """./reproduce of a pipeline, as its shell script begins it."""
    where = {"REPOSITORY": str(top(place)), "CHANGES": f"{top(place)}.changes", "COMMANDS": EVERY}
    paths = f"{ROOT / 'tests/killing'}:{top(place)}"
    where |= {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "JOBS": "1", "TOLD": str(place)}
    where |= {"SPARED": str(os.getpid())}
    words = [sys.executable, "-m", "tools.reproduce", "pipelines/toy"]
    held = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(words, cwd=top(place), env=environment(**where, **kill), **held)


def ended(process, code=0):
    """What it said, to its end."""
    said, _ = process.communicate(timeout=600)
    assert process.returncode == code, said
    return said


def left(place):
    """Numbers and pages, and the names of all files that git sees."""
    known = run(top(place), "git", "ls-files", "--cached", "--others", "--exclude-standard").stdout
    return numbers(place) | {"README.md": (top(place) / "README.md").read_text(), "known": known}


def copied(place, name):
    shutil.copytree(top(place), folder := top(place).with_name(name), symlinks=True)
    return folder / place.relative_to(top(place))


@cache
def whole(place):
    """(all changes of a run that nobody kills, what it leaves)"""
    ended(reproduce(copy := copied(place, "whole")))
    found = Path(f"{top(copy)}.changes").read_text().splitlines(), left(copy)
    gone(copy)
    return found


def killed(place, **kill):
    """Whether a run was killed; what the next one leaves, and which stages ran in the two."""
    first = reproduce(copy := copied(place, "killed"), **kill)
    first.communicate()
    ended(reproduce(copy))
    ran = (copy / "ran").read_text().split() if (copy / "ran").exists() else []
    found = first.returncode != 0, left(copy), ran
    gone(copy)
    return found


def gone(place):
    shutil.rmtree(top(place))
    Path(f"{top(place)}.changes").unlink()


def chosen(changes, which, always):
    """The places at which to kill."""
    places = [place for place, change in enumerate(changes) if re.match(which, change)]
    if KILLS.isdecimal():
        return random.Random(0).sample(places, min(int(KILLS), len(places)))
    return places if KILLS == "all" else [place for place in places if re.match(always, changes[place])][-1:]


@pytest.mark.parametrize("case", CASES)
def test_killed_anywhere_the_next_one_ends_in_the_same_bytes(case, request, capsys):
    start, which, always, when, whom = CASES[case]
    place = request.getfixturevalue(start)
    changes, wanted = whole(place)
    kills, again, places = 0, [], chosen(changes, which, always)
    for at in places:
        hit, found, ran = killed(place, KILL_AT=str(at), KILL_WHEN=when, KILL_WHOM=whom)
        assert found == wanted, (changes[at], when, whom)
        kills += hit
        again += [changes[at]] if len(ran) > len({*ran}) or start == "computed" and ran else []
    with capsys.disabled():
        print(f"\n{case}: {kills} kills at {len(places)} of {len(changes)} places, a stage again: {again}")
    assert kills


def test_the_next_one_waits_for_a_stage_that_outlived_the_one_that_was_killed(blank):
    _, wanted = whole(blank)
    (hold := (place := copied(blank, "outlived")) / "hold-cell").touch()
    first = reproduce(place)
    assert any("work.py cell" in line for line in first.stdout)
    first.kill()
    first.communicate()
    second = reproduce(place)
    assert "repro --single-item cell" in (said := second.stdout.readline())
    assert said.startswith("waiting for process ")
    hold.unlink()
    ended(second)
    assert left(place) == wanted
    gone(place)
