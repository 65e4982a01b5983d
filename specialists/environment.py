"""What computed a number: kept apart from it, because it differs from run to run."""

import platform
import resource
from importlib.metadata import version
from pathlib import Path

import torch

from specialists.files import write_json


def write(path, seconds):
    """The machine in the words that matter for a number, the wall time and the peak memory."""
    write_json(
        path,
        {
            "processor": _processor(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": version("torch"),
            "threads": torch.get_num_threads(),
            "wall_seconds": round(seconds, 1),
            "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        },
    )


def _processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
