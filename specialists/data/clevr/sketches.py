"""Sketches of questions: a program drawn into a scene, and the phrases that say it.

A sketch chooses what is there, so that few drafts fail. It is Unfit where the scene has nothing to ask. A
question must need its middle, so these are refused: a description that is unique without the relation, a
relation that removes nothing, a union of which one side adds nothing.
"""

from itertools import combinations
from typing import NamedTuple

from specialists.data.clevr.programs import SIDES, VALUES

KINDS = tuple(VALUES)
WORDS = {
    "large": ("large", "big"),
    "small": ("small", "tiny"),
    "metal": ("metal", "metallic", "shiny"),
    "rubber": ("rubber", "matte"),
    "cube": ("cube", "block"),
    "sphere": ("sphere", "ball"),
    "cylinder": ("cylinder",),
    "left": ("left of", "on the left of"),
    "right": ("right of", "on the right of"),
    "front": ("in front of", "before"),
    "behind": ("behind", "beyond"),
    **{color: (color,) for color in VALUES["color"]},
    "": ("thing", "object"),
    "being": ("", "", "", "standing "),
}


class Unfit(Exception):
    """This scene has nothing that the sketch could ask about."""


class Phrase(NamedTuple):
    one: str
    many: str


class View:
    """A scene as bit sets, bit i for object i: of each side, of each shared value, of each description."""

    def __init__(self, scene):
        self.scene, self.known, things = scene, {}, scene["objects"]
        self.everything = (1 << len(things)) - 1
        self.side = {side: [_bits(found) for found in scene["relationships"][side]] for side in SIDES}
        self.having = {
            (kind, value): _bits(i for i, thing in enumerate(things) if thing[kind] == value)
            for kind, values in VALUES.items()
            for value in values
        }

    def fits(self, description):
        found = self.everything
        for pair in description:
            found &= self.having[pair]
        return found

    def descriptions(self, thing, without):
        """(part of an object's four values, what fits it), from the empty part to the longest."""
        if (thing, without) not in self.known:
            values = [(kind, self.scene["objects"][thing][kind]) for kind in KINDS if kind not in without]
            parts = [part for n in range(len(values) + 1) for part in combinations(values, n)]
            self.known[thing, without] = [(part, self.fits(part)) for part in parts]
        return self.known[thing, without]


class Draft:
    """A program and its phrases, growing together.

    A set on the way is (node, bits, text after the noun, the bits of the sets that it narrows).
    """

    def __init__(self, view, rng):
        self.view, self.rng, self.program = view, rng, []

    def add(self, function, *inputs, value=None):
        values = [] if value is None else [value]
        self.program.append({"function": function, "inputs": list(inputs), "value_inputs": values})
        return len(self.program) - 1

    def words(self, key):
        return self.rng.choice(WORDS[key])

    def filter(self, node, description):
        for kind, value in description:
            node = self.add(f"filter_{kind}", node, value=value)
        return node

    def phrase(self, description, tail="", head=""):
        values = dict(description)
        shape = values.pop("shape", "")
        text = head + "".join(self.words(value) + " " for value in values.values()) + self.words(shape)
        return Phrase(text + tail, f"{text}s{tail}")

    def chain(self, hops):
        """The set reached from the whole scene over some relations."""
        found = (self.add("scene"), self.view.everything, "", ())
        for _ in range(hops):
            node, thing, phrase = self.the(found)
            found = self.beside(node, thing, phrase, self.rng.choice(SIDES))
        return found

    def beside(self, node, thing, phrase, side):
        tail = f" {self.words('being')}{self.words(side)} the {phrase.one}"
        node = self.add("relate", node, value=side)
        return node, self.view.side[side][thing], tail, (self.view.everything,)

    def the(self, found, without=(), head=""):
        """`unique`: one object of a set, described so that the set matters: (node, object, phrase)."""
        node, bits, tail, narrows = found
        things = _members(bits)
        self.rng.shuffle(things)
        for thing in things:
            choices = [
                part
                for part, fits in self.view.descriptions(thing, without)[0 if narrows else 1 :]
                if fits & bits == 1 << thing and not any(fits & whole == 1 << thing for whole in narrows)
            ]
            if choices:
                break
        else:
            raise Unfit
        # short ones are preferred
        part = choices[0] if self.rng.random() < 0.5 else self.rng.choice(choices)
        return self.add("unique", self.filter(node, part)), thing, self.phrase(part, tail, head)

    def some(self, found, without=(), head="", plain=False):
        """Those of a set that fit a description, perhaps none: (node, bits, phrase)."""
        node, bits, tail, narrows = found
        things = _members(bits) if bits and self.rng.random() < 0.6 else _members(self.view.everything)
        parts = self.view.descriptions(self.rng.choice(things), without)
        part = () if plain else self.rng.choice(parts[0 if narrows and not head else 1 :])[0]
        if not narrows and self.rng.random() < 0.4:  # of what may not be there
            place = self.rng.randrange(len(part))
            kind = part[place][0]
            part = (*part[:place], (kind, self.rng.choice(VALUES[kind])), *part[place + 1 :])
        fits = self.view.fits(part)
        if any(fits & bits == fits & whole for whole in narrows):
            raise Unfit
        return self.filter(node, part), fits & bits, self.phrase(part, tail, head)

    def end(self, found, function, without=(), **how):
        """The last function and the phrase that it is asked about."""
        kind = function.removeprefix("query_")
        if kind == function:
            node, _, phrase = self.some(found, without, **how)
        else:
            node, _, phrase = self.the(found, (*without, kind), **how)
        self.add(function, node)
        return {"a": phrase, "kind": kind}


