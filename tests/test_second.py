"""A second generation starts from, and is taught by, the members of a cell: here of IE, the base models."""

import json

import numpy as np
import pytest
import torch
import yaml

from specialists.answers import label
from specialists.answers.ensemble import Ensemble, mask, save
from specialists.base.files import md5
from stages import drawn
from tests.conftest import stage
from tests.test_ensemble import Both


def test_the_members_of_a_cell_are_laid_out_as_base_models_and_teach_as_they_do(clone):
    """Those of IE are the base models to the byte, so that their second generation is the first."""
    stage(clone, "elders", "san", "cells/san-ie-s0", "models/elders/ie/san-s0")
    base = {each.name: md5(each) for each in clone.glob("models/base/san-s0/m*")}
    laid = {each.name: md5(each) for each in clone.glob("models/elders/ie/san-s0/*")}
    assert laid == base and len(base) == 2 * 2
    cell = "models/cells/san-mcl_kd-k1-s0.safetensors"
    made = yaml.safe_load((clone / "dvc.lock").read_text())["stages"]["specialize@san-mcl_kd-1-0"]["outs"]
    first = next(each["md5"] for each in made if each["path"] == cell)
    stage(clone, "specialize", "san", "mcl_kd", "1", "0", "cells/second", "--start", "models/elders/ie")
    assert md5(clone / "models/cells/second.safetensors") == first
    stage(clone, "elders", "san", "cells/second", "models/elders/second/san-s0")
    assert all(md5(each) != base[each.name] for each in clone.glob("models/elders/second/san-s0/*"))
    more = ("ie", "all", "0", "cells/third", "--start", "models/elders/second")
    stage(clone, "specialize", "san", *more)
    assert md5(clone / "models/cells/third.safetensors") == first


class Points:
    """Examples that come in two batches of 500; the last 100 are report."""

    task = label

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(700, 4, generator=generator)
        self.y = torch.randint(3, (700,), generator=generator)

    def rows(self, split):
        return torch.arange(100, 700)

    def batch(self, rows):
        return (self.x[rows],), self.y[rows]

    def targets(self, rows):
        return self.y[rows]


def by_hand(members, data, generator, draws, keep):
    """How right the mean over draws is; whoever answers gets his own features and masked ones of the rest."""
    said = np.zeros((600, 3))
    for first, last in ((100, 600), (600, 700)):
        for _ in range(draws):
            own = [member.lower(data.x[first:last]) for member in members]
            for m, member in enumerate(members):
                mixed = own[m].clone()
                for j in range(len(members)):
                    if j != m:
                        mixed += mask(own[j], keep, generator) * own[j]
                said[first - 100 : last - 100] += member.upper(mixed).softmax(1).detach().numpy()
    return (said.argmax(1) == data.y[100:].numpy()).astype(float).tolist()


@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_masks_are_drawn_as_often_as_asked_and_of_each_draw_the_mean_counts(tmp_path, monkeypatch, keep):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    members, data = [Both() for _ in range(3)], Points()
    save(Ensemble(members, keep), "models/cells/shared.safetensors")
    found, whole = drawn.compared("shared", Both, data, 4)
    generator = torch.Generator().manual_seed(drawn.mix("masks", "shared"))
    assert found == by_hand(members, data, generator, 4, keep)
    assert (found == whole) == (keep == 1.0)  # where all is kept, nothing is drawn


def test_a_stage_that_draws_says_of_each_row_that_shares_what_it_gains(clone):
    params = yaml.safe_load((clone / "params.yaml").read_text())
    params["methods"]["ie_plus"]["sharing"] = 0.2
    (clone / "params.yaml").write_text(yaml.safe_dump(params | {"masks": {"draws": 2}}, sort_keys=False))
    stage(clone, "specialize", "san", "ie_plus", "all", "0", "cells/san-ie_plus-s0")
    stage(clone, "drawn", "san")
    found = json.loads((clone / "metrics/drawn/san.json").read_text())
    assert found.keys() == {"san-ie_plus"} and found["san-ie_plus"].keys() == {
        *"gain low high seeds top1".split()
    }
    (clone / "params.yaml").write_text(yaml.safe_dump(params | {"masks": {"draws": 0}}, sort_keys=False))
    assert "masks.draws: 0 is out of range: at least 1" in stage(clone, "drawn", "san", check=False).stderr
