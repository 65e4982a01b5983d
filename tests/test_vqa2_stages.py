"""The stages that only VQA v2 has, at smoke scale: what they write, from what they say that they read."""

import functools
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from specialists import data as prepared
from specialists.answers.ensemble import answers
from specialists.base.runtime import HAS_BF16
from stages import votes
from stages.told import Told
from tests.conftest import ROOT, run
from tests.smoke import as_recorded, asked, declares, follow, read
from tools import small

FOLDER = ROOT / "pipelines/vqa2"
KINDS = """
stand_in features base generalize evaluate_generalists specialize evaluate distill evaluate_student report
question specialties single boxes budget told taught untaught more votes official mixed tactics slides
""".split()


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Folders in which they ran: as always; without boxes; in fast mode."""
    whole, blind, fast = (tmp_path_factory.mktemp(name) for name in ("whole", "blind", "fast"))
    params = small.overlaid(FOLDER)
    stages = asked(FOLDER, whole, params, KINDS)
    for published in ("slides.csv", "paper.csv"):
        (whole / published).write_text((FOLDER / published).read_text())
    away = {"format": "vqa2_questions", "root": "asked"}
    alone = params | {
        "data": params["data"] | away,
        "singles": params["singles"] | {"networks": ["question_only"]},
    }
    lines = [line for _, line in stages.values()]
    lines += [line for _, line in asked(FOLDER, blind, alone, ["features", "single"]).values()]
    (blind / "asked").mkdir()
    for split in ("train2014", "val2014"):
        for name in (f"v2_OpenEnded_mscoco_{split}_questions.json", f"v2_mscoco_{split}_annotations.json"):
            (blind / "asked" / name).symlink_to(whole / "data/stand_in" / name)
    quick = params | {"compute": params["compute"] | {"mode": "fast"}}
    lines += [line for _, line in asked(FOLDER, fast, quick, ["mixed"]).values()]
    (fast / "data").symlink_to(whole / "data")
    follow(lines)
    return whole, blind, fast, {name: stage for name, (stage, _) in stages.items()}


def test_each_declares_the_code_it_loads_and_the_params_it_reads(ran):
    whole, *_, stages = ran
    declares(whole, stages, small.overlaid(FOLDER))


def test_they_write_what_they_declare_with_the_bits_that_were_recorded_on_another_machine(ran):
    whole, *_, stages = ran
    as_recorded(whole, stages, FOLDER, least=80)


def test_a_network_without_boxes_learns_what_one_that_does_not_look_learns_beside_them(ran):
    whole, blind, *_ = ran
    found, beside = (read(each / "metrics/singles/question_only-s0.json") for each in (blind, whole))
    assert found.items() >= {key: beside[key] for key in ("select", "report", "parameters")}.items()
    metas = [read(each / "data/features/meta.json") for each in (blind, whole)]
    assert all(metas[0][key] == metas[1][key] for key in ("blind", "answers", "kinds", "words", "splits"))
    assert metas[0]["boxes"] == 1


def test_a_network_alone_has_the_size_and_the_boxes_that_are_asked_for(ran):
    whole, *_ = ran
    rows = {name: read(whole / f"metrics/singles/{name}-s0.json") for name in ("butd", "boxes_30", "delayed")}
    assert len({each["parameters"] for each in rows.values()}) == 1
    assert rows["boxes_30"]["kept_mib"] < rows["butd"]["kept_mib"]  # of 36
    assert len({(whole / f"models/singles/{name}-s0.safetensors").read_bytes() for name in rows}) == 3


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("kind", lambda c: c + 9, "kind: .* is out of range: 0 to 2"),
        ("target", lambda c: c + 1000, "answer: .* is out of range: 0 to "),
        ("target", lambda c: c * torch.tensor([[1], [2]]), "share: .* is out of range: 0 to 1"),
        ("id", lambda c: c.int(), "id: torch.int32 of shape .*, expected torch.int64 of Q"),
    ],
)
def test_prepared_questions_that_do_not_fit_are_named(ran, tmp_path, name, change, said):
    whole, *_ = ran
    shutil.copytree(whole / "data/features", folder := tmp_path / "features")
    found = load_file(folder / "questions.safetensors")
    save_file(found | {name: change(found[name])}, folder / "questions.safetensors")
    with pytest.raises(ValueError, match=f"^{folder}: cannot be read .{said}.*; run the features stage"):
        prepared.load(folder)


def test_boxes_or_vectors_that_do_not_fit_are_refused(ran, tmp_path):
    whole, *_ = ran
    shutil.copytree(whole / "data/features", folder := tmp_path / "features")
    boxes = (folder / "boxes/boxes.f32").read_bytes()
    np.save(folder / "vectors.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="vectors: 3, expected one for each of "):
        prepared.load(folder)
    (folder / "vectors.npy").unlink()
    (folder / "boxes/boxes.f32").write_bytes(boxes[:-16])
    with pytest.raises(ValueError, match="boxes: images and features do not belong together"):
        prepared.load(folder)


def test_what_a_teacher_says_that_is_told_the_answer_is_there_for_train_alone(ran):
    whole, *_ = ran
    data, said = prepared.load(whole / "data/features"), np.load(whole / "models/told/cti-s0.npy")
    assert said.shape == (len(data.rows("train")), len(data.meta["answers"]))
    told = Told(data)
    assert len(told.rows("report")) == len(told.rows("select")) == 0
    for split in ("select", "report"):
        with pytest.raises(ValueError, match="its answer is told to nobody"):
            told.batch(torch.cat([data.rows("train")[:3], data.rows(split)[:1]]))
    taught, alone = (whole / f"models/singles/{name}-s0.safetensors" for name in ("taught", "untaught"))
    assert taught.read_bytes() != alone.read_bytes()


def test_one_vote_is_the_network_itself_and_no_vote_is_better_than_the_oracle(ran):
    whole, *_ = ran
    voted, first = (
        read(whole / "metrics/votes/butd-s0.json"),
        read(whole / "metrics/curves/base/butd-m0-s0.json"),
    )
    alone = pytest.approx(first["curve"][-1]["select_top1"], abs=1e-4)
    assert all(each["overall"] == alone for each in voted["select"]["1"].values())
    for ways in (*voted["select"].values(), *voted["report"].values()):
        assert all(ways[how][kind] <= ways["oracle"][kind] + 1e-9 for how in ways for kind in ways[how])


def test_votes_do_not_depend_on_how_many_questions_are_asked_at_once(ran, monkeypatch):
    whole, *_ = ran
    monkeypatch.chdir(whole)
    asked = read(whole / "metrics/votes/butd-s0.json")
    monkeypatch.setattr(votes, "answers", functools.partial(answers, batch=7))
    monkeypatch.setattr(
        votes, "write_json", lambda path, tree: asked.update(again=json.loads(json.dumps(tree)))
    )
    votes.main(0)
    assert asked.pop("again") == asked


def test_cells_have_the_accuracy_that_the_evaluator_gives_their_results(ran):
    whole, *_ = ran
    scores = read(whole / "metrics/official.json")
    assert scores.keys() == {path.stem for path in (whole / "metrics/cells").iterdir()}
    kinds = "OpenEnded_mscoco_{}_questions", "mscoco_{}_annotations", "mscoco_{}_complementary_pairs"
    questions, annotations, pairs = (f"data/stand_in/v2_{kind.format('val2014')}.json" for kind in kinds)
    for name in ("butd-ie-s0", "butd-mcl_kd-k3-s0"):
        words = [f"models/results/{name}.json", questions, annotations, "--pairs", pairs]
        lines = run(
            whole, sys.executable, "-m", "tools.vqa_eval", *words, PYTHONPATH=str(ROOT)
        ).stdout.splitlines()
        assert {line[8:]: float(line[:6]) for line in lines} == scores[name]
        top1 = read(whole / f"metrics/cells/{name}.json")["report"]["top1"]
        assert scores[name]["overall"] == pytest.approx(top1, abs=3)  # unanimous answers count as written


def test_fp32_beside_mixed_precision_is_the_single_network_and_in_fast_mode_no_bf16(ran):
    """bf16 is left out where it would be emulated."""
    whole, _, fast, _ = ran
    assert read(whole / "metrics/mixed.json") == read(whole / "metrics/singles/butd-s0.json")["report"]
    measured = [read(each / "metrics/environment/mixed.json")["measured"] for each in (whole, fast)]
    kept = [{name: row["kept_mib"] for name, row in each.items()} for each in measured]
    assert [*kept[0]] == [*kept[1]] == ["fp32", "bf16"][: 1 + HAS_BF16]
    if HAS_BF16:
        assert kept[0]["bf16"] == kept[1]["bf16"] < 0.65 * min(each["fp32"] for each in kept)


def test_a_table_of_the_slides_holds_the_numbers_of_its_rows(ran):
    whole, *_ = ran
    tables, page = read(whole / "metrics/slides.json"), (whole / "metrics/slides.md").read_text()
    assert {*tables["Networks"]} == {*small.overlaid(FOLDER)["singles"]["networks"]}
    for name, row in (tables["Networks"] | tables["Boxes"]).items():
        one = read(whole / f"metrics/singles/{name}-s0.json")
        spent = read(whole / f"metrics/environment/singles/{name}-s0.json")["wall_seconds"]
        assert {kind: each["mean"] for kind, each in row["report"].items()} == one["report"]
        assert row["seconds"] == pytest.approx(spent / 2)  # of two epochs
    voted = read(whole / "metrics/votes/butd-s0.json")["report"]["3"]["by type"]
    assert {kind: each["mean"] for kind, each in tables["Ensembles"]["3 by type"]["report"].items()} == voted
    assert page.count("\n| butd | ") == 2 and "| boxes 30 |" in page and "68.65 | 5782 | 4.65 |" in page


def test_the_gain_of_a_tactic_is_the_difference_of_the_accuracies_that_were_measured_apart(ran):
    whole, *_ = ran
    gains, page = read(whole / "metrics/tactics.json"), (whole / "metrics/slides.md").read_text()
    rivals, voted = small.overlaid(FOLDER)["rivals"], read(whole / "metrics/votes/butd-s0.json")["report"]
    assert {(one, other) for one, others in gains.items() for other in others} == {*map(tuple, rivals)}

    def measured(row):
        size, _, how = row.partition(" ")
        return voted[size][how] if how else read(whole / f"metrics/singles/{row}-s0.json")["report"]

    for one, other in rivals:
        pair = [measured(one), measured(other)]
        assert gains[one][other].keys() == pair[0].keys()
        for kind, each in gains[one][other].items():
            assert each["gain"] == pytest.approx(pair[0][kind] - pair[1][kind], abs=2e-3)
            assert each["low"] <= each["gain"] <= each["high"] and each["seeds"] == [each["gain"]]
    assert page.count("| taught | untaught | ") == page.count("| 3 by type | 2 mean | ") == 1
