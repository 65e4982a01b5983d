"""The README tells the truth: tables, files, and links."""

import re

from stages.readme import MARKED, filled
from tests.conftest import ROOT

PAGE = (ROOT / "README.md").read_text()


def test_its_tables_are_the_pipelines_output():
    assert MARKED.search(PAGE)
    assert filled(PAGE, ROOT) == PAGE


def test_a_table_that_differs_is_noticed():
    assert filled(PAGE.replace("| 1 |", "| 2 |", 1), ROOT) == PAGE


def test_every_file_that_it_names_exists():
    named = set(re.findall(r"\]\(([^)#:]+)\)", PAGE)) | set(
        re.findall(r"`((?:stages|specialists|tests)/[\w/.]+)`", PAGE)
    )
    assert named and [name for name in named if not (ROOT / name).exists()] == []


def test_every_module_is_in_its_tree():
    modules = [
        p
        for folder in ("specialists", "stages")
        for p in (ROOT / folder).rglob("*.py")
        if p.name != "__init__.py"
    ]
    assert [p.name for p in modules if p.name not in PAGE] == []
