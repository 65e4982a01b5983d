"""Many ranks have the numbers of one: to the bit if members are shared out, to rounding if a batch is."""

import shutil
import sys

import pytest
import torch
import yaml

from specialists.base.files import md5
from specialists.training import loop
from tests import ranked
from tests.conftest import ROOT, run

LAUNCH = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--monitor-interval=0.1"]
# gloo stays on the loopback; a restart needs a store of its own (pytorch#135712)
ALONE = {"GLOO_SOCKET_IFNAME": "lo", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What all cases end in on two ranks, of which one is killed once, and some on four."""
    folder = tmp_path_factory.mktemp("ranks")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "SAVE_SECONDS", 0)
        ranked.trained("begun", folder, ranked.stopping(ranked.interrupt))
    cases = [
        "members",
        "killed",
        "halved",
        "begun",
        "norm",
        "dropout",
        "sharing",
        "costly",
        "learner",
        "twice",
    ]
    launched = [*LAUNCH, "--max-restarts=1"]
    first = run(ROOT, *launched, "--nproc-per-node=2", "tests/ranked.py", str(folder), *cases, **ALONE)
    assert first.stderr.count("(exitcode: -9) local_rank: 1") == 1, "one was to be killed"
    shutil.copy(folder / "halved.pt", folder / "both.pt")
    (folder / "norm.pt").unlink()  # else four ranks find that it is done
    run(ROOT, *LAUNCH, "--nproc-per-node=4", "tests/ranked.py", str(folder), "both", "norm", **ALONE)
    return folder


def compared(folder, case, tmp_path, ranks=2):
    """(the largest difference of a weight from one rank's, the curve, one rank's)."""
    weights, curve = torch.load(folder / f"{case}-{ranks}.result")
    right, wanted = ranked.trained(case, tmp_path)
    return max((weights[name] - right[name]).abs().max().item() for name in right), curve, wanted


@pytest.mark.parametrize("case", ["members", "killed", "begun"])
def test_members_on_other_ranks_have_the_same_bits(folder, case, tmp_path):
    """Of three members one is alone; a rank was killed, or the checkpoint was that of one rank."""
    difference, curve, wanted = compared(folder, case, tmp_path)
    assert difference == 0 and curve == wanted


def test_one_rank_goes_on_where_two_were_stopped(folder, tmp_path):
    assert torch.load(folder / "halved-2.result") == ""
    weights, curve = ranked.trained("halved", folder)
    right, wanted = ranked.trained("halved", tmp_path)
    assert all(torch.equal(weights[name], right[name]) for name in right) and curve == wanted


@pytest.mark.parametrize(
    ("case", "ranks"), [("norm", 2), ("dropout", 2), ("sharing", 2), ("norm", 4), ("both", 4)]
)
def test_parts_of_a_batch_are_the_batch(folder, case, ranks, tmp_path):
    """Parts of 0, 1 or more examples; `both` has 2 x 2 ranks go on where two were stopped."""
    difference, curve, wanted = compared(folder, case, tmp_path, ranks)
    assert difference < 1e-14
    assert [each.pop("loss") for each in curve] == pytest.approx(
        [each.pop("loss") for each in wanted], rel=1e-14
    )
    assert curve == wanted


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("costly", "a network with a loss of its own needs whole batches: at most 1 ranks"),
        ("learner", "Learner learns by itself, from whole batches: it needs one rank"),
        ("twice", "a stage that trains more than once needs one rank: start it without torchrun"),
    ],
)
def test_what_ranks_would_make_another_number_of_is_refused(folder, case, message):
    assert torch.load(folder / f"{case}-2.result") == message


def test_a_stage_under_torchrun_makes_its_own_bytes(clone):
    """What dvc.lock says of it; one rank writes."""
    cell = "cells/san-mcl_kd-k1-s0"
    name, lock = "specialize@san-mcl_kd-1-0", yaml.safe_load((clone / "dvc.lock").read_text())["stages"]
    command = [*LAUNCH, "--nproc-per-node=2", "-m", *lock[name]["cmd"].split()[2:]]
    made = {each["path"]: each["md5"] for each in lock[name]["outs"]}
    for path in made:
        (clone / path).unlink()
    done = run(clone, *command, **ALONE)
    assert {path: md5(clone / path) for path in made} == made and f"models/{cell}.safetensors" in made
    assert done.stderr.count("epoch 1/2") == 1 and not [*clone.glob("scratch/*.pt")]
