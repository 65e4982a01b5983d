"""How this process computes: arithmetic, device, threads, denormals, memory."""

import ctypes
import os
from dataclasses import dataclass

import torch

from specialists.base import portable

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MODES = ("portable", "fast")
DTYPES = {False: torch.float32, True: torch.bfloat16}
# Else it is emulated, and slow. To ask oneDNN would fix its instructions before `hold_convolutions` can.
HAS_BF16 = DEVICE.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bw"))
MOST_THREADS = 1024
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h


@dataclass(frozen=True)
class Compute:
    """`portable`: fp32 on a CPU, the same bits on every x86-64. `fast`: bf16 where it is fast.

    Sums depend on the number of threads. `compile` pays for convolutions in long training.
    """

    mode: str
    threads: int
    compile: bool

    def __post_init__(self):
        if self.mode not in MODES:
            raise ValueError(f"mode: {self.mode!r} is unknown; known: {', '.join(MODES)}")
        if not 1 <= self.threads <= MOST_THREADS:
            raise ValueError(f"threads: {self.threads} is out of range: 1 to {MOST_THREADS}")
        if self.compile and self.mode == "portable":
            raise ValueError("compile: true generates code for this processor; portable needs false")


_mode = None  # until `setup`


def setup(compute, convolutions=False):
    """Make this process compute as `compute` says. No denormals: MCL's saturated softmax crawls in them."""
    global _mode
    _mode = compute.mode
    if _mode == "portable":
        _hold_to_portable()
    if convolutions:
        hold_convolutions()
    torch.set_num_threads(compute.threads)
    torch.set_flush_denormal(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False
    # glibc would return large blocks after every step and fault them in again: 1.4 x the time
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_THRESHOLD, 32 << 20)
        libc.mallopt(M_TRIM_THRESHOLD, 1 << 30)


def _hold_to_portable():
    if DEVICE.type != "cpu":
        raise ValueError(
            "compute.mode: portable computes on a CPU; hide the GPU (CUDA_VISIBLE_DEVICES=) or set fast"
        )
    assert portable.announced(), "torch was loaded before portable.announce()"


def hold_convolutions():
    """Before the first convolution of a portable process: oneDNN's differ between AVX2 and AVX-512.

    A process without convolutions leaves oneDNN at AVX-512, where products have the same bits and are faster.
    """
    if _mode == "portable":
        os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"  # read at the first use of oneDNN


def dtype():
    """That of forward passes: bf16 in fast mode, where this machine has it, else fp32."""
    return DTYPES[_mode == "fast" and HAS_BF16]


def precision():
    """The context of forward passes."""
    return torch.autocast(DEVICE.type, torch.bfloat16, enabled=dtype() == torch.bfloat16)
