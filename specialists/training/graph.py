"""A step of training on a GPU: captured once for each shape of a batch, then replayed as one launch.

No step asks the device for anything within an epoch: what it reads of the host is copied into fixed places,
its sums stay on the device, and its rates are those of fp32. Features and teachers are resident where they
fit, in half of the memory that is free; else data are read from the host as on a CPU, and with such teachers
steps are not captured. Neither are those of several ranks, or with scaled gradients, which ask the device at
each step.
"""

import math
from dataclasses import fields, is_dataclass, replace

import numpy as np
import torch
import torch.distributed as dist

from specialists.base.runtime import DEVICE
from specialists.training import step

LENGTHS = 8  # questions are padded to a multiple, so that few shapes are captured
WARM = 2
PIECE = 1024


def fits(size):
    return size < torch.cuda.mem_get_info()[0] / 2


def kept(data):
    """Prepared data with their images on the device, if they fit, and questions of few lengths."""
    names = {each.name for each in fields(data)} if is_dataclass(data) else ()
    change = {"multiple": LENGTHS} if "multiple" in names else {}
    if "images" in names and fits(math.prod(data.images.shape) * data.images.dtype.itemsize):
        change["images"] = resident(data.images)
    return replace(data, **change) if change else data


def resident(images):
    """Images on the device, piece by piece: the memory of the host need not hold them."""
    found = torch.empty(images.shape, dtype=images[:1].dtype, device=DEVICE)
    for first in range(0, len(images), PIECE):
        found[first : first + PIECE] = images[first : first + PIECE]
    return Resident(found)


class Resident:
    """Rows on the device by their numbers on the host, which are sent without waiting."""

    def __init__(self, images):
        self.images, self.shape = images, images.shape

    def __getitem__(self, row_B):
        return self.images[row_B.to(self.images.device, non_blocking=True)]


class Said(step.Said):
    """On the device, if it fits."""

    streamed = False  # whether one of this process does not fit

    def __init__(self, files):
        super().__init__(files)
        self.resident_MNC = None
        if fits(sum(each.nbytes for each in self.maps)):
            self.resident_MNC = torch.from_numpy(np.stack(self.maps)).to(DEVICE)
        else:
            Said.streamed = True

    def at(self, position_B, device):
        if self.resident_MNC is None:
            return super().at(position_B.cpu(), device)
        return self.resident_MNC[:, position_B.to(DEVICE, non_blocking=True)].to(device).float()


class Step(step.Step):
    """The same halves, replayed; `captured` says whether they can be."""

    def __init__(self, *given):
        super().__init__(*given)
        self.captured = not (Said.streamed or self.scaler.is_enabled() or dist.is_initialized())
        self.replays, self.pool = {}, torch.cuda.graph_pool_handle()
        for group in self.optimizer.param_groups if self.captured else ():
            group |= {"capturable": True} if "capturable" in group else {}

    def learn(self, inputs, target, position_B, of):
        given = *inputs, target, position_B
        self.run("learn", given, lambda *now: super(Step, self).learn(now[:-2], now[-2], now[-1], of), of)

    def update(self):
        """The rates of this step go where the captured step reads them."""
        if not self.captured:
            return super().update()
        rates = [torch.tensor(group["lr"]) for group in self.optimizer.param_groups]
        self.run("update", rates, self.updated)

    def updated(self, *rates):
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        super().update()

    def forget(self):
        """Gradients stay where they are, for captured steps add to them there."""
        self.optimizer.zero_grad(set_to_none=not self.captured)

    def done(self, epoch):
        """Nothing is asked before the end of an epoch."""

    def run(self, half, given, work, *more):
        if not self.captured:
            return work(*(each.to(DEVICE, non_blocking=True) for each in given))
        key = half, *more, *((each.shape, each.dtype) for each in given)
        if key not in self.replays:
            self.replays[key] = Replay(work, given, self)
        self.replays[key](given)

    def tensors(self):
        """All that a step changes."""
        weights = [*self.ensemble.parameters(), *self.ensemble.buffers()]
        slopes = [each.grad for each in weights if each.grad is not None]
        moments = [each for state in self.optimizer.state.values() for each in state.values()]
        return [*weights, *slopes, *filter(torch.is_tensor, moments), *self.sums.values()]


class Replay:
    """Work, captured: it reads `given` from fixed places; all that warming up changed is put back."""

    def __init__(self, work, given, step):
        self.given = [each.to(DEVICE, copy=True) for each in given]
        before = {id(each): each.detach().clone() for each in step.tensors()}
        drawn = step.generator.get_state(), torch.cuda.get_rng_state()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                work(*self.given)
        torch.cuda.current_stream().wait_stream(aside)
        with torch.no_grad():
            for each in step.tensors():
                each.copy_(before[id(each)]) if id(each) in before else each.zero_()
        step.generator.set_state(drawn[0])
        torch.cuda.set_rng_state(drawn[1])
        self.graph = torch.cuda.CUDAGraph()
        self.graph.register_generator_state(step.generator)
        with torch.cuda.graph(self.graph, pool=step.pool):
            work(*self.given)

    def __call__(self, given):
        for place, now in zip(self.given, given, strict=True):
            place.copy_(now, non_blocking=True)
        self.graph.replay()
