"""How many threads a fit's matrix products get: a small product on many threads is many times slower than on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController, threadpool_limits

from pluralism.solvers.features import SMALL
from pluralism.solvers.pairs import PairProblem

__all__ = ["suitable_threads", "threads_for_square", "threads_for_torch"]

SMALL_SQUARE = 1024
FEW_ROWS = 20_000


@contextmanager
def suitable_threads(problem: PairProblem) -> Iterator[None]:
    """Hold BLAS to one thread while a problem with a small feature matrix is fitted; leave it alone otherwise."""
    features = problem.features
    if features is not None and features.array.size > SMALL:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextmanager
def threads_for_square(dim: int) -> Iterator[None]:
    """Hold BLAS to one thread for factors of a small square matrix.

    On two threads of a busy machine the Cholesky factor of a 384 x 384 matrix has taken a second instead of a
    millisecond, for threads that wait for one another keep the processor.
    """
    if dim > SMALL_SQUARE:
        yield
        return
    with _controller().limit(limits=1, user_api="blas"):
        yield


@contextmanager
def threads_for_torch(rows: int) -> Iterator[None]:
    """Hold torch to one thread for few rows: threads that wait for each other cost more than the arithmetic."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1 if rows <= FEW_ROWS else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@cache
def _controller() -> ThreadpoolController:
    """Found once, for looking takes longer than a small product."""
    return ThreadpoolController()
