"""What computed a number, and what that took. It differs from run to run, so it is kept beside the number.

metrics/environment/NAME.json is committed and describes the run that made the bytes in git: computing the
same bytes again leaves it as it is. Each run's own record is in scratch/ran/NAME.json.
"""

import platform
import resource
from importlib.metadata import version
from pathlib import Path

import torch

from specialists.base.files import md5, read_json, write_json

# Of what torch knows of a processor, this tells machines of one name apart.
CAPABILITIES = ("avx2", "avx512_f", "avx512_bf16", "avx512_fp16", "avx10_1", "amx_bf16", "amx_fp16")


def write(name, seconds, made, **more):
    """Record the machine, time and peak memory that made a file; its md5 identifies the file."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    spent = {"wall_seconds": round(seconds, 1), "peak_memory_mib": memory}
    record = machine() | spent | {"threads": torch.get_num_threads(), "made": md5(made)} | more
    write_json(f"scratch/ran/{name}.json", record)
    committed = Path(f"metrics/environment/{name}.json")
    if not committed.exists() or read_json(committed).get("made") != record["made"]:
        write_json(committed, record)


def machine():
    """What of this machine matters for a number."""
    return {
        "processor": torch.cuda.get_device_name() if torch.cuda.is_available() else _processor(),
        "capabilities": capabilities(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def capabilities():
    has = torch.cpu.get_capabilities()
    return [name for name in CAPABILITIES if has.get(name)]


def _processor():
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
