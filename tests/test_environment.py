"""The record of the machine: it follows the bytes in git, and says of each run what that took."""

import json
from pathlib import Path

import pytest
import torch

from specialists.base import environment
from specialists.base.files import md5

COMMITTED, RAN = Path("metrics/environment/cells/a.json"), Path("scratch/ran/cells/a.json")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(content, seconds, processor, monkeypatch, **more):
    """The record that is committed and that of this run, after a run on some processor."""
    monkeypatch.setattr(environment, "_processor", lambda: processor)
    Path("weights").write_text(content)
    environment.write("cells/a", seconds, "weights", **more)
    return json.loads(COMMITTED.read_text()), json.loads(RAN.read_text())


def test_the_first_record_is_that_of_the_run(monkeypatch):
    committed, ran = write("bytes", 1.26, "Xeon", monkeypatch, steps=3)
    assert committed == ran and committed["processor"] == "Xeon" and committed["wall_seconds"] == 1.3
    assert committed["made"] == md5("weights") and committed["threads"] == torch.get_num_threads()
    assert committed["peak_memory_mib"] > 10 and committed["steps"] == 3


def test_who_finds_the_same_bytes_leaves_the_record_as_it_is(monkeypatch):
    first, _ = write("bytes", 1.0, "Xeon", monkeypatch)
    before = COMMITTED.read_bytes()
    _, ran = write("bytes", 2.0, "EPYC", monkeypatch)
    assert COMMITTED.read_bytes() == before and first["processor"] == "Xeon"
    assert (ran["processor"], ran["wall_seconds"], ran["made"]) == ("EPYC", 2.0, first["made"])


def test_who_finds_other_bytes_writes_the_record_anew(monkeypatch):
    write("bytes", 1.0, "Xeon", monkeypatch)
    committed, ran = write("others", 2.0, "EPYC", monkeypatch)
    assert committed == ran and (committed["processor"], committed["wall_seconds"]) == ("EPYC", 2.0)


def test_a_record_that_does_not_say_what_was_made_is_written_anew(monkeypatch):
    COMMITTED.parent.mkdir(parents=True)
    COMMITTED.write_text('{"processor": "Xeon"}')
    committed, ran = write("bytes", 1.0, "EPYC", monkeypatch)
    assert committed == ran


def test_a_damaged_record_is_one_line(monkeypatch):
    COMMITTED.parent.mkdir(parents=True)
    COMMITTED.write_text('{"processor": ')
    with pytest.raises(ValueError, match="a.json: not JSON, perhaps cut short"):
        write("bytes", 1.0, "EPYC", monkeypatch)


def test_machines_of_one_name_are_told_apart(monkeypatch):
    assert set(environment.CAPABILITIES) <= torch.cpu.get_capabilities().keys()
    has = {"avx2": True, "amx_bf16": False, "avx512_f": True, "sse4_2": True, "num_sockets": 2}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert environment.capabilities() == ["avx2", "avx512_f"]
    assert environment.machine()["capabilities"] == ["avx2", "avx512_f"]
