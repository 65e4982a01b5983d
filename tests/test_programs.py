"""The executor against answers worked out by hand on one scene of five objects."""

import pytest

from specialists.data.clevr.programs import ANSWERS, IllPosed, category, execute

#   left to right: 0 1 2 3 4; front to back: 4 2 0 3 1
ROWS = [
    ("large", "red", "metal", "cube"),
    ("small", "red", "rubber", "sphere"),
    ("large", "blue", "metal", "cylinder"),
    ("small", "green", "metal", "cube"),
    ("small", "red", "metal", "sphere"),
]
SCENE = {
    "objects": [dict(zip(("size", "color", "material", "shape"), row, strict=True)) for row in ROWS],
    "relationships": {
        "left": [[], [0], [0, 1], [0, 1, 2], [0, 1, 2, 3]],
        "right": [[1, 2, 3, 4], [2, 3, 4], [3, 4], [4], []],
        "front": [[2, 4], [0, 2, 3, 4], [4], [0, 2, 4], []],
        "behind": [[1, 3], [], [0, 1, 3], [1], [0, 1, 2, 3]],
    },
}


def program(text, function="function", values="value_inputs"):
    """`scene | filter_color red | unique`: `scene` starts a branch, a function of two joins two."""
    nodes, ends = [], []
    for part in text.split("|"):
        name, *value = part.split()
        two = name in {"union", "intersect", "less_than", "greater_than"} or name.startswith("equal_")
        inputs = [] if name == "scene" else [ends.pop() for _ in range(1 + two)][::-1]
        nodes.append({function: name, "inputs": inputs, values: value})
        ends.append(len(nodes) - 1)
    return nodes


RED, BLUE = "scene | filter_color red", "scene | filter_color blue | unique"
GREEN = "scene | filter_color green | unique"
CASES = {
    "scene | count": "5",
    f"{RED} | count": "3",
    "scene | filter_size large | count": "2",
    "scene | filter_material metal | count": "4",
    "scene | filter_shape cube | count": "2",
    f"{RED} | filter_shape sphere | filter_material metal | count": "1",
    "scene | filter_color cyan | count": "0",
    "scene | filter_color cyan | exist": "no",
    f"{RED} | exist": "yes",
    f"{BLUE} | query_shape": "cylinder",
    f"{BLUE} | query_size": "large",
    f"{BLUE} | query_color": "blue",
    f"{GREEN} | query_material": "metal",
    f"{BLUE} | relate left | count": "2",
    f"{BLUE} | relate right | count": "2",
    f"{BLUE} | relate front | unique | query_color": "red",
    f"{BLUE} | relate behind | filter_color red | count": "2",
    f"{BLUE} | relate right | filter_shape cube | unique | relate right | unique | query_shape": "sphere",
    f"{BLUE} | same_size | unique | query_shape": "cube",
    f"{BLUE} | same_color | exist": "no",
    f"{BLUE} | same_material | count": "3",
    f"{GREEN} | same_shape | unique | query_color": "red",
    f"{RED} | scene | filter_shape cube | union | count": "4",
    f"{RED} | scene | filter_shape cube | intersect | count": "1",
    f"{BLUE} | relate left | {GREEN} | relate behind | intersect | unique | query_material": "rubber",
    f"{BLUE} | query_size | {GREEN} | query_size | equal_size": "no",
    f"{BLUE} | query_material | {GREEN} | query_material | equal_material": "yes",
    f"{BLUE} | query_color | {GREEN} | query_color | equal_color": "no",
    f"{BLUE} | query_shape | {GREEN} | query_shape | equal_shape": "no",
    f"{RED} | count | scene | filter_size small | count | equal_integer": "yes",
    f"{RED} | count | scene | filter_size large | count | less_than": "no",
    "scene | filter_size large | count | scene | filter_color red | count | less_than": "yes",
    f"{RED} | count | scene | filter_size large | count | greater_than": "yes",
    f"{RED} | count | scene | filter_size small | count | greater_than": "no",
}


@pytest.mark.parametrize("text", CASES)
def test_answers_worked_out_by_hand(text):
    assert execute(program(text), SCENE) == CASES[text]
    assert CASES[text] in ANSWERS


def test_the_dialect_of_the_open_generator():
    scene = {"objects": SCENE["objects"], "relations": SCENE["relationships"]}
    nodes = program(f"{BLUE} | relate left | count", "type", "side_inputs")
    assert execute(nodes, scene) == "2"
    assert category(nodes) == "count"


def test_the_28_answers():
    assert len(ANSWERS) == len(set(ANSWERS)) == 28


@pytest.mark.parametrize("color", ["red", "cyan"])
def test_the_object_of_several_or_none_is_ill_posed(color):
    with pytest.raises(IllPosed, match=r"program\[2\]: unique of [03] objects"):
        execute(program(f"scene | filter_color {color} | unique | query_size"), SCENE)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (program("scene | tally"), r"program\[1\]: unknown function 'tally'; known: scene, unique"),
        (program(f"{BLUE} | relate above | count"), "unknown side 'above'; known: left"),
        (program("scene | relate left"), r"program\[1\]: relate does not fit its inputs \[0\]"),
        (program("scene | filter_color"), r"program\[1\]: filter_color has values \[\], expected one"),
        (program("scene"), "ends in objects"),
        (program(f"{BLUE} | {GREEN} | equal_integer"), "equal_integer does not fit its inputs"),
        (program(f"{BLUE} | query_size | {GREEN} | query_size | less_than"), "'large' is not a number"),
        (program("scene | count | scene | count | equal_size"), r"program\[4\]: .* 5 is not a size"),
        (program(f"{BLUE} | query_size | {GREEN} | query_size | equal_color"), "'large' is not a color"),
        ([{"function": "scene", "inputs": [0], "value_inputs": []}], r"scene has inputs \[0\], expected 0"),
        ([{"inputs": []}], "neither 'function' nor 'type'"),
        ([], "empty"),
    ],
)
def test_a_program_that_cannot_run_is_one_clear_line(nodes, message):
    with pytest.raises(ValueError, match=message):
        execute(nodes, SCENE)