def hop(draft, hops, function):
    return draft.end(draft.chain(hops), function)


def same(draft, kind, function, plain):
    node, thing, phrase = draft.the(draft.chain(0))
    fellows = draft.view.having[kind, draft.view.scene["objects"][thing][kind]] & ~(1 << thing)
    tail = f" matching the {phrase.one} in {kind}"
    found = draft.add(f"same_{kind}", node), fellows, tail, (draft.view.everything,)
    how = {} if function.startswith("query") else {"plain": plain}
    return draft.end(found, function, without=(kind,), head="other ", **how)


def both(draft, function):
    sets, anchors = [], set()
    for _ in range(2):
        node, thing, phrase = draft.the(draft.chain(0))
        anchors.add(thing)
        sets.append(draft.beside(node, thing, phrase, draft.rng.choice(SIDES)))
    if len(anchors) < 2:
        raise Unfit
    a, b = sets
    found = draft.add("intersect", a[0], b[0]), a[1] & b[1], f" both{a[2]} and{b[2]}", (a[1], b[1])
    return draft.end(found, function)


def either(draft, hops, others, headed):
    kinds = (draft.rng.choice(KINDS),) if headed else ()
    head = tuple((kind, draft.rng.choice(VALUES[kind])) for kind in kinds)
    (a, ours, x), (b, theirs, y) = (draft.some(draft.chain(n), kinds) for n in (hops, others))
    if (ours or theirs) and not (ours & ~theirs and theirs & ~ours):
        raise Unfit
    if headed and not (ours | theirs) & ~draft.view.fits(head):
        raise Unfit
    draft.add("count", draft.filter(draft.add("union", a, b), head))
    return {"a": x, "b": y, "h": draft.phrase(head)}


def numbers(draft, function, hops, others):
    (a, ours, x), (b, theirs, y) = draft.some(draft.chain(hops)), draft.some(draft.chain(others))
    if ours == theirs:
        raise Unfit
    draft.add(function, draft.add("count", a), draft.add("count", b))
    return {"a": x, "b": y}


def shared(draft, kind, hops, others):
    (a, this, x), (b, that, y) = (draft.the(draft.chain(n), (kind,)) for n in (hops, others))
    if this == that:
        raise Unfit
    queries = draft.add(f"query_{kind}", a), draft.add(f"query_{kind}", b)
    draft.add(f"equal_{kind}", *queries)
    return {"a": x, "b": y, "kind": kind}


def _bits(members):
    return sum(1 << i for i in members)


def _members(bits):
    return [i for i in range(bits.bit_length()) if bits >> i & 1]
