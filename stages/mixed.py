"""python -m stages.mixed NETWORK SEED

Train one network twice, in fp32 and in mixed precision (bf16), one after the other on one machine. Each kind
of processor rounds bf16 in its own way, so what it finds stands beside the machine, like the seconds that
both take; they stay as long as what fp32 finds.

reads   params: compute, networks.NETWORK, budgets.base; data/features
writes  metrics/mixed.json: accuracy of fp32 in percent on report, in all and by type;
        metrics/environment/mixed.json: `measured`, of both, the same, seconds, and MiB that a step keeps
"""

import time
from dataclasses import replace

import torch

from specialists import data as prepared
from specialists.answers.ensemble import Ensemble
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder
from specialists.training import checkpoint
from specialists.training.budget import Budget
from specialists.training.loop import fit, mix
from stages.single import measured


def main(network: str, seed: int):
    start, compute, budget = time.monotonic(), read("compute", Compute), read("budgets.base", Budget)
    data, found = prepared.load("data/features"), {}

    def loss(logits_MBC, target_B, position_B, generator):
        return data.task.loss(logits_MBC, target_B)[0], None

    for name, mode in (("fp32", compute.mode), ("bf16", "fast")):
        setup(replace(compute, mode=mode))
        torch.manual_seed(mix("weights", network, "single", seed))
        ensemble = Ensemble([builder(network, data.shape)()])
        scratch = checkpoint.place(f"mixed-{name}", ["data/features/meta.json"], network, seed, name)
        _, seconds = fit(ensemble, data, loss, budget, mix("batches", network, "single", seed), scratch)
        scratch.unlink(missing_ok=True)
        each = measured(ensemble, data, budget)
        found[name] = {"seconds": seconds, "kept_mib": each["kept_mib"], "report": each["report"]}
    write_json("metrics/mixed.json", found["fp32"]["report"])
    environment.write("mixed", time.monotonic() - start, "metrics/mixed.json", measured=found)


if __name__ == "__main__":
    run(main)
