"""The README and the pages of docs/ tell the truth: tables, files, and links."""

import json
import re

import pytest

from tests.conftest import ROOT
from tools import files as files_of
from tools.pages import MARKED, faults, filled, link, machine, own_params, pages, trainer

PAGES = {name: (ROOT / name).read_text() for name in pages(ROOT)}
PAGE = PAGES["README.md"]


def test_each_table_stands_once_and_as_it_was_computed():
    assert sum(len(MARKED.findall(text)) for text in PAGES.values()) > 1
    assert [*faults(ROOT)] == []


NUMBER = r"\| \+?\d+\.\d+ \|"
OF_TABLES = [name for name, text in PAGES.items() if MARKED.search(text) and re.search(NUMBER, text)]


@pytest.mark.parametrize("name", OF_TABLES)
def test_a_table_that_differs_is_set_right(name):
    other = re.sub(NUMBER, "| 0.12 |", PAGES[name], count=1).replace("yaml#L", "yaml#L1")
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
    for path in re.findall(r"`((?:stages|tools|specialists|tests)/[\w/.]+)`", PAGES[name]):
        assert (ROOT / path).exists(), path


def test_each_row_links_to_its_params_its_stage_and_its_numbers():
    row = next(line for line in PAGE.splitlines() if line.startswith("| SAN | MCL-KD | 2 |"))
    (metrics, _, _), (params, n, section), (pipeline, m, stage) = re.findall(
        r'\]\(([^)#]+)(?:#L(\d+) "(.*?)")?\)', row
    )
    assert (section, stage) == ("methods.mcl_kd", "specialize@san-mcl_kd-2-0")
    assert (ROOT / params).read_text().splitlines()[int(n) - 1] == "  mcl_kd:"
    assert (ROOT / pipeline).read_text().splitlines()[int(m) - 1] == "  specialize:"
    top1 = json.loads((ROOT / metrics).read_text())["report"]["top1"]
    assert f"| {top1:.2f} |" in row.replace("**", "") and "[`san-mcl_kd-k2-s0`]" in row


def test_a_link_goes_to_its_own_section_though_another_has_the_same_key(tmp_path):
    (tmp_path / "params.yaml").write_text("kd: 1\nbudgets:\n  kd:\n    lr: 1\nmethods:\n  kd:\n    lr: 2\n")
    assert link(tmp_path, "KD", "params.yaml", "methods.kd", "of") == '[KD](params.yaml#L6 "of")'
    assert link(tmp_path, "KD", "params.yaml", "kd", "of") == '[KD](params.yaml#L1 "of")'
    for missing in ("budgets.mcl", "lr", "kd.lr"):
        with pytest.raises(ValueError, match=f"params.yaml: no {missing}, which"):
            link(tmp_path, "KD", "params.yaml", missing, "of")


STAGES = {
    "specialize@san-mcl-1": {"outs": [{"metrics/curves/cells/san-mcl-k1-s0.json": {"cache": False}}]},
    "evaluate@san-mcl-1": {"metrics": [{"metrics/cells/san-mcl-k1-s0.json": {"cache": False}}]},
}


def test_the_stage_of_a_row_is_the_one_that_writes_its_curve():
    assert trainer(STAGES, "san-mcl-k1-s0") == "specialize@san-mcl-1"
    with pytest.raises(ValueError, match="no stage makes metrics/curves/cells/san-mcl-k2-s0.json"):
        trainer(STAGES, "san-mcl-k2-s0")


@pytest.mark.parametrize(
    ("method", "section"),
    [("mcl_kd", "methods.mcl_kd"), ("kd", "distill.methods.kd"), ("student", "distill")],
)
def test_the_params_of_a_row_are_those_of_its_method_or_of_the_student(method, section):
    assert own_params({"params": ["compute", "networks.san", section]}, method) == section


def test_a_machine_is_told_from_its_like_by_how_it_multiplies_bf16():
    known = {"processor": "Xeon", "torch": "2"}
    assert machine(known) == machine(known | {"capabilities": ["avx2", "avx512_f"]}) == "Xeon, torch 2"
    both = ["avx2", "avx512_bf16", "amx_bf16"]
    assert machine(known | {"capabilities": both}) == "Xeon (avx512_bf16, amx_bf16), torch 2"


def test_its_tree_names_every_folder_and_only_files_that_exist():
    tree = re.search(r"```\n(stages/.*?)```", PAGE, re.DOTALL)[1]
    tops = {name: ROOT / name for name in ("stages", "tools", "pipelines", "specialists", "tests")}
    inside = {path.name: path for path in (ROOT / "specialists").iterdir() if (path / "__init__.py").exists()}
    folder, named = None, []
    for line in tree.splitlines():
        if start := re.match(r"( *)(\w+)/ ", line):
            folder = (inside if start[1] else tops)[start[2]]
            named.append(start[2])
        for file in re.findall(r"\w+\.py", line):
            assert (folder / file).exists(), (folder, file)
    assert sorted(named) == sorted([*tops, *inside])


def test_the_list_of_files_has_every_file_and_says_what_it_is_for():
    page = PAGES["docs/files.md"]
    files = {path for top in files_of.TOPS for path in (ROOT / top).rglob("[!_]*.py")}
    listed = re.findall(r"(?m)^\| \[(.+?)\]\(\.\./(.+?)\) \| (.+) \|$", page)
    assert {ROOT / path for _, path, _ in listed} == files and len(listed) == len(files)
    assert all(name == path.split("/")[-1] for name, path, _ in listed)
    assert all(job[0].isupper() or job[0].isdigit() for _, _, job in listed)
    assert "python -m stages.code" not in page


@pytest.mark.parametrize(
    ("docstring", "job"),
    [
        ("python -m tools.one\n\nCount to one. And stop.", "Count to one."),
        (
            "python -m tools.one [--to N]\n\nCount (Eq. 4, Mun et al. 2018)\nto N.",
            "Count (Eq. 4, Mun et al. 2018) to N.",
        ),
        ("python -m stages.one: the lines\nof a file -> data. More.", "The lines of a file -> data."),
        ("What others share | or not.\n\nThe rest.", "What others share \\| or not."),
    ],
)
def test_the_job_of_a_file_is_its_first_sentence(tmp_path, docstring, job):
    (tmp_path / "one.py").write_text(f'"""{docstring}"""\n')
    assert files_of.job(tmp_path / "one.py") == job
