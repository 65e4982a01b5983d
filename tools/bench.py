"""python -m tools.bench

How fast five members specialise, beside other ways to do the same: images a second through one member's
training step, ResNet-20 on random images. All contestants run in turn on all cores; the median round counts.

    ours        the specialise step of this repository, for IE+, MCL-KD and MCL-KD with feature sharing
    authors     as the authors' code computes it, in plain PyTorch: fp32, eager, NCHW, live teachers, and the
                loss of every one of the C(M, k) assignments
    ensemble    torchensemble.VotingClassifier, where it is installed (pip install --no-deps torchensemble)
    peak        the fastest convolution found here in the arithmetic of fast mode, and our step's share of it

reads   params: compute, networks.resnet20, specialize, methods.ie_plus, mcl_kd, mcl_kd_fs
writes  metrics/bench.json
"""

import itertools
import logging
import statistics
import time
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch.amp import GradScaler
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.flop_counter import FlopCounterMode

from specialists.answers import label
from specialists.answers.ensemble import Ensemble
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import DEVICE, Compute, dtype, setup
from specialists.methods import Method
from specialists.networks import builder
from specialists.training.alone import join
from specialists.training.budget import Budget
from specialists.training.step import home

MEMBERS, CLASSES, K, BATCHES, ROUNDS = 5, 100, 2, 4, 5
OURS = {"ours IE+": "ie_plus", "ours MCL-KD": "mcl_kd", "ours MCL-KD+FS": "mcl_kd_fs"}
FILE = "metrics/bench.json"


def main():
    compute, budget = read("compute", Compute), read("specialize", Budget)
    if compute.mode != "fast":
        raise ValueError(f"params.yaml: compute.mode: {compute.mode!r}, expected fast, which is compared")
    setup(replace(compute, threads=(threads := torch.get_num_threads())))
    build = builder("resnet20", [CLASSES])
    image_N3HW = torch.randn(BATCHES * budget.batch, 3, 32, 32, device=DEVICE)
    label_N = torch.randint(CLASSES, (len(image_N3HW),), device=DEVICE)
    batches = list(zip(image_N3HW.split(budget.batch), label_N.split(budget.batch), strict=True))
    contestants = {name: ours(build, budget, batches, row, compute.compile) for name, row in OURS.items()}
    contestants["authors MCL-KD"] = authors(build, budget, batches, read("methods.mcl_kd.beta", float))
    if voting := torchensemble(build, budget, TensorDataset(image_N3HW, label_N)):
        contestants["torchensemble"] = voting
    for epoch in contestants.values():  # compiles, and warms up
        timed(epoch)
    seconds = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, epoch in contestants.items():
            seconds[name].append(timed(epoch))
    speed = {name: MEMBERS * len(image_N3HW) / statistics.median(rounds) for name, rounds in seconds.items()}
    flops, peak = per_image(build), convolution_peak(budget.batch)
    result = {
        "images_per_second_and_member": speed,
        "ratio_to_authors": speed["ours MCL-KD"] / speed["authors MCL-KD"],
        "mcl_kd_time_of_ie_plus": speed["ours IE+"] / speed["ours MCL-KD"],
        "flops_per_image": flops,
        "convolution_peak": peak,
        "share_of_peak": flops * speed["ours IE+"] / peak,
        "threads": threads,
    }
    if voting:
        result["ratio_to_torchensemble"] = speed["ours IE+"] / speed["torchensemble"]
    write_json(FILE, result)
    environment.write("bench", sum(map(sum, seconds.values())), FILE)
    for name, value in speed.items():
        print(f"{name:15} {value:7.0f} images/s/member")
    print(*(f"{name} {value:.2f}" for name, value in result.items() if "ratio" in name or "of_" in name))


def timed(work):
    """Seconds until it is done; waits for a GPU, for otherwise only the launches are timed."""
    synchronize()
    start = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - start


