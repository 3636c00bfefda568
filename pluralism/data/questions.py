"""Which pairs of items simulated people are asked about."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from pluralism.errors import UsageError

__all__ = ["draw_questions"]


def draw_questions(
    generator: np.random.Generator, counts: Int[np.ndarray, " users"], prompt: Int[np.ndarray, " items"]
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Draw pairs of items within prompts, uniformly over pairs and orders.

    Nobody is asked about the same two items twice, unless `counts` exceeds the number of pairs; then every pair comes
    up equally often, to within one.

    Parameters
    ----------
    generator : Generator
    counts : (users,) int
        Number of questions of each user.
    prompt : (items,) int
        Prompt of each item.

    Returns
    -------
    user, left, right : (pairs,) int32
        Sorted by user.

    Raises
    ------
    UsageError
        If no prompt has two items.
    """
    items = np.argsort(prompt, kind="stable")
    _, start, size = np.unique(prompt[items], return_index=True, return_counts=True)
    first, rivals = np.repeat(start, size), np.repeat(size, size) - 1
    last = np.cumsum(rivals)
    n_ordered = int(last[-1]) if len(last) else 0
    if n_ordered == 0:
        raise UsageError("No prompt has two items to compare.", fix="Use more items, or fewer prompts.")

    def decode(index: Int[np.ndarray, " drawn"]) -> tuple[Int[np.ndarray, " drawn"], Int[np.ndarray, " drawn"]]:
        a = np.searchsorted(last, index, side="right")
        b = first[a] + index - (last[a] - rivals[a])
        b += b >= a
        return items[a].astype(np.int32), items[b].astype(np.int32)

    counts = np.asarray(counts, dtype=np.int64)
    user = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    left, right = decode(generator.integers(n_ordered, size=len(user)))
    many = counts > n_ordered // 4
    again = _repeats(user, left, right, len(prompt)) & ~many[user]
    while again.any():
        left[again], right[again] = decode(generator.integers(n_ordered, size=int(again.sum())))
        again = _repeats(user, left, right, len(prompt)) & ~many[user]
    if many.any():
        ordered_left, ordered_right = decode(np.arange(n_ordered))
        once = ordered_left < ordered_right
        low, high = ordered_left[once], ordered_right[once]
        end = np.cumsum(counts)
        for u in np.flatnonzero(many):
            rounds = -(-int(counts[u]) // len(low))
            asked = np.concatenate([generator.permutation(len(low)) for _ in range(rounds)])[: counts[u]]
            turned = generator.random(len(asked)) < 0.5
            rows = slice(end[u] - counts[u], end[u])
            left[rows] = np.where(turned, high[asked], low[asked])
            right[rows] = np.where(turned, low[asked], high[asked])
    return user, left, right


def _repeats(
    user: Int[np.ndarray, " pairs"], left: Int[np.ndarray, " pairs"], right: Int[np.ndarray, " pairs"], n_items: int
) -> np.ndarray:
    """Rows that ask a user about a pair that an earlier row asked about."""
    key = (user.astype(np.int64) * n_items + np.minimum(left, right)) * n_items + np.maximum(left, right)
    repeats = np.ones(len(key), dtype=bool)
    repeats[np.unique(key, return_index=True)[1]] = False
    return repeats
