"""The README's lines for a training loop of one's own, as they stand there."""

import itertools
import sys

import torch
from torch import nn

from specialists.answers import label
from specialists.methods import mcl_kd
from tests.conftest import ROOT, example, run

LINES = example("README.md", "import mcl_kd")


def test_the_lines_of_the_readme_are_the_best_of_all_assignments():
    torch.manual_seed(0)
    members, teachers = ([nn.Linear(4, 6).double() for _ in range(3)] for _ in range(2))
    x, y = torch.randn(10, 4, dtype=torch.float64), torch.randint(6, (10,))
    teacher_MBC = torch.stack([teacher(x) for teacher in teachers]).detach()
    names = {"torch": torch, "members": members, "teacher_MBC": teacher_MBC, "x": x, "y": y}
    exec(LINES, names)
    logits_MBC = torch.stack([member(x) for member in members])
    task_MB = label.loss(logits_MBC, y)
    other_MB = mcl_kd.other(logits_MBC, teacher_MBC, label, beta=1.8, temperature=1.0, form="kl")
    for b, m in itertools.product(range(10), range(3)):
        price = sum(task_MB[i, b] if i == m else other_MB[i, b] for i in range(3))
        assert names["loss_B"][b] <= price + 1e-12
        if names["chosen_MB"][m, b]:
            torch.testing.assert_close(names["loss_B"][b], price)
    assert all(member.weight.grad.abs().sum() > 0 for member in members)


def test_the_lines_run_where_pip_installed_them_without_what_else_there_is(tmp_path):
    run(tmp_path, "git", "clone", "--quiet", str(ROOT), "clone")
    where = {"PYTHONPATH": str(tmp_path / "lib")}
    words = "--quiet --disable-pip-version-check --no-index --no-build-isolation --no-deps --target ../lib ."
    run(tmp_path / "clone", sys.executable, "-m", "pip", "install", *words.split())
    given = """
import torch
members = [torch.nn.Linear(4, 6) for _ in range(3)]
x, y = torch.randn(10, 4), torch.randint(6, (10,))
teacher_MBC = torch.stack([member(x) for member in members]).detach()
"""
    told = "import sys; print(mcl_kd.__file__, {'dvc', 'mlflow', 'sklearn', 'PIL'} & sys.modules.keys())"
    (tmp_path / "own.py").write_text(given + LINES + told)
    file, others = run(tmp_path, sys.executable, "own.py", **where).stdout.split(maxsplit=1)
    assert file == f"{tmp_path}/lib/specialists/methods/mcl_kd.py" and others.strip() == "set()"
