"""Code as a dependency: what a digest is blind to, what it sees, and which files a list holds.

The repository's own files are parsed here, never imported.
"""

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from specialists.tracking.code import HARMLESS, accepted, closure, lists, meaning, page, written

ROOT = Path(__file__).parents[1]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
HEAD = "pipeline,list,old,new,commit,evidence\n"
SOURCES = [
    "accepted.csv",
    *sorted(
        str(p.relative_to(ROOT)) for room in ("stages", "specialists") for p in (ROOT / room).rglob("*.py")
    ),
]


# --- meaning


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("x = 1  # one\n\n# two\n   \ny = 2 \t\n", "x = 1\ny = 2"),
        ("'''Module.'''\n# -\nx = 1", "x = 1"),
        ("class A:\n    '''Of a class,\n\n    in lines.'''\n\n    x = 1", "class A:\n    x = 1"),
        ("async def f():\n    r'''Of a \\function.'''\n    return 1", "async def f():\n    return 1"),
        ("def f():\n    ('in ' 'parts')\n    return 1", "def f():\n    return 1"),
        ("def f():\n    'alone'\n\nx = 1", "def f():\nx = 1"),
        ("def f():\n    'first' ; return 1", "def f():\n    return 1"),
        ("def f(): 'ä'; return 'ö'  # ü", "def f(): return 'ö'"),
        ("'a'; x = '''b\n\n# c  \n'''", "x = '''b\n\n# c  \n'''"),
        ("def f(a='''x\ny'''): '''d\ne'''; return '''\n\n'''", "def f(a='''x\ny'''): return '''\n\n'''"),
        ("x = (\n    1,  # one\n\n    2,\n)", "x = (\n    1,\n    2,\n)"),
        ("x = 1\r\n# a\r\ny = 2\r\n", "x = 1\ny = 2"),
        ("", ""),
    ],
)
def test_words_for_people_are_cut(source, left):
    assert meaning(source) == left


@pytest.mark.parametrize(
    "source",
    [
        "x = '#'",
        "x = f'{1:#x} # {y!r:>#{width}}'",
        "x = f'''#\n\n  {y}  # no comment  \n\n'''",
        "x = f'''{\n\n    y\n\n}'''\ny = 1",
        "x = '''a  \n\n    # b\n'''",
        "x = b'''#\n\n'''",
        "'a' + 'b'",
        "x = 1\n'''not the first statement\n\n'''",
        "def f():\n    f'''no docstring\n\n    {x}'''",
        "x = 1 \\\n\n-y",
        "x = 1 \\\n    - y",
    ],
)
def test_what_a_number_can_depend_on_stays(source):
    assert meaning(source) == source


def test_what_is_left_is_the_same_program():
    for file in SOURCES[1:]:
        source = (ROOT / file).read_text()
        whole = re.sub(r"(?m)^( *)(class|def)(.*:)(?=\n(?!\1 )|\Z)", r"\1\2\3 pass", meaning(source))
        assert ast.dump(bared(ast.parse(whole))) == ast.dump(bared(ast.parse(source))), file


def bared(tree):
    """Without docstrings, another way: by nodes."""
    blocks = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | blocks) and ast.get_docstring(node) is not None:
            del node.body[0]
        if isinstance(node, blocks):
            node.body = node.body or [ast.Pass()]
    return tree


# Programs with a number in every line, and words that may be strewn over them.
SIMPLE = (
    "x = {n}",
    "x = '# {n}'",
    'x = f"# {{y:#{n}x}}"',
    "x = '''ä {n}\n\n# \\'  \n'''",
    "x, y = f'''#\n\n{{y}}'''; y = {n}",
    "y -= {n} \\\n    - 1",
)
HEADS = ("def f(a={n}):", "class A({n}):", "async def g(a='''#\n\n{n}'''):", "if {n}:", "while x > {n}: # #")
blocks = st.recursive(
    st.sampled_from(SIMPLE),
    lambda inner: st.tuples(st.sampled_from(HEADS), st.lists(inner, min_size=1, max_size=3)),
    max_leaves=8,
)
programs = st.lists(blocks, min_size=1, max_size=4)
words = st.text("aä'\"#\\ ;{\n", max_size=12)


