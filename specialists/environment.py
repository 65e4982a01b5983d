"""What computed a number: kept apart from it, because it differs from run to run."""

import platform
import resource
from importlib.metadata import version
from pathlib import Path

import torch

from specialists.files import write_json


def write(path, seconds):
    """The machine, the wall time and the peak memory."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    spent = {"wall_seconds": round(seconds, 1), "peak_memory_mib": memory}
    write_json(path, machine() | spent | {"threads": torch.get_num_threads()})


def machine():
    """This machine in the words that matter for a number: with the same, a number is the same to the bit."""
    return {
        "processor": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
