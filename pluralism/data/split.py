"""Seeded splits without leakage: what is scored was never trained on, under the reading of "new" that you choose.

======== =======================================================================================================
by       what the two sides never share
======== =======================================================================================================
row      a row. A share of each user's rows is held out; the same pair judged again may be on both sides
pair     a user's judgement of an unordered pair, however often and in whatever order it was shown to that user
vote     a user's vote on an item (ratings): all attributes of it stay together
ballot   a ballot (rankings)
user     a user: scores cold starts
item     an item (ratings)
prompt   a prompt, or a connected component of items where there are no prompts: scores new topics
======== =======================================================================================================

Both sides keep all users and items of the whole (their codes stay comparable), so a user or an item may be there
without rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Bool, Int

from pluralism.data.folds import folds
from pluralism.data.units import dense_codes, prompt_blocks, user_pairs
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data.comparisons import Comparisons
    from pluralism.data.rankings import Rankings
    from pluralism.data.ratings import Ratings

__all__ = ["folds", "split_comparisons", "split_rankings", "split_ratings"]


def split_comparisons(
    comparisons: Comparisons,
    test: float = 0.2,
    by: Literal["pair", "row", "user", "prompt"] = "pair",
    rng: RNG = 0,
) -> tuple[Comparisons, Comparisons]:
    """Split comparisons into a training and a test part.

    Parameters
    ----------
    comparisons : Comparisons
    test : float
        Share of the rows to hold out, in (0, 1). It is met as closely as whole units allow; ``"pair"`` and ``"row"``
        hold out this share of every user's units, so that the test part has the users of the whole.
    by : {"pair", "row", "user", "prompt"}
        What must not be on both sides; see the table of this module.
    rng : int, Generator or None

    Returns
    -------
    train, test : Comparisons
        Neither is empty, and each row is in exactly one of them.

    Raises
    ------
    UsageError
        If `test` or `by` is out of range, or the data have only one unit of that kind.
    """
    n = len(comparisons)
    if by == "row":
        held_out = _share_of_each(comparisons.user, np.arange(n), n, test, by, rng)
    elif by == "pair":
        unit = user_pairs(comparisons.user, comparisons.left, comparisons.right, len(comparisons.items))
        held_out = _share_of_each(comparisons.user, unit, n, test, by, rng)
    elif by == "user":
        held_out = _whole_units(comparisons.user, test, by, rng)
    elif by == "prompt":
        held_out = _whole_units(prompt_blocks(comparisons), test, by, rng)
    else:
        raise _unknown(by, ("pair", "row", "user", "prompt"))
    return comparisons.take(~held_out), comparisons.take(held_out)


def split_ratings(
    ratings: Ratings, test: float = 0.2, by: Literal["vote", "user", "item"] = "vote", rng: RNG = 0
) -> tuple[Ratings, Ratings]:
    """Split ratings into a training and a test part.

    Parameters
    ----------
    ratings : Ratings
    test : float
        Share of the rows to hold out, in (0, 1); ``"vote"`` holds out this share of every user's votes.
    by : {"vote", "user", "item"}
        What must not be on both sides; see the table of this module.
    rng : int, Generator or None

    Returns
    -------
    train, test : Ratings

    Raises
    ------
    UsageError
        If `test` or `by` is out of range, or the data have only one unit of that kind.
    """
    if by == "vote":
        unit = dense_codes(ratings.user.astype(np.int64) * max(len(ratings.items), 1) + ratings.item)
        held_out = _share_of_each(ratings.user, unit, len(ratings), test, by, rng)
    elif by == "user":
        held_out = _whole_units(ratings.user, test, by, rng)
    elif by == "item":
        held_out = _whole_units(ratings.item, test, by, rng)
    else:
        raise _unknown(by, ("vote", "user", "item"))
    return ratings.take(~held_out), ratings.take(held_out)


def split_rankings(
    rankings: Rankings, test: float = 0.2, by: Literal["ballot", "user"] = "ballot", rng: RNG = 0
) -> tuple[Rankings, Rankings]:
    """Split rankings into a training and a test part.

    Parameters
    ----------
    rankings : Rankings
    test : float
        Share of the ballots (rows, whatever their weights) to hold out, in (0, 1).
    by : {"ballot", "user"}
    rng : int, Generator or None

    Returns
    -------
    train, test : Rankings

    Raises
    ------
    UsageError
        If `test` or `by` is out of range, or the data have only one unit of that kind.
    """
    if by == "ballot":
        held_out = _whole_units(np.arange(len(rankings)), test, by, rng)
    elif by == "user":
        held_out = _whole_units(rankings.user, test, by, rng)
    else:
        raise _unknown(by, ("ballot", "user"))
    return rankings.take(~held_out), rankings.take(held_out)


def _share_of_each(
    user: Int[np.ndarray, " rows"], unit: Int[np.ndarray, " rows"], n: int, share: float, by: str, rng: RNG
) -> Bool[np.ndarray, " rows"]:
    """Hold out a share of every user's units; units are nested in users."""
    _check_share(share)
    n_units = int(unit.max(initial=-1)) + 1
    _check_units(n_units, by)
    generator = as_generator(rng, "split")
    owner = np.empty(n_units, dtype=np.int64)
    owner[unit] = user
    order = np.lexsort((generator.random(n_units), owner))
    users, start, size = np.unique(owner[order], return_index=True, return_counts=True)
    # Systematic sampling over users in random order: every user's expected number is share * size, and the total is
    # within one unit of share * n_units.
    shuffled = generator.permutation(len(users))
    reached = np.floor(share * np.cumsum(size[shuffled]) + generator.random()).astype(np.int64)
    quota = np.empty(len(users), dtype=np.int64)
    quota[shuffled] = np.diff(reached, prepend=0)
    quota = np.minimum(quota, np.where(size > 1, size - 1, 1))
    rank = np.arange(n_units) - np.repeat(start, size)
    chosen = np.zeros(n_units, dtype=bool)
    chosen[order] = rank < np.repeat(quota, size)
    if not chosen.any():
        chosen[generator.integers(n_units)] = True
    elif chosen.all():
        chosen[generator.integers(n_units)] = False
    return chosen[unit]


