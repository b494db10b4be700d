"""How far the memory of this process grows while something runs (on Linux)."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def growth(run: Callable[[], object]) -> float | None:
    """Run a function; return the growth of the peak in megabytes, None where it cannot be told."""
    if not CLEAR.exists():
        run()
        return None
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)  # else what was freed before would hide what is taken now
    CLEAR.write_text("5")  # the peak begins anew
    before = _megabytes("VmRSS")
    run()
    return max(_megabytes("VmHWM") - before, 0.0)


def _megabytes(key: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) / 1024
