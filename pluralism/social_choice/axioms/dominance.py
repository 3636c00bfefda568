"""Sets that majorities single out besides the Smith set: the Schwartz set, and who loses to everybody."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

__all__ = ["condorcet_loser", "schwartz_set"]


def condorcet_loser(margins: Int64[np.ndarray, "candidates candidates"]) -> int | None:
    """The candidate that every other beats, where there is one and not it alone."""
    losses = (margins < 0).sum(axis=1)
    worst = int(losses.argmax())
    return worst if losses[worst] == len(margins) - 1 and len(margins) > 1 else None


def schwartz_set(margins: Int64[np.ndarray, "candidates candidates"]) -> list[int]:
    """The union of the smallest sets that nobody outside beats (T. Schwartz, The Logic of Collective Choice 1986)."""
    beats: np.ndarray = margins > 0
    count, part = connected_components(csr_array(beats), directed=True, connection="strong")
    beaten = np.zeros(count, dtype=bool)
    winner, loser = np.nonzero(beats)
    across = part[winner] != part[loser]
    beaten[part[loser[across]]] = True
    return np.flatnonzero(~beaten[part]).tolist()
