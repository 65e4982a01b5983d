"""Networks on boxes: against plain transcriptions, the published sizes, and what padding must not change."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from specialists.base.params import load
from specialists.data.vqa2.read import Words
from specialists.networks import ban, box_san, boxes, butd, cti, network, question_only
from specialists.networks.portable import plain
from tests.conftest import ROOT
from tools import small

WORDS, ANSWERS, CHANNELS = 30, 20, 16
HEAD = {"classifier_hidden": 24, "activation": "relu", "dropout": 0.3}
SIZES = {
    butd: {"hidden": 18, "attention_dropout": 0.2, **HEAD},
    box_san: {"attention": 8, "glimpses": 2, "hidden": 16, "dropout": 0.3, "counter": "plain"},
    ban: {"glimpses": 2, "attention_dropout": 0.2, "counter": "sharpened", **HEAD},
    cti: {"joint": 12, "slices": 3, **HEAD},
    question_only: HEAD,
}


def made(file):
    torch.manual_seed(0)
    return file.Network(CHANNELS, WORDS, ANSWERS, embedding=10, question=14, **SIZES[file]).eval()


def asked(file, questions=6, boxes=12, longest=7):
    """Questions of several lengths about images with several numbers of boxes."""
    generator = torch.Generator().manual_seed(1)
    length_B = torch.randint(1, longest + 1, (questions,), generator=generator)
    tokens_BL = torch.randint(2, WORDS, (questions, longest), generator=generator)
    tokens_BL[torch.arange(longest) >= length_B.unsqueeze(1)] = 0
    corner_BK2 = torch.rand(questions, boxes, 2, generator=generator)
    box_BK4 = torch.cat(
        [corner_BK2, corner_BK2 + 0.1 + torch.rand(questions, boxes, 2, generator=generator)], 2
    )
    image_BKF = torch.rand(questions, boxes, CHANNELS, generator=generator)
    for row, count in enumerate((12, 10, 11, 12, 10, 12)):
        image_BKF[row, count:], box_BK4[row, count:] = 0, 0
    inputs = image_BKF, box_BK4, tokens_BL, length_B
    if file is not cti:
        return inputs
    place_BA = torch.randint(ANSWERS, (questions, 3), generator=generator)
    return *inputs, torch.stack([place_BA.float(), torch.tensor([[1.0, 0.3, 0.0]]).expand(questions, 3)], 1)


@pytest.mark.parametrize("file", SIZES)
@torch.no_grad()
def test_padding_of_words_and_boxes_changes_no_answer(file):
    network, (image, box, tokens, length, *told) = made(file), asked(file)
    before = network(image, box, tokens, length, *told)
    after = network(
        F.pad(image, (0, 0, 0, 5)), F.pad(box, (0, 0, 0, 5)), F.pad(tokens, (0, 3)), length, *told
    )
    alone = torch.cat(
        [network(*(each[i : i + 1] for each in (image, box, tokens, length, *told))) for i in range(6)]
    )
    assert torch.allclose(before, after, atol=1e-6) and torch.allclose(before, alone, atol=1e-6)


@pytest.mark.parametrize("file", SIZES)
def test_everything_learns_and_each_input_counts(file):
    network, inputs = made(file).train(), asked(file)
    network(*inputs).square().sum().backward()
    assert all(each.grad is not None and each.grad.isfinite().all() for each in network.parameters())
    assert all(each.grad.any() for name, each in network.named_parameters() if "counter" not in name)
    network.eval()
    for place in range(len(inputs)):
        other = [each.roll(1, 0) if i == place else each for i, each in enumerate(inputs)]
        if file is question_only and place < 2:
            assert torch.equal(network(*inputs), network(*other))
        elif place != 1 or hasattr(network, "counter"):  # corners count for whoever counts
            assert not torch.allclose(network(*inputs), network(*other)), place


class Published(nn.Module):
    """The bottom-up top-down network written down plainly, from its description."""

    def __init__(self, channels, words, answers, embedding, question, hidden, classifier):
        super().__init__()
        self.words, self.gru = (
            nn.Embedding(words, embedding, padding_idx=0),
            nn.GRU(embedding, question, batch_first=True),
        )
        norm = lambda a, b: weight_norm(nn.Linear(a, b), dim=None)  # noqa: E731
        self.v, self.q, self.a = norm(channels, hidden), norm(question, hidden), norm(hidden, 1)
        self.joint_q, self.joint_v = norm(question, hidden), norm(channels, hidden)
        self.first, self.second = norm(hidden, classifier), norm(classifier, answers)

    def forward(self, image, tokens, length):
        said = torch.stack(
            [self.gru(self.words(t[None, :n]))[0][0, -1] for t, n in zip(tokens, length, strict=True)]
        )
        answers = []
        for seen, asked in zip(image, said, strict=True):
            there = seen[seen.abs().sum(1) > 0]
            score = self.a(F.relu(self.v(there)) * F.relu(self.q(asked)))
            found = (score.softmax(0) * there).sum(0)
            joint = F.relu(self.joint_q(asked)) * F.relu(self.joint_v(found))
            answers.append(self.second(F.relu(self.first(joint))))
        return torch.stack(answers)


def test_bottom_up_top_down_is_the_published_network():
    ours, theirs = made(butd), Published(CHANNELS, WORDS, ANSWERS, 10, 14, 18, 24).eval()
    pairs = {
        "question.embedding": "words",
        "attend_image.0": "v",
        "attend_question.0": "q",
        "attend": "a",
        "of_question.0": "joint_q",
        "of_image.0": "joint_v",
        "answer.0": "first",
        "answer.3": "second",
    }
    for mine, other in pairs.items():
        theirs.get_submodule(other).load_state_dict(ours.get_submodule(mine).state_dict())
    gru = ours.question.gru
    for name, layer in (("ih", gru.of_input), ("hh", gru.of_state)):
        getattr(theirs.gru, f"weight_{name}_l0").data, getattr(theirs.gru, f"bias_{name}_l0").data = (
            layer.weight.data,
            layer.bias.data,
        )
    image, box, tokens, length = asked(butd)
    with plain():
        assert torch.allclose(ours(image, box, tokens, length), theirs(image, tokens, length), atol=1e-5)
    assert torch.allclose(ours(image, box, tokens, length), theirs(image, tokens, length), atol=1e-5)


def published():
    """Row of params.yaml -> its network at the papers' sizes, as pipelines/vqa2/real.yaml lays them over."""
    folder = ROOT / "pipelines/vqa2"
    rows = small.merged(load(folder / "params.yaml"), load(folder / "real.yaml"), "real", 1)["networks"]
    return {
        row: counted(settings | {"network": settings.get("network", row)}) for row, settings in rows.items()
    }


