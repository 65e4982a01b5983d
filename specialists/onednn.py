"""oneDNN's LSTM can be neither counted nor differentiated forwards; without it an LSTM is made of parts."""

from contextlib import contextmanager

import torch


@contextmanager
def without():
    before = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = before