def rendered(program, strew, numbers, depth=0):
    """The source of a program; `strew` says what stands after a line, and before a body."""
    space = "    " * depth
    text = strew("text", space) if depth == 0 else ""
    for block in program:
        head, body = block if isinstance(block, tuple) else (block, ())
        text += space + head.format(n=next(numbers)) + strew("line", space)
        if body:
            text += "" if head.startswith(("if", "while")) else strew("text", space + "    ")
            text += rendered(body, strew, numbers, depth + 1)
    return text


def plain(kind, space):
    return "\n" if kind == "line" else ""


def counted(program):
    """How many numbers it holds."""
    return sum(1 + counted(block[1]) if isinstance(block, tuple) else 1 for block in program)


@given(programs, st.data())
def test_words_never_change_what_a_source_means(program, data):
    def strew(kind, space):
        word = data.draw(words)
        comment, line = f"# {word}".replace("\n", "\n#"), st.sampled_from(["\n", "\n\n", "  \n", "\n \t\n"])
        if kind == "line":
            return data.draw(st.sampled_from(["", f"  {comment}", f"\n{comment}"])) + data.draw(line)
        quote = data.draw(st.sampled_from(['"""', "'''", '"', "'"]))
        inner = word.replace("\\", "\\\\").replace(quote[0], "\\" + quote[0])
        inner = inner if len(quote) == 3 else inner.replace("\n", "\\n")
        docstring = f"{space}{quote}{inner}{quote}"
        return data.draw(
            st.sampled_from(["", docstring + ";\n", f"{docstring} {comment}\n", docstring + "\n"])
        )

    count = counted(program)
    source = rendered(program, plain, iter(range(count)))
    strewn = rendered(program, strew, iter(range(count)))
    assert meaning(strewn) == meaning(source)
    assert ast.dump(ast.parse(meaning(strewn))) == ast.dump(ast.parse(source))


@given(programs, st.data())
def test_any_changed_line_changes_what_a_source_means(program, data):
    numbers = list(range(counted(program)))
    source = rendered(program, plain, iter(numbers))
    numbers[data.draw(st.sampled_from(numbers))] = 99
    assert meaning(rendered(program, plain, iter(numbers))) != meaning(source)


# --- closure


def planted(root, files):
    for path, source in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return root


TINY = {
    "stages/__init__.py": "import os\n",
    "stages/one.py": "import torch, stages.two as two\nfrom specialists.a import b\nfrom tools import t\n",
    "stages/two.py": "def f():\n    from specialists.c import d, attribute\n",
    "specialists/__init__.py": '"""Words alone."""\n',
    "specialists/a/__init__.py": "",
    "specialists/a/b.py": "from specialists.a.b2 import b\n",
    "specialists/a/b2.py": "import specialists.a.b\n",
    "specialists/a/unused.py": "x = 1\n",
    "specialists/c/__init__.py": "from ..e import x\nfrom . import near\nattribute = 1\n",
    "specialists/c/d.py": "d = 1\n",
    "specialists/c/near.py": "import specialists.base.command, stages.missing\n",
    "specialists/e.py": "try:\n    import specialists.f as g\nexcept ImportError:\n    x = 1\n",
    "specialists/f.py": "f = 1\n",
    "specialists/base/command.py": "import specialists.a.unused\n",
    "tools/t.py": "from specialists.a import unused\n",
}


def test_a_closure_is_all_that_can_be_imported_and_no_more(tmp_path):
    planted(tmp_path, TINY)
    first = ["specialists/a/b.py", "specialists/a/b2.py"]
    later = ["c/__init__.py", "c/d.py", "c/near.py", "e.py", "f.py"]
    second = [*(f"specialists/{name}" for name in later), "stages/__init__.py"]
    assert closure("stages/one.py", tmp_path) == [*first, *second, "stages/one.py", "stages/two.py"]
    assert closure("stages/two.py", tmp_path) == [*second, "stages/two.py"]
    assert closure("specialists/a/b.py", str(tmp_path)) == first == closure("specialists/a/b2.py", tmp_path)


def test_a_package_counts_as_soon_as_it_means_something(tmp_path):
    planted(tmp_path, TINY | {"specialists/__init__.py": "x = 1\n"})
    assert "specialists/__init__.py" in closure("specialists/a/b.py", tmp_path)


def test_a_file_counts_for_itself_though_it_holds_words_alone(tmp_path):
    planted(tmp_path, {"specialists/methods/ie.py": '"""IE: as they are."""\n'})
    assert closure("specialists/methods/ie.py", tmp_path) == ["specialists/methods/ie.py"]