def counted(settings):
    """The number of parameters with 2,048 channels and the published vocabularies of words and answers."""
    with torch.device("meta"):  # takes no memory
        file = network(settings.pop("network"))
        return sum(each.numel() for each in file(2048, W, A, **settings).parameters())


W, A = 19_902, 3_129


def linear(a, b):
    return a * b + b


def normal(a, b):
    """With a length beside the direction of its weight."""
    return linear(a, b) + 1


def question(embedding, size):
    return W * embedding + 3 * size * (embedding + size + 2)


def test_the_published_sizes_have_their_parameters():
    """By descriptions of the published networks, layer by layer; what of ours departs is named."""
    found = published()
    butd = question(300, 1024) + normal(2048, 1024) + normal(1024, 1024) + normal(1024, 1)
    butd += normal(1024, 1024) + normal(2048, 1024) + normal(1024, 2048) + normal(2048, A)
    assert {found[row] for row in found if row.startswith("butd")} == {butd}
    assert found["question_only"] == question(300, 1024) + normal(1024, 2048) + normal(2048, A)

    san = question(300, 1024) + 2048 * 512 + linear(1024, 512) + linear(512, 2)
    san += linear(2 * 2048, 1024) + 1024 * 1024 + linear(1024, A)  # the published one normalises batches too
    counter = 8 * 16  # pieces of lines; 17 in the published code, whose first is always 0
    assert found["san"] == san
    assert found["san_counter"] == san + counter + linear(11, 1024)

    ban = question(600, 1280) + normal(2048, 3 * 1280) + normal(1280, 3 * 1280)
    ban += 8 * 3 * 1280 + 8  # of maps of attention; normalised in the published code: one more
    ban += 8 * (normal(2048, 1280) + 2 * normal(1280, 1280)) + normal(1280, 2560) + normal(2560, A)
    assert found["ban"] == ban
    assert found["ban_counter"] == found["ban_sharpened"] == ban + counter + 8 * linear(11, 1280)

    cti = question(300, 1024) + A * 300 + 32 * (512 // 32) ** 3
    cti += (
        2 * (normal(2048, 512) + normal(1024, 512) + normal(300, 512)) + normal(512, 2048) + normal(2048, A)
    )
    assert found["cti"] == cti


def test_attention_to_pairs_is_its_formula():
    network, (image, _, tokens, _) = made(ban), asked(ban)
    said = network.question(tokens)
    found = network.attention(image, said)
    v, q = network.attend_image(image), network.attend_question(said)
    for g in range(2):
        slow = torch.einsum("bkr,blr,r->bkl", v, q, network.weight_GR[g]) + network.bias_G[g]
        assert torch.allclose(found[:, g], slow, atol=1e-5)


def test_attention_to_triples_is_its_formula():
    """A Tucker product in each slice; nothing where a box, a word or an answer is missing."""
    network, (image, box, tokens, length, told) = made(cti), asked(cti)
    parts = {"image": image, "words": network.question(tokens), "known": network.known(told[:, 0].long())}
    there = {
        "image": boxes.present(box),
        "words": torch.arange(7) < length.unsqueeze(1),
        "known": told[:, 1] > 0,
    }
    weight = network.attention(parts, there)
    v, q, a = (network.attend[name](part)[2].unflatten(1, (3, 4)) for name, part in parts.items())
    score = torch.full((12, 7, 3), -torch.inf)
    for k in range(12):
        for w in range(7):
            for n in range(3):
                if there["image"][2, k] and there["words"][2, w] and there["known"][2, n]:
                    score[k, w, n] = sum(
                        torch.einsum("xyz,x,y,z->", network.core_Ssss[s], v[k, s], q[w, s], a[n, s])
                        for s in range(3)
                    )
    assert torch.allclose(weight[2], score.flatten().softmax(0).view(12, 7, 3), atol=1e-6)
    v, q, a = (network.of[name](part)[2] for name, part in parts.items())
    found = sum(
        weight[2, k, w, n] * v[k] * q[w] * a[n] for k in range(12) for w in range(7) for n in range(3)
    )
    assert torch.allclose(network(image, box, tokens, length, told)[2], of(network.answer, found), atol=1e-5)
    assert torch.equal(network.attention(parts, there | {"known": told[:, 1] > 2}), torch.zeros(6, 12, 7, 3))


def of(layer, vector):
    """What a layer makes of a single vector."""
    return layer(vector[None])[0]


def one_by_one(network, image, box, tokens, length):
    """(features and corners of the boxes that are there, what is said of each word) of each question."""
    for there, row, corners, words, count in zip(boxes.present(box), image, box, tokens, length, strict=True):
        yield row[there], corners[there], network.question(words[None, :count])[0]


@torch.no_grad()
def test_what_glimpses_of_pairs_find_and_count_joins_every_word():
    network, inputs = made(ban), asked(ban)
    answers = []
    for image, corners, words in one_by_one(network, *inputs):
        v, q = network.attend_image(image), network.attend_question(words)
        logit = torch.einsum("kr,lr,gr->gkl", v, q, network.weight_GR) + network.bias_G[:, None, None]
        for g, score in enumerate(logit):
            seen, asks = network.of_image[g](image), network.of_question[g](words)
            pairs = [each_seen * each_asks for each_seen in seen for each_asks in asks]
            share = score.flatten().softmax(0)
            found = sum(weight * pair for weight, pair in zip(share, pairs, strict=True))
            count = network.counter(corners[None], score.amax(1)[None])[0]
            words = words + of(network.keep[g], found) + of(network.of_count[g], count)
        answers.append(of(network.answer, words.sum(0)))
    assert torch.allclose(network(*inputs), torch.stack(answers), atol=1e-5)


@torch.no_grad()
def test_stacked_attention_to_boxes_is_its_formula():
    network, inputs = made(box_san), asked(box_san)
    answers = []
    for image, corners, words in one_by_one(network, *inputs):
        image, asks = torch.stack([each / each.norm() for each in image]), words[-1]
        fused = [F.relu(of(network.ask_image, each) + of(network.ask_question, asks)) for each in image]
        score_KG = torch.stack([of(network.glimpse, each) for each in fused])
        seen = [
            sum(weight * each for weight, each in zip(score_K.softmax(0), image, strict=True))
            for score_K in score_KG.T
        ]
        hidden = F.relu(of(network.hidden, torch.cat([*seen, asks])))
        count = network.counter(corners[None], score_KG[None, :, 0])[0]
        answers.append(of(network.answer, hidden + F.relu(of(network.of_count, count))))
    assert torch.allclose(network(*inputs), torch.stack(answers), atol=1e-5)


def test_vectors_of_words_are_where_an_embedding_begins():
    words = Words(5)
    words.vectors = torch.arange(50.0).view(5, 10)
    assert torch.equal(boxes.Question(words, 10, 4).embedding.weight, words.vectors)
    with pytest.raises(ValueError, match="embedding: 8; the vectors of words have 10"):
        boxes.Question(words, 8, 4)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (butd, {"activation": "gelu"}, "activation: 'gelu' is unknown; known: relu, swish"),
        (box_san, {"glimpses": 0}, "glimpses: 0 is out of range"),
        (box_san, {"counter": "yes"}, "counter: 'yes' is unknown; known: none, plain, sharpened"),
        (ban, {"glimpses": 0}, "glimpses: 0 is out of range"),
        (cti, {"slices": 5}, "joint: 12 is not a multiple of 5"),
    ],
)
def test_settings_that_make_no_sense_are_named(file, change, message):
    with pytest.raises(ValueError, match=message):
        file.Network(CHANNELS, WORDS, ANSWERS, embedding=10, question=14, **SIZES[file] | change)
