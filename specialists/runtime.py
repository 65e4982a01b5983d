"""How this process computes: device, threads, denormals, memory."""

import ctypes
import os

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


def setup(threads):
    """A fixed thread count, on which sums depend; no denormals, in which MCL's saturated softmax crawls."""
    if threads < 1:
        raise ValueError(f"threads: {threads} is out of range: at least 1")
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    # glibc would return large blocks after every step and fault them in again: 1.4 x the time
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)
