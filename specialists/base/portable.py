"""The same bits on every x86-64 with AVX2: variables that must be set before torch and numpy load.

Both choose their kernels by processor when they load. These variables hold them to what all processors have.
Large products go through oneDNN at full speed (networks/portable.py), which adds in the same order on every
processor.
"""

import os
import sys
from pathlib import Path

import yaml

VARIABLES = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}


def announce(path="params.yaml"):
    """Set the variables if params.yaml asks for it and it is not too late; `announced` tells whether."""
    if wanted(path) and not {"torch", "numpy"} & sys.modules.keys():
        os.environ.update(VARIABLES)


def wanted(path):
    try:
        return yaml.safe_load(Path(path).read_text())["compute"]["mode"] == "portable"
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError):
        return False  # the stage itself reads params.yaml strictly, and says what is wrong with it


def announced():
    return all(os.environ.get(name) == value for name, value in VARIABLES.items())
