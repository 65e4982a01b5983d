"""A network with its eyes as one ONNX file, in fp32 and in int8, with what it must know about itself inside.

B batch, H x W pixels, L words, R cells, F channels, M members, C answers
"""

import json
import logging
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import nn

from specialists.answering import INPUTS


class Answerer(nn.Module):
    """Everything between pixels and answers: the frozen eyes, and members that answer from what they see."""

    def __init__(self, eyes, members):
        super().__init__()
        self.eyes, self.members = eyes, nn.ModuleList(members)

    def forward(self, pixels_BHW3, tokens_BL, length_B):
        """probability_MBC of every member; the answer of all is their mean (Eq. 7)."""
        image_BRF = self.eyes(pixels_BHW3).flatten(1, 2)
        return torch.stack([member(image_BRF, tokens_BL, length_B).softmax(1) for member in self.members])


def exported(model, example):
    """The bytes of an Answerer in ONNX, for any number of questions of any length; `example` is one."""
    batch = {0: "batch"}
    axes = {"pixels": batch, "tokens": batch | {1: "words"}, "length": batch, "probability": {1: "batch"}}
    shape = {"input_names": list(INPUTS), "output_names": ["probability"], "dynamic_axes": axes}
    example = tuple(map(torch.from_numpy, example))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a newer exporter, which takes the number of words for a constant
        torch.onnx.export(model, example, draft := Path(folder, "model.onnx"), dynamo=False, **shape)
        return draft.read_bytes()


class Examples(CalibrationDataReader):
    def __init__(self, asked):
        self.asked = iter(asked)

    def get_next(self):
        asked = next(self.asked, None)
        return asked and dict(zip(INPUTS, asked, strict=True))


def quantized(content, asked):
    """The same with 8-bit convolutions, scaled to what these questions show, and an LSTM of 8-bit weights."""
    with tempfile.TemporaryDirectory() as folder:
        whole, ready, static, both = (Path(folder, f"{i}.onnx") for i in range(4))
        whole.write_bytes(content)
        quant_pre_process(whole, ready, skip_symbolic_shape=True)
        how = {"quant_format": QuantFormat.QDQ, "per_channel": True, "op_types_to_quantize": ["Conv"]}
        logging.disable(logging.WARNING)  # that a part is in 8 bits already, which is meant
        try:
            quantize_static(ready, static, Examples(asked), **how)
            quantize_dynamic(static, both, op_types_to_quantize=["LSTM"])
        finally:
            logging.disable(logging.NOTSET)
        return both.read_bytes()


def described(content, about):
    """The model with `about` in its metadata, where specialists/answering.py looks for it."""
    model = onnx.load_from_string(content)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {"specialists": json.dumps(about)})
    return model.SerializeToString(deterministic=True)
