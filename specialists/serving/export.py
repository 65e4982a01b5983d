"""A network with its eyes as one ONNX file, in fp32 and in int8, with what it must know about itself inside.

The files are the same bytes wherever they are made. What onnxruntime computes differs between processors, so
it computes nothing that goes into them.

B batch, H x W pixels, L words, R cells, F channels, M members, C answers
"""

import copy
import json
import logging
import tempfile
import warnings
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationMethod, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.calibrate import TensorData, TensorsData, save_tensors_data
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from specialists.answers import label
from specialists.networks.portable import plain
from specialists.serving.answering import INPUTS


class Answerer(nn.Module):
    """Everything between pixels and answers: the frozen eyes, and members that answer from what they see."""

    def __init__(self, eyes, members):
        super().__init__()
        self.eyes, self.members = eyes, nn.ModuleList(members)

    def forward(self, pixels_BHW3, tokens_BL, length_B):
        """probability_MBC of every member; the answer of all is their mean (Eq. 7)."""
        image_BRF = self.eyes(pixels_BHW3).flatten(1, 2)
        said = [member(image_BRF, tokens_BL, length_B) for member in self.members]
        return label.distribution(torch.stack(said))


def folded(model):
    """A copy in which the convolutions include their normalisation."""
    model = copy.deepcopy(model)
    for chain in [each for each in model.modules() if isinstance(each, nn.Sequential)]:
        for i, (layer, after) in enumerate(pairwise(chain)):
            if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                chain[i], chain[i + 1] = fuse_conv_bn_eval(layer, after), nn.Identity()
    return model


def exported(model, example):
    """The bytes of a folded Answerer in ONNX, for any number of questions of any length; `example` is one."""
    batch = {0: "batch"}
    axes = {"pixels": batch, "tokens": batch | {1: "words"}, "length": batch, "probability": {1: "batch"}}
    shape = {"input_names": list(INPUTS), "output_names": ["probability"], "dynamic_axes": axes}
    example = tuple(map(torch.from_numpy, example))
    with plain(), tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a newer exporter would make the number of words a constant
        torch.onnx.export(model, example, draft := Path(folder, "model.onnx"), dynamo=False, **shape)
        return draft.read_bytes()


def quantized(content, model, asked):
    """The same with 8-bit convolutions, scaled to what these questions show, and an LSTM of 8-bit weights.

    Weights use 7 bits. With 8, sums of two products exceed the 16 bits that processors without VNNI have for
    them: an emulated Haswell gave 85 % of PyTorch's answers instead of 99.
    """
    with tempfile.TemporaryDirectory() as folder:
        whole, ready, static, both = (Path(folder, f"{i}.onnx") for i in range(4))
        whole.write_bytes(content)
        quant_pre_process(whole, ready, skip_symbolic_shape=True)
        measured = TensorsData(CalibrationMethod.MinMax, _by_tensor(ranges(model, asked), onnx.load(ready)))
        save_tensors_data(measured, known := Path(folder, "ranges.json"))
        how = {"quant_format": QuantFormat.QDQ, "per_channel": True, "reduce_range": True}
        logging.disable(logging.WARNING)  # it warns that a part is in 8 bits already, as intended
        try:
            quantize_static(ready, static, op_types_to_quantize=["Conv"], calibration_cache_path=known, **how)
            quantize_dynamic(static, both, op_types_to_quantize=["LSTM"], reduce_range=True)
        finally:
            logging.disable(logging.NOTSET)
        return both.read_bytes()


@torch.no_grad()
def ranges(model, asked):
    """Name of each convolution -> least and greatest value of its inputs, and of its outputs."""
    model, seen = copy.deepcopy(model), defaultdict(list)

    def note(name, layer, given, said):
        seen[name].append([[x.min(), x.max()] for x in (*given, said)])

    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_hook(partial(note, name))
    for inputs in asked:
        model(*map(torch.from_numpy, inputs))
    values = {name: np.array(each, np.float32) for name, each in seen.items()}
    return {name: (x[:, :, 0].min(0), x[:, :, 1].max(0)) for name, x in values.items()}


def _by_tensor(found, model):
    """The ranges by the names of tensors in ONNX, where its weight identifies a convolution."""
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    tensors = {}
    for node in nodes:
        low, high = found[node.input[1].removesuffix(".weight")]
        for i, tensor in enumerate((node.input[0], node.output[0])):
            tensors[tensor] = TensorData(lowest=low[i], highest=high[i])
    return tensors


def described(content, about):
    """The model with `about` in its metadata, where serving/answering.py looks for it."""
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {"specialists": json.dumps(about)})
    return model.SerializeToString(deterministic=True)
