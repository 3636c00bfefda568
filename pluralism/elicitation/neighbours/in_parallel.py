"""Calls of language models side by side, with results that do not depend on how many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from pluralism.errors import UsageError

__all__ = ["checked_workers", "in_parallel"]

Job = TypeVar("Job")
Found = TypeVar("Found")


def in_parallel(
    do: Callable[[Job, np.random.Generator], Found], jobs: Sequence[Job], workers: int, rng: np.random.Generator
) -> list[Found]:
    """Results in the order of the jobs; each job draws from a generator of its own.

    After an error no further job is begun, and the error is raised.
    """
    own = [np.random.default_rng(int(seed)) for seed in rng.integers(2**63, size=len(jobs))]
    if workers == 1:
        return [do(job, generator) for job, generator in zip(jobs, own, strict=True)]
    with ThreadPoolExecutor(workers) as pool:
        begun = [pool.submit(do, job, generator) for job, generator in zip(jobs, own, strict=True)]
        try:
            return [one.result() for one in begun]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def checked_workers(workers: int) -> int:
    """How many calls at once, at least one."""
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise UsageError(f"workers={workers!r} is not possible.", fix="Use a whole number of at least 1.")
    return workers
