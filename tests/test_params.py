"""Strictness: an unknown, missing or mistyped key is one line that names the place and what is known."""

from dataclasses import dataclass

import pytest

from specialists.base import params
from specialists.base.params import configure, load, optional, read


@dataclass(frozen=True)
class Settings:
    epochs: int
    lr: float
    sizes: list[int]

    def __post_init__(self):
        if self.epochs < 1:
            raise ValueError(f"epochs: {self.epochs} is out of range: at least 1")


def price(logits, *, beta: float, form: str):
    if form != "kl":
        raise ValueError(f"form: {form!r}; known: kl")
    return logits * beta


def read_text(tmp_path, text, section="base", make=Settings):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return read(section, make, path=path)


GOOD = "base:\n  epochs: 3\n  lr: 1\n  sizes:\n  - 2\n"


def test_a_section_becomes_what_it_configures_and_an_int_may_be_a_float(tmp_path):
    assert read_text(tmp_path, GOOD) == Settings(3, 1.0, [2])
    assert read_text(tmp_path, "seed: 4\n", "seed", int) == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("epochs", "epoch"), r"base\.epoch: unknown key; known: epochs, lr, sizes"),
        (GOOD.replace("  epochs: 3\n", ""), r"base\.epochs: missing; known: epochs, lr, sizes"),
        (
            GOOD.replace("lr: 1", "lr: 5e-4"),
            r"base\.lr: '5e-4' is str, expected float \(YAML reads 5e-4 as text",
        ),
        (GOOD.replace("lr: 1", "lr: true"), r"base\.lr: True is bool, expected float"),
        (GOOD.replace("epochs: 3", "epochs: 3.0"), r"base\.epochs: 3\.0 is float, expected int"),
        (GOOD.replace("- 2", "- two"), r"base\.sizes\[0\]: 'two' is str, expected int"),
        (GOOD.replace("epochs: 3", "epochs: 0"), r"base: epochs: 0 is out of range: at least 1"),
        ("base: 3\n", r"base: 3 is not a mapping"),
        ("seed: 0\n", r"base: missing; found beside it: seed"),
        ("base: [\n", r"params\.yaml: not YAML: "),
        ("- 1\n", r"found list, expected a mapping"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read_text(tmp_path, text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [".inf", ".nan", "-.inf", "1" + "0" * 400, "-1" + "0" * 400])
def test_a_number_that_nobody_can_mean_is_named(tmp_path, value):
    message = "base.lr: expected a finite number, of at most 300 digits"
    with pytest.raises(ValueError, match=message):
        read_text(tmp_path, GOOD.replace("lr: 1", f"lr: {value}"))


@pytest.mark.parametrize(
    "text", ["[" * 5000, "a: " + "9" * 5000, "a: !!int x", "a: !!python/object:os.system {}"]
)
def test_what_yaml_cannot_read_names_the_file(tmp_path, text):
    with pytest.raises(ValueError, match="params.yaml: not YAML: "):
        read_text(tmp_path, text)


def test_a_file_that_is_not_utf8_is_named(tmp_path):
    (path := tmp_path / "params.yaml").write_bytes(b"a: \xe9\n")
    with pytest.raises(ValueError, match="params.yaml: not YAML: 'utf-8' codec can't decode"):
        load(path)


def test_a_key_that_stands_twice_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"params\.yaml: not YAML: lr stands twice, at"):
        read_text(tmp_path, GOOD + "  lr: 2\n")


def test_a_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match="params.yaml: not found in "):
        load(tmp_path / "params.yaml")


def test_keyword_only_parameters_are_the_schema_of_a_function(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "methods:\n  a:\n    beta: 2\n    form: kl\n  b:\n    logits: 1\n    beta: 2\n    form: kl\n"
    )
    assert configure("methods.a", price, path=path)(3.0) == 6.0
    with pytest.raises(ValueError, match=r"methods\.b\.logits: unknown key; known: beta, form"):
        configure("methods.b", price, path=path)


def test_a_mistake_that_the_function_finds_is_placed_too(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("methods:\n  a:\n    beta: 2\n    form: ce\n")
    with pytest.raises(ValueError, match=r"params\.yaml: methods\.a: form: 'ce'; known: kl"):
        configure("methods.a", price, path=path)(3.0)


def test_keys_beside_the_settings_are_for_somebody_else(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(
        "methods:\n  a:\n    beta: 2\n    form: kl\n    sharing: 0.7\n" + GOOD + "  network: san\n"
    )
    assert configure("methods.a", price, ("sharing",), path=path)(3.0) == 6.0
    assert read("base", Settings, beside=("network",), path=path) == Settings(3, 1.0, [2])
    with pytest.raises(ValueError, match=r"methods\.a\.sharing: unknown key; known: beta, form"):
        configure("methods.a", price, path=path)
    with pytest.raises(ValueError, match=r"base\.network: unknown key; known: epochs, lr, sizes"):
        read("base", Settings, path=path)


def test_a_key_may_be_left_out_where_that_is_said_and_is_checked_where_it_stands(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("methods:\n  a:\n    sharing: 0.7\n  b: {}\n  c:\n    sharing: high\n  d: 3\n")
    found = [optional(f"methods.{row}", "sharing", float, None, path=path) for row in "abd"]
    assert found == [0.7, None, None]
    with pytest.raises(ValueError, match=r"methods\.c\.sharing: 'high' is str, expected float"):
        optional("methods.c", "sharing", float, None, path=path)
    with pytest.raises(ValueError, match=r"methods\.e: missing; found beside it: a, b, c, d"):
        optional("methods.e", "sharing", float, None, path=path)


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Settings


def test_a_mapping_may_stand_for_a_dataclass_and_is_checked_alike(tmp_path):
    text = "data:\n  name: a\n  inner:\n    epochs: 3\n    lr: 1\n    sizes: [2]\n"
    assert read_text(tmp_path, text, "data", Outer) == Outer("a", Settings(3, 1.0, [2]))
    for old, new, message in [
        ("lr: 1", "lr: fast", r"params\.yaml: data\.inner\.lr: 'fast' is str, expected float"),
        ("epochs: 3", "epochs: 0", r"params\.yaml: data\.inner: epochs: 0 is out of range"),
        ("    sizes: [2]\n", "", r"params\.yaml: data\.inner\.sizes: missing"),
    ]:
        with pytest.raises(ValueError, match=message):
            read_text(tmp_path, text.replace(old, new), "data", Outer)


def test_what_was_read_is_remembered_with_its_values(tmp_path, monkeypatch):
    monkeypatch.setattr(params, "_seen", {})
    path = tmp_path / "params.yaml"
    path.write_text(GOOD + "seed: 4\nmethods:\n  a: {}\n  b: {}\n")
    assert params.seen() == {}
    read("base", Settings, path=path)
    configure("methods.a", lambda: None, path=path)
    assert params.seen() == {"base": {"epochs": 3, "lr": 1, "sizes": [2]}, "methods.a": {}}
