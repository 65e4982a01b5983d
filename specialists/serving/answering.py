"""From the bytes of a picture and a question to answers, for the command line and a server: without torch.

B batch, H x W pixels, L words, M members, C answers
"""

import json

import numpy as np
import onnxruntime

from specialists.data import png
from specialists.data.text import UNKNOWN, encode, tokenize

INPUTS = ("pixels", "tokens", "length")
# Words of everyday questions that say nothing about the picture. Where no training question had them they are
# skipped; any other unknown word is an error.
FILLERS = {"a", "an", "can", "currently", "exactly", "now", "please", "see", "there", "visible", "we"}


def pixels(content, size):
    """The bytes of a PNG file -> (1, H, W, 3) uint8 at size = (H, W)."""
    return png.decode(content, size)[0][None]


def words(question, known, longest):
    """A question -> (tokens (1, L), length (1,)); a word that the networks have not learned is an error."""
    said = tokenize(question)
    asked = [word for word in said if word in known or word not in FILLERS]
    if not asked:
        raise ValueError(f"question: {question[:80]!r} has no words{' about a picture' if said else ''}")
    if len(asked) > longest:
        raise ValueError(f"question: it has {len(asked)} words, the limit is {longest}")
    new = [word for word in asked if word not in known]
    if new:
        raise ValueError(
            f"question: unknown words {', '.join(new)[:120]}; known: {' '.join(known[UNKNOWN + 1 :])}"
        )
    tokens, length = encode([" ".join(asked)], known, len(asked))
    return tokens.astype(np.int64), length.astype(np.int64)


class Onnx:
    """A model that `stages/export.py` wrote, its file or its bytes, with vocabulary and answers inside."""

    def __init__(self, path, threads=1):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = threads
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["specialists"])
        except Exception as error:  # onnxruntime's have nothing in common
            name = "the bytes given" if isinstance(path, bytes) else path
            reason = " ".join(str(error).split())[:160]
            raise ValueError(f"{name}: not a model of stages.export ({reason}); run it again") from None

    def __call__(self, content, question):
        """probability_MC of the members, for a picture's bytes and a question."""
        inputs = (
            pixels(content, self.about["size"]),
            *words(question, self.about["words"], self.about["longest"]),
        )
        return self.run(*inputs)[:, 0]

    def run(self, pixels_BHW3, tokens_BL, length_B):
        return self.session.run(None, dict(zip(INPUTS, (pixels_BHW3, tokens_BL, length_B), strict=True)))[0]


def best(probability_C, answers, number=3):
    """The likeliest answers, the likeliest first."""
    order = np.argsort(-probability_C, kind="stable")[:number]
    return [{"answer": answers[i], "probability": float(probability_C[i])} for i in order]
