"""python -m stages.routing NETWORK NAME

What the gates of a network choose on report, and what its answer costs: multiplications by our own count,
operations as torch counts them, the milliseconds of a batch of 1 and of 64. Milliseconds differ from run to
run, so they are kept beside the machine, until one of the other costs changes.

reads   params: compute, networks.NETWORK; data/features, models/NAME.safetensors
writes  metrics/routing/NAME.json: `multiplications` of the convolutions and of the gates, `flops` of all,
        and of each gate `used`: of the questions of each family, the share that each group counts for,
        and `effective`: how many count at all; metrics/environment/routing/NAME.json: `latency`;
        models/answers/NAME.safetensors: logits on report
"""

import time

import torch
from safetensors.torch import save

from specialists import data as prepared
from specialists.answers.ensemble import answer, load
from specialists.base import environment
from specialists.base.command import run
from specialists.base.files import replacing, write_json
from specialists.base.params import read
from specialists.base.runtime import Compute, setup
from specialists.networks import builder, modular
from specialists.tables import cost


def main(network: str, name: str):
    setup(read("compute", Compute))
    start, data = time.monotonic(), prepared.load("data/features")
    ensemble = load(f"models/{name}.safetensors", builder(network, data.shape)).eval()
    rows = data.rows("report")
    gates = [part for part in ensemble.modules() if isinstance(part, (modular.Gate, modular.Drawn))]
    chosen, logits_MBC = watched(gates, lambda: answer(ensemble, data, rows))
    longest_B = data.questions["length"][rows].argsort(descending=True, stable=True)
    one, many = ([each.cpu() for each in data.batch(rows[longest_B[:size]])[0]] for size in (1, 64))
    convolutions, of_gates = ensemble.members[0].multiplications()
    result = {
        "multiplications": {"convolutions": convolutions, "gates": of_gates},
        "flops": cost.flops(ensemble, *one),
        "used": [used(weight_BG, data.groups(rows), len(data.group_names)) for weight_BG in chosen],
        "effective": [(weight_BG > 0).sum(1).double().mean().item() for weight_BG in chosen],
    }
    latency = {
        f"latency_{len(inputs[0])}_ms": cost.latency(ensemble, *inputs, repeats=20) for inputs in (one, many)
    }
    with replacing(f"models/answers/{name}.safetensors") as draft:
        draft.write_bytes(save({"report": logits_MBC}))
    write_json(f"metrics/routing/{name}.json", result)
    made = f"metrics/routing/{name}.json"
    environment.write(f"routing/{name}", time.monotonic() - start, made, latency=latency)


def watched(gates, answering):
    """The weight_BG that each gate gives to its groups while `answering` runs, and what that returns."""
    found = {gate: [] for gate in gates}
    hooks = [gate.register_forward_hook(lambda gate, _, out: found[gate].append(out[0])) for gate in gates]
    said = answering()
    for hook in hooks:
        hook.remove()
    return [torch.cat(weights) for weights in found.values()], said


def used(weight_BG, family_B, families):
    """Of each family that was asked, the share of its questions for which each group counts."""
    count_BG, found = (weight_BG > 0).double(), []
    for family in range(families):
        mine_B = family_B == family
        found.append(count_BG[mine_B].mean(0).tolist() if mine_B.any() else [])
    return found


if __name__ == "__main__":
    run(main)
