"""The pairwise comparisons that ballots imply."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from pluralism.block_pairs import pairs_between, pairs_within, random_sides
from pluralism.data.comparisons import Comparisons
from pluralism.data.rankings import Rankings
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["comparisons_from_rankings"]


def comparisons_from_rankings(rankings: Rankings, unlisted: str, most: int | None, rng: RNG) -> Comparisons:
    """All pairs of each ballot; see `Rankings.to_comparisons`."""
    if unlisted not in ("ignore", "below"):
        raise UsageError(f"Unknown reading of unlisted items: {unlisted!r}.", fix="Use 'ignore' or 'below'.")
    generator = as_generator(rng, "ranking pairs")
    ballot, first, second = pairs_within(np.diff(rankings.indptr), most, generator)
    better, worse = rankings.indptr[ballot] + first, rankings.indptr[ballot] + second
    winner, loser = rankings.item[better], rankings.item[worse]
    tied = rankings.rank[better] == rankings.rank[worse]
    if unlisted == "below":
        more, listed, absent = _listed_over_unlisted(rankings, most, generator)
        ballot = np.concatenate([ballot, more])
        winner, loser = np.concatenate([winner, listed]), np.concatenate([loser, absent])
        tied = np.concatenate([tied, np.zeros(len(more), dtype=bool)])
        order = np.argsort(ballot, kind="stable")
        ballot, winner, loser, tied = ballot[order], winner[order], loser[order], tied[order]
    left, right = random_sides(winner, loser, generator)
    return Comparisons(
        items=rankings.items,
        users=rankings.users,
        user=rankings.user[ballot],
        left=left,
        right=right,
        outcome=np.where(tied, 0.5, (left == winner).astype(np.float64)),
        weight=rankings.weight[ballot],
        group=None if rankings.group is None else rankings.group[ballot],
        groups=rankings.groups,
        origin="rankings",
        faults=rankings.faults,
    )


def _listed_over_unlisted(
    rankings: Rankings, most: int | None, generator: np.random.Generator
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"]]:
    n, n_items = len(rankings), rankings.n_items
    listed = np.diff(rankings.indptr)
    ballot, first, second = pairs_between(listed, n_items - listed, most, generator)
    winner = rankings.item[rankings.indptr[ballot] + first].astype(np.int64)
    # The k-th unlisted item of a ballot is k plus the number of its listed items that come before it.
    code = np.sort(rankings.ballot * (n_items + 1) + rankings.item)
    gaps = code - rankings.ballot * (n_items + 1) - (np.arange(len(code)) - rankings.indptr[rankings.ballot])
    key = rankings.ballot * (n_items + 1) + gaps
    before = np.searchsorted(key, ballot * (n_items + 1) + second, side="right") - rankings.indptr[ballot]
    return ballot, winner, second + before if n else second
