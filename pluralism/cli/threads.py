"""How many threads the numerical libraries start, decided before they load."""

from __future__ import annotations

import math
import os
from pathlib import Path

__all__ = ["set_default_threads", "usable_cores"]

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
CPU_LIMIT = Path("/sys/fs/cgroup/cpu.max")


def usable_cores() -> int:
    """Cores that this process may use: those it is bound to, and no more than its container's share of time."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    try:
        quota, period = CPU_LIMIT.read_text(encoding="ascii").split()
        cores = cores if quota == "max" else min(cores, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return max(cores, 1)
    return max(cores, 1)


def set_default_threads() -> None:
    """Set each thread variable that the user has not set; libraries left alone count the host's cores."""
    for variable in VARIABLES:
        os.environ.setdefault(variable, str(usable_cores()))
