"""python -m tools: what there is, a line each."""

from pathlib import Path

from specialists.base.command import listed

print(listed(Path(__file__).parent))