@pytest.mark.parametrize("source", [b"x = (", b"\xff = 1"])
def test_a_file_that_is_not_python_is_named(tmp_path, source):
    planted(tmp_path, TINY)
    (tmp_path / "specialists/f.py").write_bytes(source)
    with pytest.raises(ValueError, match="^specialists/f.py: not Python: [^\n]*$"):
        closure("stages/one.py", tmp_path)


# --- lists


@pytest.fixture
def copy(tmp_path):
    """The sources of this repository."""
    for path in SOURCES:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def digests(root):
    return {name: found for name, (found, _) in lists(root, PARAMS).items()}


def test_there_is_a_list_for_each_stage_row_and_format():
    found = set(lists(ROOT, PARAMS))
    assert {"base", "specialize", "evaluate", "report", "methods/mcl_kd", "networks/san"} <= found
    assert {"data/clevr", "data/cifar100"} <= found
    assert {name.split("/")[1] for name in found if name.startswith("methods/")} == set(PARAMS["methods"])
    assert not found & {"code", "__init__", "stages/base"}


def test_a_stage_has_the_variables_that_are_set_first_and_nothing_harmless():
    _, files = lists(ROOT, PARAMS)["base"]
    assert {"stages/base.py", "stages/__init__.py", "specialists/training/loop.py"} <= set(files)
    assert not set(files) & HARMLESS and all((ROOT / file).exists() for file in files)


@pytest.mark.parametrize("room", ["methods", "networks"])
def test_one_row_does_not_follow_from_the_file_of_another(room):
    found = {row: set(lists(ROOT, PARAMS)[f"{room}/{row}"][1]) for row in PARAMS[room]}
    own = {row: f"specialists/{room}/{PARAMS[room][row].get(room[:-1], row)}.py" for row in found}
    for row, files in found.items():
        assert own[row] in files and not files & (set(own.values()) - {own[row]})


def test_a_row_may_name_its_file():
    rows = {"networks": {"small": {"network": "san"}, "san": {}}, "methods": {}}
    found = lists(ROOT, rows)
    assert found["networks/small"] == found["networks/san"]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            {"networks": {"sann": {}}},
            r"networks\.sann: 'sann' is not a file of specialists/networks; known: .*, san",
        ),
        ({"networks": {"parts": {}}}, r"networks\.parts: 'parts' is not a file"),
        (
            {"methods": {"x": {"method": "../base/files"}}},
            r"methods\.x: '../base/files' is not .*; known: .*, mcl",
        ),
        ({"methods": {"x": {"method": 1}}}, r"methods\.x: 1 is not a file"),
        ({"methods": {"../x": {"method": "mcl"}}}, r"methods\.\.\./x: .*: expected a plain name"),
        ({"methods": {"mcl": None}}, r"methods\.mcl: None: expected a plain name and a mapping of settings"),
        ({"methods": ["mcl"]}, r"methods: \['mcl'\], expected a mapping of rows"),
    ],
)
def test_a_row_without_a_file_is_one_line(rows, reason):
    with pytest.raises(ValueError, match=rf"^params\.yaml: {reason}[^\n]*$"):
        lists(ROOT, {"networks": {}, "methods": {}} | rows)


FILES = (
    "specialists/base/files.py",
    "specialists/methods/mcl.py",
    "specialists/networks/san.py",
    "stages/base.py",
)


@pytest.mark.parametrize("file", FILES)
def test_a_changed_docstring_changes_no_list(copy, file):
    before, tree = digests(copy), ast.parse((copy / file).read_text())
    lines = (copy / file).read_text().splitlines(keepends=True)
    lines[: tree.body[0].end_lineno] = ['"""Other words.\n', "\n", '"""\n', "# and a comment\n"]
    (copy / file).write_text("".join(lines))
    assert digests(copy) == before


@pytest.mark.parametrize("file", FILES)
def test_a_changed_line_changes_exactly_the_lists_that_hold_its_file(copy, file):
    before = lists(copy, PARAMS)
    with open(copy / file, "a") as source:
        source.write("print()\n")
    after = digests(copy)
    changed = {name for name in before if after[name] != before[name][0]}
    assert changed == {name for name, (_, files) in before.items() if file in files} != set()


def test_a_new_file_that_nobody_imports_changes_no_list(copy):
    before = digests(copy)
    (copy / "specialists/methods/new.py").write_text("x = 1\n")
    assert digests(copy) == before


# --- accepted.csv, and the folder that is written

OLD, NEW, NEWER = ("0123456789abcdef", "a" * 16, "b" * 16)