def _whole_units(unit: Int[np.ndarray, " rows"], share: float, by: str, rng: RNG) -> Bool[np.ndarray, " rows"]:
    """Hold out whole units, drawn at random until they hold the share of rows."""
    _check_share(share)
    present, code, size = np.unique(unit, return_inverse=True, return_counts=True)
    _check_units(len(present), by)
    generator = as_generator(rng, "split")
    target = share * len(unit)
    order = generator.permutation(len(present))
    # A unit of twice the target or more leaves the test part further from the target than no unit at all.
    order = order[size[order] < 2 * target]
    if len(order) == 0:
        smallest = np.flatnonzero(size == size.min())
        order = smallest[generator.integers(len(smallest), size=1)]
    reached = np.cumsum(size[order])
    n_chosen = int(np.argmin(np.abs(reached - target))) + 1
    chosen = np.zeros(len(present), dtype=bool)
    chosen[order[: min(n_chosen, len(present) - 1)]] = True
    return chosen[code]


def _check_share(share: float) -> None:
    if not 0 < share < 1:
        raise UsageError(
            f"test must be a share between 0 and 1, not {share!r}.", fix="Pass test=0.2 to hold out a fifth."
        )


def _check_units(n_units: int, by: str) -> None:
    if n_units >= 2:
        return
    meaning = {
        "prompt": "connected block of prompts and items",
        "pair": "judged pair of a user",
        "vote": "vote of a user on an item",
    }.get(by, by)
    raise UsageError(
        f"Cannot split by {by}: there is {'only one' if n_units else 'no'} {meaning}.",
        fix="Split by something there is more of (by='pair' or 'row' for comparisons), or collect more data.",
    )


def _unknown(by: object, choices: tuple[str, ...]) -> UsageError:
    return UsageError(f"Cannot split by {by!r}.", fix="Choose one of " + ", ".join(repr(c) for c in choices) + ".")
