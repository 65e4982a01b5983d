"""Ten people who answer a question of the stand-in: most see what is there, and words differ."""

from specialists.data.clevr.programs import VALUES

PEOPLE = 10
WORDS = {  # what is meant -> what people say, the first most often
    "sphere": ("ball", "sphere"),
    "cube": ("cube", "box", "a cube"),
    "cylinder": ("cylinder", "can"),
    "metal": ("metal", "shiny metal"),
    "rubber": ("rubber", "plastic"),
    "gray": ("gray", "grey"),
    "cyan": ("cyan", "light blue"),
    "nothing": ("nothing", "none"),
}
ALIKE = {"cyan": "blue", "blue": "cyan", "brown": "red", "red": "brown", "gray": "purple", "purple": "blue"}
NUMBERS = "zero one two three four five six seven eight nine ten".split()


def answers(right, kind, rng):
    """(the most common answer, the first of equals; the answers of ten people)"""
    # Some questions are hard for all: that is where people disagree.
    doubt = rng.choice((0.05, 0.1, 0.3, 0.8))
    said = [
        _said(_seen(right, kind, rng) if rng.random() < doubt else right, kind, rng) for _ in range(PEOPLE)
    ]
    return max(said, key=said.count), said


def _seen(right, kind, rng):
    """What somebody sees who does not look closely."""
    if kind == "yes/no":
        return "no" if right == "yes" else "yes"
    if kind == "number":
        return str(max(0, int(right) + rng.choice((-1, 1))))
    if right in ALIKE:
        return ALIKE[right]
    same = [values for values in VALUES.values() if right in values] or [VALUES["shape"]]
    return rng.choice(same[0])


def _said(seen, kind, rng):
    if kind == "number":
        return NUMBERS[int(seen)] if int(seen) <= 10 and rng.random() < 0.1 else seen
    words = WORDS.get(seen, (seen,))
    word = words[0] if rng.random() < 0.75 else rng.choice(words)
    return f"{word.capitalize()}." if rng.random() < 0.03 else word
