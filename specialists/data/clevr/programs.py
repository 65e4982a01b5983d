"""CLEVR functional programs run on a scene: the meaning of a question, apart from whoever wrote it.

The functions are those of Johnson et al., "CLEVR" (2017), with the names of the official v1.0 files. The
dialect of the open generator is read too: `type` for `function`, `side_inputs` for `value_inputs`,
`relations` for `relationships`.
"""

VALUES = {
    "size": ("large", "small"),
    "color": ("gray", "red", "blue", "green", "brown", "purple", "cyan", "yellow"),
    "material": ("rubber", "metal"),
    "shape": ("cube", "sphere", "cylinder"),
}
SIDES = ("left", "right", "front", "behind")
ANSWERS = ("yes", "no", *map(str, range(11)), *(value for values in VALUES.values() for value in values))


class IllPosed(ValueError):
    """The program asks for *the* object of a description that fits no object, or several."""


def execute(program, scene):
    """The answer to a program as the official string: "yes", "no", "0" to "10" or an attribute's value."""
    if not program:
        raise ValueError("program: empty, expected at least one function")
    results = []
    for place, node in enumerate(program):
        name = _either(node, "function", "type", place)
        if name not in FUNCTIONS:
            raise ValueError(f"program[{place}]: unknown function {name!r}; known: {', '.join(FUNCTIONS)}")
        arity, takes_value, run = FUNCTIONS[name]
        inputs, values = node["inputs"] if "inputs" in node else None, ()
        if inputs is None or len(inputs) != arity or not all(0 <= i < place for i in inputs):
            raise ValueError(f"program[{place}]: {name} has inputs {inputs}, expected {arity} from before it")
        if takes_value:
            values = _either(node, "value_inputs", "side_inputs", place)
            if len(values) != 1:
                raise ValueError(f"program[{place}]: {name} has values {values}, expected one")
        try:
            results.append(run(scene, *(results[i] for i in inputs), *values))
        except IllPosed as error:
            raise IllPosed(f"program[{place}]: {error}") from None
        except (TypeError, IndexError) as error:
            raise ValueError(f"program[{place}]: {name} does not fit its inputs {inputs}: {error}") from None
    return _spoken(results[-1])


def category(program):
    """The type of a question: its last function."""
    return _either(program[-1], "function", "type", len(program) - 1)


def _either(node, name, other, place):
    for key in (name, other):
        if key in node:
            return node[key]
    raise ValueError(f"program[{place}]: neither {name!r} nor {other!r} in {sorted(node)}")


def _spoken(result):
    if isinstance(result, bool):
        return "yes" if result else "no"
    if isinstance(result, int | str):
        return str(result)
    raise ValueError(f"program: ends in objects {result}, expected a count, a comparison or an attribute")


class _One(tuple):
    """The object that `unique` found. It has its own type, so that it is not taken for a set or a number."""


def _scene(scene):
    return frozenset(range(len(scene["objects"])))


def _unique(scene, objects):
    if len(_members(objects)) != 1:
        raise IllPosed(f"unique of {len(objects)} objects, expected one")
    return _One(objects)


def _members(objects):
    if not isinstance(objects, frozenset):
        raise TypeError(f"{objects!r} is not a set of objects")
    return objects


def _index(one):
    if not isinstance(one, _One):
        raise TypeError(f"{one!r} is not one object")
    return one[0]


def _value(kind, value):
    if value not in VALUES[kind]:
        raise TypeError(f"{value!r} is not a {kind}")
    return value


def _number(value):
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a number")
    return value


def _relate(scene, one, side):
    sides = scene["relationships"] if "relationships" in scene else scene["relations"]
    if side not in sides:
        raise ValueError(f"relate: unknown side {side!r}; known: {', '.join(sides)}")
    return frozenset(sides[side][_index(one)])


def _filter(kind):
    return lambda scene, objects, value: frozenset(
        i for i in _members(objects) if scene["objects"][i][kind] == value
    )


def _same(kind):
    def same(scene, one):
        me = _index(one)
        value = scene["objects"][me][kind]
        return frozenset(i for i in _scene(scene) if i != me and scene["objects"][i][kind] == value)

    return same


def _query(kind):
    return lambda scene, one: scene["objects"][_index(one)][kind]


def _equal(kind):
    return lambda scene, a, b: _value(kind, a) == _value(kind, b)


#: name -> (number of inputs, whether a value is given, function of the scene, the inputs and the value)
FUNCTIONS = {
    "scene": (0, False, _scene),
    "unique": (1, False, _unique),
    "relate": (1, True, _relate),
    "union": (2, False, lambda scene, a, b: _members(a) | _members(b)),
    "intersect": (2, False, lambda scene, a, b: _members(a) & _members(b)),
    "count": (1, False, lambda scene, objects: len(_members(objects))),
    "exist": (1, False, lambda scene, objects: len(_members(objects)) > 0),
    "equal_integer": (2, False, lambda scene, a, b: _number(a) == _number(b)),
    "less_than": (2, False, lambda scene, a, b: _number(a) < _number(b)),
    "greater_than": (2, False, lambda scene, a, b: _number(a) > _number(b)),
}
for _kind in VALUES:
    FUNCTIONS[f"filter_{_kind}"] = (1, True, _filter(_kind))
    FUNCTIONS[f"same_{_kind}"] = (1, False, _same(_kind))
    FUNCTIONS[f"query_{_kind}"] = (1, False, _query(_kind))
    FUNCTIONS[f"equal_{_kind}"] = (2, False, _equal(_kind))