def synchronize():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def ours(build, budget, batches, row, compiled):
    """The step of training/loop.py with the loss of stages/specialize.py, on images and logits ready-made."""
    how, scaler = Method(row), GradScaler(DEVICE.type, enabled=False)
    ensemble = Ensemble([build() for _ in range(MEMBERS)], how.sharing)
    if compiled:
        ensemble.compile()
    batches = [(x.to(dtype()).contiguous(memory_format=torch.channels_last), y) for x, y in batches]
    position_B = torch.arange(budget.batch, device=DEVICE)
    taught_MBC = torch.randn(MEMBERS, budget.batch, CLASSES, device=DEVICE).half()

    def loss(logits_MBC, label_B, position_B, generator):
        return how.loss(
            task_MB=label.loss(logits_MBC, label_B),
            logits_MBC=logits_MBC,
            teacher_MBC=taught_MBC.float(),
            k=K,
            generator=generator,
            task=label,
            done=torch.zeros(()),
        )

    data = SimpleNamespace(rows=lambda split: position_B)
    given = loss, budget, budget.make(ensemble), torch.Generator(DEVICE), scaler
    step = home().Step(join(ensemble, data, scaler), *given)

    def epoch():
        ensemble.train()
        for image, label_B in batches:
            step.learn((image,), label_B, position_B, budget.batch)
            step.update()

    return epoch


def authors(build, budget, batches, beta):
    members, teachers = ([build().to(DEVICE) for _ in range(MEMBERS)] for _ in range(2))
    for teacher in teachers:
        teacher.eval()
    optimizer = torch.optim.SGD(
        [p for member in members for p in member.parameters()], lr=budget.lr, momentum=0.9, nesterov=True
    )

    def epoch():
        for image, label_B in batches:
            with torch.no_grad():
                taught = [teacher(image).softmax(1) for teacher in teachers]
            logits = [member(image) for member in members]
            task = [F.cross_entropy(x, label_B, reduction="none") for x in logits]
            other = [
                beta * F.kl_div(x.log_softmax(1), t, reduction="none").sum(1)
                for x, t in zip(logits, taught, strict=True)
            ]
            splits = [
                sum(task[m] if m in chosen else other[m] for m in range(MEMBERS))
                for chosen in itertools.combinations(range(MEMBERS), K)
            ]
            optimizer.zero_grad()
            torch.stack(splits).amin(0).mean().backward()
            optimizer.step()

    return epoch


def torchensemble(build, budget, data):
    try:
        from torchensemble import VotingClassifier
    except ImportError:
        print("torchensemble is not installed: left out")
        return None
    logging.disable()  # it reports every epoch
    voting = VotingClassifier(estimator=build(), n_estimators=MEMBERS, cuda=DEVICE.type == "cuda", n_jobs=1)
    voting.set_optimizer("SGD", lr=budget.lr, momentum=0.9, nesterov=True)
    batches = DataLoader(data, budget.batch)

    def epoch():
        with redirect_stdout(None):
            voting.fit(batches, epochs=1, save_model=False)

    return epoch


def per_image(build):
    """Floating-point operations of one training step per image: convolutions and the linear layer."""
    image, member = torch.randn(1, 3, 32, 32, device=DEVICE), build().to(DEVICE).eval()
    with FlopCounterMode(display=False) as counter:
        member(image).sum().backward()
    return counter.get_total_flops()


def convolution_peak(batch):
    """Operations a second of the fastest of some 3x3 convolutions in the arithmetic of fast mode."""
    best = 0.0
    for channels, side in ((64, 32), (128, 16), (256, 16), (256, 32)):
        layer = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(DEVICE, dtype())
        layer = layer.to(memory_format=torch.channels_last).requires_grad_(False)
        image = torch.randn(batch, channels, side, side, device=DEVICE).to(dtype())
        image = image.contiguous(memory_format=torch.channels_last)
        seconds = min(timed(partial(layer, image)) for _ in range(4))
        best = max(best, 2 * 9 * channels**2 * side**2 * batch / seconds)
    return best


if __name__ == "__main__":
    run(main)
