"""python -m tools.check_gpu [--steps N]

Whether captured steps of training end in the bits of plain ones on this GPU, and how fast both are: examples
a second and member, through five ResNet-20 or VGG-17 on images and five SANs of the paper's size on
questions. It asks for MCL-KD what IE+ costs, too. Run it once on each new kind of GPU.

reads   nothing
writes  nothing
"""

import math
import time
from functools import partial
from types import SimpleNamespace

import torch

from specialists.answers import label
from specialists.answers.ensemble import Ensemble
from specialists.base.command import run
from specialists.base.runtime import DEVICE, Compute, setup
from specialists.methods import ie_plus, mcl_kd, mcl_kd_annealed
from specialists.networks import resnet20, san, vgg17
from specialists.training import graph, step
from specialists.training.alone import join
from specialists.training.budget import Budget

MEMBERS, BATCH, CLASSES, WORDS, ANSWERS, LONGEST = 5, 128, 100, 90, 28, 24
GRID, CHANNELS = [14, 14], 1024
SAN = {"blocks": 2, "width": 128, "embedding": 300, "lstm": 256, "pool": "last"}
SAN |= {"attention": 512, "glimpses": 2, "hidden": 1024}
KD = {"k": 1, "task": label, "beta": 4.0, "temperature": 2.0, "form": "kl"}
WARM = 50  # steps before the clock starts


def images():
    """(what builds a member, inputs of one batch, answers)"""
    image = torch.randn(BATCH, 3, 32, 32, device=DEVICE).to(memory_format=torch.channels_last)
    return partial(resnet20.Network, CLASSES, width=16), (image,), CLASSES


def large():
    _, inputs, answers = images()
    return partial(vgg17.Network, CLASSES, width=64), inputs, answers


def questions():
    tokens = torch.randint(1, WORDS, (BATCH, LONGEST), device=DEVICE)
    length = torch.randint(4, LONGEST + 1, (BATCH,), device=DEVICE)
    image = torch.randn(BATCH, math.prod(GRID), CHANNELS, device=DEVICE)
    return partial(san.Network, GRID, CHANNELS, WORDS, ANSWERS, **SAN), (image, tokens, length), ANSWERS


def plain(logits_MBC, target_B, taught_MBC, done):
    return ie_plus.loss(label.loss(logits_MBC, target_B))


def taught(logits_MBC, target_B, taught_MBC, done):
    return mcl_kd.loss(label.loss(logits_MBC, target_B), logits_MBC, taught_MBC, **KD)


def annealed(logits_MBC, target_B, taught_MBC, done):
    task_MB = label.loss(logits_MBC, target_B)
    return mcl_kd_annealed.loss(task_MB, logits_MBC, taught_MBC, done=done, softness=0.5, **KD)


CASES = {
    "ResNet-20, IE+": (images, plain, {}),
    "ResNet-20, MCL-KD": (images, taught, {}),
    "ResNet-20, MCL-KD+FS": (images, taught, {"keep": 0.7}),
    "ResNet-20, IE+, compiled": (images, plain, {"compiled": True}),
    "VGG-17, IE+": (large, plain, {}),
    "SAN, IE+": (questions, plain, {}),
    "SAN, IE+, Adam": (questions, plain, {"optimizer": "adam"}),
    "SAN, MCL-KD": (questions, taught, {}),
    "SAN, MCL-KD, annealed": (questions, annealed, {}),
}


def main(*, steps: int = 200):
    if steps < 1:
        raise ValueError(f"--steps: {steps} is out of range: at least 1")
    if DEVICE.type != "cuda":
        raise ValueError("no GPU is seen here: there is nothing to compare; torch with CUDA finds one")
    setup(Compute(mode="fast", threads=1, compile=False))
    print(torch.cuda.get_device_name(), torch.__version__)
    found = {name: compared(*case, steps) for name, case in CASES.items()}
    for name, (same, slow, fast) in found.items():
        bits = "same bits" if same else "OTHER BITS"
        print(f"{name:24} {bits:11} plain {slow:8.0f} /s  captured {fast:8.0f} /s")
    for network in ("ResNet-20", "SAN"):
        plus, kd = (found[f"{network}, {method}"][2] for method in ("IE+", "MCL-KD"))
        print(f"{network}: a step of MCL-KD takes {plus / kd:.2f} of one of IE+")
    if not all(same for same, *_ in found.values()):
        raise ValueError("captured steps differ from plain ones on this GPU")


def compared(make, method, settings, steps):
    """(whether weights have the same bits, plain and captured examples a second)"""
    (slow, plain_W), (fast, captured_W) = (
        trained(make, method, steps, kind, **settings) for kind in (step.Step, graph.Step)
    )
    return all(map(torch.equal, plain_W, captured_W)), slow, fast


def trained(make, method, steps, kind, keep=None, optimizer="sgd", compiled=False):
    """(examples a second and member, weights) after as many steps on one batch, from the same start."""
    torch.manual_seed(0)
    build, inputs, answers = make()
    members = [build() for _ in range(MEMBERS)]
    target_B = torch.randint(answers, (BATCH,), device=DEVICE)
    taught_MBC = torch.randn(MEMBERS, BATCH, answers, device=DEVICE)
    ensemble = Ensemble(members, keep).train()
    if compiled:
        ensemble.compile()
    exact = {"lr": 2**-7, "drops": [0.5], "factor": 0.5}  # in fp32
    budget = Budget(epochs=1, batch=BATCH, optimizer=optimizer, **exact)
    data = SimpleNamespace(rows=lambda split: range(BATCH))
    scaler = torch.amp.GradScaler(DEVICE.type, enabled=False)
    loss = partial(lost, method, taught_MBC, done := torch.zeros((), dtype=torch.float64, device=DEVICE))
    drawn = torch.Generator(DEVICE).manual_seed(0)
    rule = budget.make(ensemble)
    one = kind(join(ensemble, data, scaler), loss, budget, rule, drawn, scaler)
    position_B, warm = torch.arange(BATCH, device=DEVICE), min(WARM, steps)
    for count in range(warm + steps):
        if count == warm:
            start = now()
        done.fill_(count / (warm + steps))
        budget.pace(rule, count / (warm + steps))
        one.learn(inputs, target_B, position_B, BATCH)
        one.update()
    speed = MEMBERS * BATCH * steps / (now() - start)
    return speed, [each.clone() for each in ensemble.state_dict().values()]


def lost(method, taught_MBC, done, logits_MBC, target_B, position_B, generator):
    return method(logits_MBC, target_B, taught_MBC, done)


def now():
    """The time when all work is done."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    run(main)