def test_accepted_code_has_the_digest_of_the_first(tmp_path):
    lines = (
        f'.,base,{OLD},{NEW},e3f19c6,"smoke, 40 outputs"\n.,base,{NEW},{NEWER},e3f19c7,x\n'
        f".,cost,{NEW},{OLD},c,x\npipelines/a,base,{NEWER},{OLD},c,x\n"
    )
    (tmp_path / "accepted.csv").write_text(HEAD + lines)
    assert accepted(tmp_path, ".") == {("base", NEW): OLD, ("base", NEWER): OLD, ("cost", OLD): NEW}
    assert accepted(tmp_path, "pipelines/a") == {("base", OLD): NEWER}


def test_code_that_was_accepted_and_taken_back_is_itself(tmp_path):
    (tmp_path / "accepted.csv").write_text(f"{HEAD}.,base,{OLD},{NEW},c,x\n.,base,{NEW},{OLD},c,x\n")
    assert accepted(tmp_path, ".") == {("base", NEW): OLD, ("base", OLD): OLD}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 0: expected pipeline,list,old,new,commit,evidence"),
        ("list,old\n", "line 1: expected pipeline,list,old,new,commit,evidence"),
        (
            f"{HEAD}.,base,{OLD},{NEW},c\n",
            r"line 2: found \['.', 'base', .*, expected pipeline,list,old,new,commit,evidence",
        ),
        (f"{HEAD}.,base,{OLD},{NEW[1:]},c,x\n", "line 2: found"),
        (f"{HEAD}.,base,{OLD},{NEW},c,x\n<<<<<<< HEAD\n", "line 3: found"),
        (f'{HEAD}.,base,{OLD},{NEW},c,"x\n', "line 2: unexpected end of data"),
    ],
)
def test_a_malformed_line_is_named(tmp_path, text, reason):
    (tmp_path / "accepted.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"accepted\.csv: {reason}[^\n]*$"):
        accepted(tmp_path, ".")


def test_a_missing_file_of_accepted_code_is_one_line(tmp_path):
    with pytest.raises(
        ValueError, match=r"accepted\.csv: not found; `code` of params\.yaml leads to [^\n]*$"
    ):
        accepted(tmp_path, ".")


def test_what_is_written_is_a_digest_each_and_a_page(copy):
    found = lists(copy, PARAMS)
    texts, told = written(found, {}), page(found, {})
    assert texts == {f"{name}.txt": f"{digest}\n" for name, (digest, _) in found.items()}
    assert "\nmethods/mcl " in told and "  specialists/methods/mcl.py" not in told.split("\nnetworks/san ")[1]


def test_what_is_written_for_accepted_code_is_the_old_digest(copy):
    new = digests(copy)["base"]
    (copy / "accepted.csv").write_text(f"{HEAD}.,base,{OLD},{new},c,x\n.,specialize,{OLD},{new},c,x\n")
    before, found, old = digests(copy), lists(copy, PARAMS), accepted(copy, ".")
    texts = written(found, old)
    assert texts["base.txt"] == f"{OLD}\n" and f"base {OLD}, accepted as {new}\n" in page(found, old)
    assert texts["specialize.txt"] == f"{before['specialize']}\n"


def test_the_stage_leaves_exactly_what_it_writes(copy, monkeypatch):
    from stages.code import main

    params = yaml.safe_dump(PARAMS | {"code": "../.."})
    dvc = (ROOT / "dvc.yaml").read_text()
    pipeline = planted(copy / "pipelines/x", {"params.yaml": params, "dvc.yaml": dvc})
    stale = {
        "old.txt": "",
        "methods/gone.txt": "",
        "gone/a/b.txt": "",
        "base.txt/in_the_way": "",
        ".a.txt.1.tmp": "",
    }
    planted(pipeline / "code", stale)
    (pipeline / "code/networks").symlink_to(copy)
    monkeypatch.chdir(pipeline)
    for _ in range(2):
        main()
        left = {path.relative_to("code").as_posix() for path in Path("code").rglob("*") if path.is_file()}
        texts = written(lists(copy, PARAMS), {})
        assert left < texts.keys() and "networks/mlp.txt" not in left  # which is in no table
        assert {"base.txt", "networks/san.txt", "methods/mcl.txt", "data/clevr.txt"} < left
        assert {path: Path("code", path).read_text() for path in left} == {path: texts[path] for path in left}
    assert not (pipeline / "code/gone").exists() and (copy / "accepted.csv").exists()
