"""Fair timing: interleaved runs in one process, medians, and a Markdown table of ratios."""

from __future__ import annotations

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["compare", "machine", "markdown_table"]


def compare(
    runs: Mapping[str, Callable[[], Any]],
    repeats: int = 5,
    *,
    warmup: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Median seconds of each function, run in turns so that a slow moment of the machine hits all alike.

    Parameters
    ----------
    runs : mapping of name to function without arguments
        What to time.
    repeats : int
        Timed rounds; every function runs once in each, in an order that rotates from round to round.
    warmup : int
        Untimed rounds before (compilation, caches of the system).
    clock : callable
        `time.perf_counter` for wall seconds; `time.process_time` for processor seconds over all threads, which a
        busy machine disturbs less.

    Returns
    -------
    dict of name to float
        Median seconds.
    """
    names = list(runs)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warmup, repeats):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            gc.collect()
            start = clock()
            runs[name]()
            elapsed = clock() - start
            if turn >= 0:
                seconds[name].append(elapsed)
    return {name: statistics.median(values) for name, values in seconds.items()}


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows as a Markdown table; floats are shown with three significant digits."""

    def cell(value: Any) -> str:
        return f"{value:.3g}" if isinstance(value, float) else str(value)

    lines = [header, ["---"] * len(header), *([cell(value) for value in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """One line on the machine, to print under a table."""
    import numpy
    import torch

    return (
        f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__} with {torch.get_num_threads()} "
        f"threads, numpy {numpy.__version__}, Python {platform.python_version()}"
    )
