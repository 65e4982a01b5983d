"""The 90 question families of CLEVR in our own words, and questions that do not give their answer away.

The groups, their sizes and their order are those of the official template files; a family is a sketch with
settings and wordings.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass

from specialists.data.clevr.programs import VALUES, IllPosed, execute
from specialists.data.clevr.sketches import (
    KINDS,
    Draft,
    Unfit,
    View,
    both,
    either,
    hop,
    numbers,
    same,
    shared,
)

LONGEST = 35  # words
DRAFTS = 12  # per family and question
COUNT = (
    "How many {a.many} does the picture show?",
    "Count the {a.many}: how many do you find?",
    "What is the total of {a.many} here?",
)
EXIST = ("Does the picture show any {a.many}?", "Do you find any {a.many} here?", "Is even one {a.one} here?")
QUERY = (
    "Which {kind} does the {a.one} have?",
    "Name the {kind} of the {a.one}.",
    "Of which {kind} is the {a.one}?",
)
SHARED = (
    "Does the {a.one} match the {b.one} in {kind}?",
    "Is one {kind} shared by the {a.one} and the {b.one}?",
    "Do you find the same {kind} on the {a.one} and the {b.one}?",
)
EITHER = (
    "How many {h.many} are either {a.many} or {b.many}?",
    "Of all {h.many}, how many are {a.many} or else {b.many}?",
    "Count the {h.many} that are {a.many} or {b.many}: how many do you find?",
)
NUMBERS = {
    "equal_integer": (
        "Does the picture show as many {a.many} as {b.many}?",
        "Is the total of {a.many} the same as that of {b.many}?",
    ),
    "less_than": (
        "Does the picture show fewer {a.many} than {b.many}?",
        "Is the total of {a.many} below that of {b.many}?",
    ),
    "greater_than": (
        "Does the picture show more {a.many} than {b.many}?",
        "Do the {a.many} outnumber the {b.many}?",
    ),
}


@dataclass(frozen=True)
class Family:
    """`draw(draft, *settings)` writes the program and returns the phrases of the blanks in a wording."""

    group: str
    draw: object
    settings: tuple
    wordings: tuple
    answers: int  # how many must come about equally often: of counts 0, 1 and 2, as far as scenes allow


ENDS = {"count": (COUNT, 3), "exist": (EXIST, 2)} | {
    f"query_{kind}": (QUERY, len(values)) for kind, values in VALUES.items()
}


def _ending(group, draw, *settings, end, after=()):
    return Family(group, draw, (*settings, end, *after), *ENDS[end])


def _families():
    """In the order of the official files, which is alphabetical."""
    pairs = ((0, 0), (1, 0), (0, 1), (1, 1))
    for function, wordings in NUMBERS.items():
        for hops in ((0, 0), (1, 0), (1, 1)):
            yield Family("compare_integer", numbers, (function, *hops), wordings, 2)
    for kind in KINDS:
        for hops in pairs:
            yield Family("comparison", shared, (kind, *hops), SHARED, 2)
    for end in ENDS:
        yield _ending("one_hop", hop, 1, end=end)
    for kind in KINDS:
        for end in ("exist", "count"):
            for plain in (True, False):
                yield _ending("same_relate", same, kind, end=end, after=(plain,))
        for other in KINDS:
            if other != kind:
                yield _ending("same_relate", same, kind, end=f"query_{other}", after=(False,))
    for end in ENDS:
        if end != "exist":
            yield _ending("single_and", both, end=end)
    for hops in pairs:
        for headed in (False, True):
            yield Family("single_or", either, (*hops, headed), EITHER, 3)
    for group, hops in (("three_hop", 3), ("two_hop", 2), ("zero_hop", 0)):
        for end in ENDS:
            yield _ending(group, hop, hops, end=end)


FAMILIES = tuple(_families())
ALL = range(len(FAMILIES))


def ask(scene, number, rng, tally, among=ALL):
    """`number` different questions of some families on a scene, as (family, text, program, answer).

    The families with the fewest questions in `tally[family]` come first; of several drafts the one with its
    rarest answer. An answer above its share gives way to the next family, as long as there is one.
    """
    view, found, texts = View(scene), [], set()
    for patience in (0, 2, 10, 1000):
        order = sorted(among, key=lambda f: (tally[f].total(), rng.random()))
        for f in order:
            if len(found) == number:
                return found
            share = tally[f].total() / FAMILIES[f].answers + patience
            best = _rarest(view, f, rng, tally[f], share)
            if best and best[1] not in texts:
                found.append(best)
                texts.add(best[1])
                tally[f][best[3]] += 1
    if len(found) < number:
        raise ValueError(f"{scene['image_filename']}: {len(found)} questions found, expected {number}")
    return found


def _rarest(view, f, rng, seen, share):
    """Of some drafts of family f the one with the rarest answer, if that is within its share."""
    best = None
    for _ in range(DRAFTS):
        question = _draft(view, f, rng)
        if question and seen[question[3]] <= share and (not best or seen[question[3]] < seen[best[3]]):
            best = question
            if len(seen) >= FAMILIES[f].answers and seen[best[3]] <= min(seen.values()):
                break
    return best


def _draft(view, f, rng):
    family, draft = FAMILIES[f], Draft(view, rng)
    try:
        blanks = family.draw(draft, *family.settings)
        answer = execute(draft.program, view.scene)
    except (Unfit, IllPosed):
        return None
    text = rng.choice(family.wordings).format(**blanks)
    return (f, text, draft.program, answer) if len(text.split()) <= LONGEST else None


def tallies():
    return [Counter() for _ in FAMILIES]


def blind(learnt, asked):
    """Percent of `asked` that each family's most frequent answer in `learnt` gets; both (family, answer)."""
    counts = defaultdict(Counter)
    for family, answer in learnt:
        counts[family][answer] += 1
    best = {family: count.most_common(1)[0][0] for family, count in counts.items()}
    return 100 * sum(family in best and best[family] == answer for family, answer in asked) / len(asked)
