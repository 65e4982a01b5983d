"""The benchmark at a scale where it is over in a second: every contestant runs, the ratios are those said."""

import json

import pytest
import yaml

from tests.conftest import ROOT
from tools import bench


def test_the_ratios_are_those_of_the_speeds(tmp_path, monkeypatch, capsys):
    params = yaml.safe_load((ROOT / "pipelines/cifar100/params.yaml").read_text())
    params["networks"]["resnet20"]["width"], params["specialize"]["batch"] = 2, 4
    params["compute"]["compile"] = False
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    for name, value in {"MEMBERS": 2, "K": 1, "BATCHES": 1, "ROUNDS": 1}.items():
        monkeypatch.setattr(bench, name, value)
    bench.main()
    told = json.loads((tmp_path / "metrics/bench.json").read_text())
    speed = told["images_per_second_and_member"]
    assert set(speed) >= {"ours IE+", "ours MCL-KD", "ours MCL-KD+FS", "authors MCL-KD"}
    assert told["ratio_to_authors"] == pytest.approx(speed["ours MCL-KD"] / speed["authors MCL-KD"])
    assert told["mcl_kd_time_of_ie_plus"] == pytest.approx(speed["ours IE+"] / speed["ours MCL-KD"])
    # A step has two passes back for each forward, but the first convolution none to the pixels.
    assert told["flops_per_image"] == pytest.approx(3 * forward(2), rel=0.05)
    assert "images/s/member" in capsys.readouterr().out


def forward(width):
    """Two operations for every multiplication of ResNet-20 on 32 x 32 pixels, by hand."""
    total, inputs = 0, 3
    for side, outputs, count in ((32, width, 7), (16, 2 * width, 6), (8, 4 * width, 6)):
        for _ in range(count):
            total, inputs = total + 2 * 9 * inputs * outputs * side**2, outputs
    return total + 2 * inputs * 100


def test_portable_arithmetic_is_not_what_is_timed(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(ValueError, match="compute.mode: 'portable', expected fast"):
        bench.main()
