"""python -m stages.mixed NETWORK SEED

Train one network in fp32 and in mixed precision, one after the other on one machine: in bf16 where that is
fast, and on a GPU in fp16 with its loss scaled. Each kind of processor rounds bf16 and fp16 in its own way.
Their results are therefore kept beside the machine, like the seconds that each takes, until the result of
fp32 changes. Where compute.mode is fast, fp32 is that of torch, of other bits than portable fp32.

reads   params: compute, networks.NETWORK, budgets.base; data/features
writes  metrics/mixed.json: accuracy of fp32 in percent on report, in all and by type;
        metrics/environment/mixed.json: `measured`, of each, the same, seconds, and MiB that a step keeps
"""

import time
from dataclasses import replace

import torch
from torch import nn
from torch.amp import GradScaler

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble, answer
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import DEVICE, HAS_BF16, Compute, setup
from specialists.networks import builder
from specialists.networks.portable import plain as plain_layers
from specialists.training import checkpoint
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix, plain
from stages.single import measured

SLOW = {True: ["fp16"], False: ["bf16", "fp16"]}  # on a CPU that has bf16, or has not


class Cast(nn.Module):
    """A member that computes in fp16, or in fp32 where others compute in bf16."""

    def __init__(self, member, half):
        super().__init__()
        self.member, self.half = member, half

    @property
    def extra(self):
        return getattr(self.member, "extra", 0)

    def forward(self, *inputs):
        with torch.autocast(DEVICE.type, torch.float16, enabled=self.half), plain_layers():
            return self.member(*inputs)


def main(network: str, seed: int):
    start, compute, budget = time.monotonic(), read("compute", Compute), read("budgets.base", Budget)
    data, found = prepared.load("data/features"), {}

    ways = {"fp32": compute.mode, "bf16": "fast", "fp16": "fast"}
    if DEVICE.type == "cpu":
        for name in SLOW[HAS_BF16]:
            print(f"{name} is left out: it would be slower than fp32 here")
            del ways[name]
    for name, mode in ways.items():
        setup(replace(compute, mode=mode))
        torch.manual_seed(mix("weights", network, "single", seed))
        member, half = builder(network, data.shape)(), name == "fp16"
        own = half or (name == "fp32" and mode == "fast")
        ensemble = Ensemble([Cast(member, half) if own else member])
        scratch = checkpoint.place(f"mixed-{name}", ["data/features/meta.json"], network, seed, name)
        _, seconds = fit(
            ensemble,
            data,
            plain(data.task),
            budget,
            mix("batches", network, "single", seed),
            scratch,
            GradScaler(DEVICE.type, enabled=half),
        )
        scratch.unlink(missing_ok=True)
        said = {"report": answer(ensemble, data, data.rows("report"))}
        each = measured(ensemble, said, data, budget)
        found[name] = {"seconds": seconds, "kept_mib": each["kept_mib"], "report": each["report"]}
    write_json("metrics/mixed.json", found["fp32"]["report"])
    environment.write("mixed", time.monotonic() - start, "metrics/mixed.json", measured=found)


if __name__ == "__main__":
    run(main)
