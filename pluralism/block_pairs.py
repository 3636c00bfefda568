"""Pairs within blocks: all unordered pairs of the rows of each block, or a random sample of them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Int64

from pluralism.errors import UsageError

__all__ = ["pairs_between", "pairs_within", "random_sides"]

_MOST = 200_000_000


def pairs_within(
    sizes: Int[np.ndarray, " blocks"], most: int | None, generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Unordered pairs of the positions 0, ..., size - 1 of each block.

    Parameters
    ----------
    sizes : ndarray of shape (blocks,)
        How many positions each block has.
    most : int or None
        A block with more pairs than this gives as many, drawn without replacement.
    generator : Generator
        Used only if `most` binds.

    Returns
    -------
    block, first, second : ndarray of shape (pairs,)
        The block of each pair, and its two positions, first < second.
    """
    sizes = sizes.astype(np.int64)
    block, number = _numbers(sizes * (sizes - 1) // 2, most, generator)
    # Pair number k is (first, second) with k = second (second - 1) / 2 + first; the root may be off by one.
    second = ((1 + np.sqrt(1 + 8 * number.astype(np.float64))) / 2).astype(np.int64)
    second -= second * (second - 1) // 2 > number
    second += (second + 1) * second // 2 <= number
    return block, number - second * (second - 1) // 2, second


def pairs_between(
    sizes: Int[np.ndarray, " blocks"],
    others: Int[np.ndarray, " blocks"],
    most: int | None,
    generator: np.random.Generator,
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Pairs of one of `sizes` positions and one of `others` positions of each block; see `pairs_within`."""
    wide = np.maximum(others.astype(np.int64), 1)
    block, number = _numbers(sizes.astype(np.int64) * others, most, generator)
    return block, number // wide[block], number % wide[block]


def random_sides(
    first: Int[np.ndarray, " pairs"], second: Int[np.ndarray, " pairs"], generator: np.random.Generator
) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
    """Which of the two is left, drawn at random, so that the order of rows says nothing about the outcome."""
    flip = generator.random(len(first)) < 0.5
    return np.where(flip, second, first), np.where(flip, first, second)


def _numbers(
    possible: Int64[np.ndarray, " blocks"], most: int | None, generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    """Blocks and numbers 0, ..., possible - 1 within them, or `most` of these numbers drawn at random."""
    if most is not None and most < 1:
        raise UsageError(f"At most {most} pairs leave none.", fix="Pass a positive number, or None for all pairs.")
    taken = possible if most is None else np.minimum(possible, most)
    total = int(taken.sum())
    if total > _MOST:
        raise UsageError(
            f"This would make {total:,} pairs, which need about {total * 36 / 2**30:.0f} GiB.",
            fix="Draw a random sample: pass max_pairs_per_user=200 for ratings, max_pairs_per_ballot=200 for rankings.",
        )
    starts = np.cumsum(taken) - taken
    block = np.repeat(np.arange(len(possible)), taken)
    number = np.arange(total) - np.repeat(starts, taken)
    for large in np.flatnonzero(possible > taken):
        drawn = generator.choice(int(possible[large]), size=int(taken[large]), replace=False)
        number[starts[large] : starts[large] + taken[large]] = np.sort(drawn)
    return block, number
