"""What the stand-in asks about a scene: types of questions as often as in VQA v2, each in several wordings.

A question is a type and a text, and has an answer for any scene. The answer is None where the question makes
no sense: one about "the cube" where there are two.
"""

from collections import Counter
from dataclasses import dataclass

NOUNS = {"cube": ("cube", "box"), "cylinder": ("cylinder",), "sphere": ("ball", "sphere")}
LOOKS = {"metal": ("shiny", "metal"), "rubber": ("dull", "rubber")}
SIZES = {"large": ("big", "large"), "small": ("small", "tiny")}
PLURALS = {"box": "boxes"}


@dataclass(frozen=True)
class Wanted:
    """A description: the attributes that it asks for, and its words."""

    attributes: tuple
    words: str

    @classmethod
    def drawn(cls, thing, rng, most=2, noun=True, without=None):
        """A description of a thing by its shape and up to `most` other attributes, `without` one of them."""
        known = [each for each in ("size", "color", "material") if each != without]
        named = rng.sample(known, rng.randint(0 if noun else 1, most))
        forms = {"size": SIZES, "material": LOOKS}
        words = [rng.choice(forms[each][thing[each]]) if each in forms else thing[each] for each in named]
        words.sort(key=lambda word: word not in SIZES["large"] + SIZES["small"])
        attributes = tuple((each, thing[each]) for each in named)
        if noun:
            attributes += (("shape", thing["shape"]),)
        words.append(rng.choice(NOUNS[thing["shape"]]) if noun else rng.choice(("thing", "object")))
        return cls(attributes, " ".join(words))

    @property
    def several(self):
        *before, noun = self.words.split(" ")
        return " ".join([*before, PLURALS.get(noun, f"{noun}s")])

    def of(self, scene):
        return [
            each for each in scene["objects"] if all(each[key] == value for key, value in self.attributes)
        ]

    def one(self, scene):
        """The only thing that is meant, or None."""
        found = self.of(scene)
        return found[0] if len(found) == 1 else None


@dataclass(frozen=True)
class Asked:
    """A question: its type, its text, and scene -> answer or None."""

    type: str
    text: str
    answer: object


def exists(scene, rng):
    wanted = _some(scene, rng)
    type, text = rng.choice(
        (
            ("is there a", f"Is there a {wanted.words}?"),
            ("is there a", f"Is there a {wanted.words} in the picture?"),
            ("are there any", f"Are there any {wanted.several}?"),
            ("do you", f"Do you see a {wanted.words}?"),
        )
    )
    return Asked(type, text, lambda scene: _yes(wanted.of(scene)))


def verify(scene, rng):
    key = rng.choice(("color", "size", "material"))
    wanted = Wanted.drawn(rng.choice(scene["objects"]), rng, 1, without=key)
    said = rng.choice(scene["objects"])[key]
    word = rng.choice({"size": SIZES, "material": LOOKS}[key][said]) if key != "color" else said
    return Asked(
        "is the",
        f"Is the {wanted.words} {word}?",
        lambda scene: _one(wanted, scene, lambda one: _yes(one[key] == said)),
    )


def same(scene, rng):
    first, second = (Wanted.drawn(each, rng) for each in rng.sample(scene["objects"], 2))
    key = rng.choice(("color", "size", "shape"))

    def answer(scene):
        one, other = first.one(scene), second.one(scene)
        return _yes(one[key] == other[key]) if one and other and one is not other else None

    return Asked("are the", f"Are the {first.words} and the {second.words} the same {key}?", answer)


def more(scene, rng):
    first, second = (Wanted.drawn(each, rng, 1) for each in rng.sample(scene["objects"], 2))
    text = f"Are there more {first.several} than {second.several}?"
    return Asked("are there", text, lambda scene: _yes(len(first.of(scene)) > len(second.of(scene))))


def count(scene, rng):
    wanted = _some(scene, rng)
    text = rng.choice(
        (
            f"How many {wanted.several} are there?",
            f"How many {wanted.several} are in the picture?",
            f"How many {wanted.several} can you see?",
        )
    )
    return Asked("how many", text, lambda scene: str(len(wanted.of(scene))))


