"""Names of candidates: distinct, in one order, and found again by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from jaxtyping import Int64

from pluralism.errors import DataError, UsageError

__all__ = ["candidate_names", "positions"]


def candidate_names(candidates: Sequence[Hashable]) -> tuple[str, ...]:
    """Names as distinct strings; anything else is a `DataError`."""
    names = tuple(str(name) for name in candidates)
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(f"Two candidates are called {twice[0]!r}.", fix="Give each candidate a name of its own.")
    return names


def positions(names: Sequence[Hashable], candidates: tuple[str, ...]) -> Int64[np.ndarray, " names"]:
    """Where the names stand among the candidates; an unknown name is a `UsageError`."""
    where = {name: i for i, name in enumerate(candidates)}
    unknown = [name for name in names if str(name) not in where]
    if unknown:
        raise UsageError(
            f"{unknown[0]!r} is no candidate.",
            fix=f"Candidates are {', '.join(candidates[:10])}{', ...' if len(candidates) > 10 else ''}.",
        )
    return np.array([where[str(name)] for name in names], dtype=np.int64)
