"""The README and the pages of docs/ tell the truth: tables, files, and links."""

import json
import re

import pytest

from stages.pages import MARKED, faults, filled, link, pages
from tests.conftest import ROOT

PAGES = {name: (ROOT / name).read_text() for name in pages(ROOT)}
PAGE = PAGES["README.md"]


def test_each_table_stands_once_and_as_it_was_computed():
    assert sum(len(MARKED.findall(text)) for text in PAGES.values()) > 1
    assert [*faults(ROOT)] == []


@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if MARKED.search(text)])
def test_a_table_that_differs_is_set_right(name):
    other = re.sub(r"\| \d+\.\d+ \|", "| 0.12 |", PAGES[name], count=1).replace("yaml#L", "yaml#L1")
    assert other != PAGES[name] and filled(other, name, ROOT) == PAGES[name]


@pytest.mark.parametrize("name", PAGES)
def test_every_file_and_heading_that_it_names_exists(name):
    links = re.findall(r"\]\((?!http)([^)# ]*)(?:#([\w-]+))?[^)]*\)", PAGES[name])
    for path, anchor in links:
        target = (ROOT / name).parent / path if path else ROOT / name
        assert target.exists(), path
        if target.suffix == ".md" and anchor:
            heads = re.findall(r"(?m)^#+ (.*)", target.read_text())
            assert anchor in [re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads]
    for path in re.findall(r"`((?:stages|specialists|tests)/[\w/.]+)`", PAGES[name]):
        assert (ROOT / path).exists(), path


def test_each_row_links_to_its_params_its_stage_and_its_numbers():
    row = next(line for line in PAGE.splitlines() if line.startswith("| SAN | [MCL-KD]") and "| 2 |" in line)
    (params, n, section), (pipeline, m, stage), (metrics, _, _) = re.findall(
        r'\]\(([^)#]+)(?:#L(\d+) "(.*?)")?\)', row
    )
    assert (section, stage) == ("methods.mcl_kd", "specialize@san-mcl_kd-2-0")
    assert (ROOT / params).read_text().splitlines()[int(n) - 1] == "  mcl_kd:"
    assert (ROOT / pipeline).read_text().splitlines()[int(m) - 1] == "  specialize:"
    top1 = json.loads((ROOT / metrics).read_text())["report"]["top1"]
    assert f"[{top1:.2f}]" in row.replace("**", "") and "[`san-mcl_kd-k2-s0`]" in row


def test_a_link_goes_to_its_own_section_though_another_has_the_same_key(tmp_path):
    (tmp_path / "params.yaml").write_text("kd: 1\nbudgets:\n  kd:\n    lr: 1\nmethods:\n  kd:\n    lr: 2\n")
    assert link(tmp_path, " KD ", "params.yaml", "methods.kd", "of") == '[KD](params.yaml#L6 "of")'
    assert link(tmp_path, "KD", "params.yaml", "kd", "of") == '[KD](params.yaml#L1 "of")'
    for missing in ("budgets.mcl", "lr", "kd.lr"):
        with pytest.raises(ValueError, match=f"params.yaml: no {missing}, which"):
            link(tmp_path, "KD", "params.yaml", missing, "of")


def test_its_tree_is_the_tree():
    tree = re.search(r"```\n(stages/.*?)```", PAGE, re.DOTALL)[1]
    named, folder = {}, None
    for line in tree.splitlines():
        if start := re.match(r" *(stages|specialists|networks|data|tests)/", line):
            folder = start[1]
        named.setdefault(folder, []).extend(re.findall(r"\w+\.py", line))
    for place in ("stages", "specialists", "specialists/networks", "specialists/data"):
        there = [path.name for path in (ROOT / place).glob("*.py") if path.name != "__init__.py"]
        assert sorted(named[place.rpartition("/")[2]]) == sorted(there)