def color(scene, rng):
    wanted = Wanted.drawn(rng.choice(scene["objects"]), rng, without="color")
    type, text = rng.choice(
        (
            ("what color is the", f"What color is the {wanted.words}?"),
            ("what is the color of the", f"What is the color of the {wanted.words}?"),
        )
    )
    return Asked(type, text, lambda scene: _one(wanted, scene, lambda one: one["color"]))


def shape(scene, rng):
    wanted = Wanted.drawn(rng.choice(scene["objects"]), rng, noun=False)
    text = rng.choice((f"What is the {wanted.words}?", f"What shape is the {wanted.words}?"))
    type = "what is the" if text.startswith("What is") else "what"
    return Asked(type, text, lambda scene: _one(wanted, scene, lambda one: one["shape"]))


def material(scene, rng):
    wanted = Wanted.drawn(rng.choice(scene["objects"]), rng, 1, without="material")
    text = f"What is the {wanted.words} made of?"
    return Asked("what is the", text, lambda scene: _one(wanted, scene, lambda one: one["material"]))


def most(scene, rng):
    def answer(scene):
        (best, count), *rest = Counter(each["color"] for each in scene["objects"]).most_common(2)
        return best if not rest or count > rest[0][1] else None

    return Asked("what color", "What color are most of the things?", answer)


def beside(scene, rng):
    """The nearest thing on one side."""
    wanted, side = Wanted.drawn(rng.choice(scene["objects"]), rng), rng.choice(("left", "right"))

    def answer(scene):
        if (one := wanted.one(scene)) is None:
            return None
        x, y = one["pixel_coords"][:2]
        sign = -1 if side == "left" else 1
        there = [each for each in scene["objects"] if sign * (each["pixel_coords"][0] - x) > 0]
        if not there:
            return "nothing"
        near = min(
            there, key=lambda each: (each["pixel_coords"][0] - x) ** 2 + (each["pixel_coords"][1] - y) ** 2
        )
        return near["shape"]

    return Asked("what is", f"What is to the {side} of the {wanted.words}?", answer)


def which(scene, rng):
    first, second = (Wanted.drawn(each, rng, 1) for each in rng.sample(scene["objects"], 2))

    def answer(scene):
        one, other = first.one(scene), second.one(scene)
        if one is None or other is None or one["shape"] == other["shape"] or one["size"] == other["size"]:
            return None
        return one["shape"] if one["size"] == "large" else other["shape"]

    return Asked("which", f"Which is bigger, the {first.words} or the {second.words}?", answer)


# Shares as those of VQA v2 by answer type: yes/no 38, number 12, other 50; inside skewed as there.
KINDS = {
    "yes/no": ((exists, 18), (verify, 12), (same, 5), (more, 3)),
    "number": ((count, 12),),
    "other": ((color, 22), (shape, 9), (material, 8), (beside, 5), (most, 3), (which, 3)),
}
TYPE = {make: kind for kind, makes in KINDS.items() for make, _ in makes}
WEIGHT = {make: weight for makes in KINDS.values() for make, weight in makes}
TRIES = 8


def drawn(scene, rng, asked):
    """A question that makes sense about a scene, of a kind that was asked less often than it should be.

    `asked` counts the questions of each kind; returns (kind, question, answer).
    """
    for make in sorted(WEIGHT, key=lambda make: asked[make] / WEIGHT[make]):
        for _ in range(TRIES):
            question = make(scene, rng)
            if (answer := question.answer(scene)) is not None:
                return make, question, answer
    raise AssertionError("one can always ask how many there are")


def _some(scene, rng):
    """A description of something that is there, or of what need not be."""
    there, colors = (
        rng.choice(scene["objects"]),
        ("blue", "brown", "cyan", "gray", "green", "purple", "red", "yellow"),
    )
    if rng.random() < 0.4:
        there = {**there, "color": rng.choice(colors), "shape": rng.choice([*NOUNS])}
    return Wanted.drawn(there, rng, 1, noun=rng.random() < 0.8)


def _one(wanted, scene, say):
    one = wanted.one(scene)
    return None if one is None else say(one)


def _yes(found):
    return "yes" if found else "no"
