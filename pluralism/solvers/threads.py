"""How many threads a fit's matrix products get: a small product on many threads is many times slower than on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from pluralism.solvers.features import SMALL
from pluralism.solvers.pairs import PairProblem

__all__ = ["suitable_threads"]


@contextmanager
def suitable_threads(problem: PairProblem) -> Iterator[None]:
    """Hold BLAS to one thread while a problem with a small feature matrix is fitted; leave it alone otherwise."""
    features = problem.features
    if features is not None and features.array.size > SMALL:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        yield
