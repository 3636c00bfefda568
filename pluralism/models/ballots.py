"""From rankings, comparisons or ratings to the ballots that Plackett-Luce takes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.data import Comparisons, Rankings, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.models.preparation import Prepared
from pluralism.solvers import FeatureMatrix
from pluralism.solvers.plackett_luce import Ballots, RankingProblem

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = ["PreparedBallots", "ballots_of", "prepare_ballots"]

Source = Comparisons | Rankings | Ratings
MOST_UNLISTED = 400_000_000


@dataclass(frozen=True)
class PreparedBallots(Prepared):
    """Ballots ready to be fitted; only users with ballots are kept.

    Attributes
    ----------
    problem : RankingProblem
    source : Comparisons, Rankings or Ratings
        The data as they came.
    row : int array of shape (ballots,)
        The row of the source (of the rankings made of it) that each ballot comes from: a comparison of graded outcome
        gives two ballots.
    voters_are_separate : bool
        Whether each user cast one ballot, so that its count is a number of people.
    """

    problem: RankingProblem
    source: Source
    row: Int[np.ndarray, " ballots"]
    voters_are_separate: bool

    def digest(self) -> str:
        """A fingerprint of everything the fit depends on, for checkpoints."""
        p, b = self.problem, self.problem.ballots
        h = hashlib.sha256()
        for array in (b.start, b.indptr, b.item, b.size, b.weight, p.multiplicity):
            h.update(np.ascontiguousarray(array).data)
        if p.features is not None:
            h.update(str(p.features.array.dtype).encode())
            for start in range(0, p.n_items, 65_536):
                h.update(np.ascontiguousarray(p.features.array[start : start + 65_536]).data)
        return h.hexdigest()

    def subset(self, rows: Bool[np.ndarray, " ballots"]) -> RankingProblem:
        """The problem of some ballots (a mask in problem order); the others have no weight."""
        return self.problem.reweighted(weight=np.where(rows, self.problem.ballots.weight, 0.0))


@dataclass(frozen=True)
class Columns:
    """Ballots by column, not yet sorted by user."""

    user: Int[np.ndarray, " ballots"]
    indptr: Int[np.ndarray, " ballots_plus_1"]
    item: Int[np.ndarray, " entries"]
    rank: Int[np.ndarray, " entries"]
    weight: Float[np.ndarray, " ballots"]
    row: Int[np.ndarray, " ballots"]
    counted: bool


def ballots_of(data: Any, unlisted: str) -> Columns:
    """The ballots of data of any kind.

    A comparison is a ballot of two; one of graded outcome o is the ballot left over right with weight o and its
    opposite with weight 1 - o, so that its likelihood is Bradley-Terry's for soft labels. Ratings are the ballot of
    their values, equal ones tied.

    Raises
    ------
    DataError
        For other data, and for ratings on several attributes.
    """
    if isinstance(data, Comparisons):
        return _of_comparisons(data)
    if isinstance(data, Ratings):
        return _of_rankings(_rankings_of_ratings(data), "ignore", counted=False)
    if isinstance(data, Rankings):
        return _of_rankings(data, unlisted, counted=True)
    raise DataError(
        f"Plackett-Luce takes rankings, comparisons or ratings, not {type(data).__name__}.",
        fix="Read the file with Rankings.read, Comparisons.read or Ratings.read.",
    )


def prepare_ballots(data: Source, unlisted: str, rng: np.random.Generator) -> PreparedBallots:
    """Sort by user, tell counts of voters from repeated ballots, wrap features.

    Where each user of the rankings cast one ballot, its weight is the number of people who cast it. Where users cast
    several, weights are powers of the ballots' likelihoods, as they are in comparisons.

    Raises
    ------
    DataError
        If there is no ballot of positive weight, or none that orders anything.
    """
    kind = {"Comparisons": "comparisons", "Ratings": "ratings", "Rankings": "ballots"}.get(type(data).__name__, "data")
    columns = ballots_of(data, unlisted)
    if len(columns.user) == 0:
        raise DataError(
            f"There are no {kind} to fit: the data have no rows.", fix="Check the file with `pluralism check`."
        )
    if not np.any(columns.weight > 0):
        raise DataError(
            f"There are no {kind} of positive weight to fit.",
            where=f"{len(columns.user)} rows",
            fix="Check the file with `pluralism check`, and the `weight` column in particular.",
        )
    present, user = np.unique(columns.user, return_inverse=True)
    weight = columns.weight
    separate = columns.counted and len(present) == len(user)
    table, order = Ballots.build(
        user,
        columns.indptr,
        columns.item,
        columns.rank,
        np.where(weight > 0, 1.0, 0.0) if separate else weight,
        n_users=len(present),
    )
    if not _orders_something(table):
        raise DataError(
            "No ballot puts one item before another: they list one item each, or nothing but ties.",
            fix='If unlisted items are below the listed ones, set unlisted="below".',
        )
    features = data.items.features
    problem = RankingProblem.of(
        table,
        weight[order] if separate else np.ones(len(present)),
        n_items=len(data.items),
        features=None if features is None else FeatureMatrix(features),
        rng=rng,
    )
    row = columns.row[order]
    answered = np.zeros((0,), dtype=np.int64)
    if len(row):
        once = np.unique(np.stack([table.user, row]), axis=1, return_index=True)[1]
        answered = np.bincount(table.user[once], table.weight[once] > 0, len(present)).astype(np.int64)
    return PreparedBallots(
        comparisons=_holder(data.items),
        problem=problem,
        users=data.users.take(pa.array(present)),
        n=answered,
        covariate_names=[],
        design_scale=np.zeros(0),
        order=order,
        source=data,
        row=row,
        voters_are_separate=separate,
    )


def _orders_something(table: Ballots) -> bool:
    heads = table.indptr[:-1]
    return bool(np.any(table.size[heads] < np.diff(table.indptr)) or np.all(table.weight == 0))


def _holder(items: Items) -> Comparisons:
    """Comparisons of these items without a row: what the steps shared with comparison models read the items from."""
    none = np.zeros(0, dtype=np.int32)
    return Comparisons(items=items, users=[], user=none, left=none, right=none, outcome=np.zeros(0))


def _of_comparisons(data: Comparisons) -> Columns:
    rows = np.arange(len(data))
    ahead, behind = data.outcome > 0, data.outcome < 1
    row = np.concatenate([rows[ahead], rows[behind]])
    share = np.concatenate([data.outcome[ahead], 1.0 - data.outcome[behind]])
    best = np.concatenate([data.left[ahead], data.right[behind]])
    worst = np.concatenate([data.right[ahead], data.left[behind]])
    order = np.argsort(row, kind="stable")
    item = np.stack([best[order], worst[order]], axis=1).ravel()
    row = row[order]
    n = len(row)
    return Columns(
        data.user[row].astype(np.int64),
        2 * np.arange(n + 1, dtype=np.int64),
        item,
        np.tile(np.array([0, 1]), n),
        data.weight[row] * share[order],
        row,
        counted=False,
    )


def _of_rankings(data: Rankings, unlisted: str, *, counted: bool) -> Columns:
    indptr, item, rank = data.indptr, data.item, data.rank.astype(np.int64)
    if unlisted == "below":
        indptr, item, rank = _with_unlisted(data)
    user = data.user.astype(np.int64)
    return Columns(user, indptr, item, rank, np.array(data.weight), np.arange(len(user)), counted)


def _with_unlisted(data: Rankings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n, n_items = len(data), data.n_items
    if n * n_items > MOST_UNLISTED:
        raise UsageError(
            f"{n:,} ballots with all of {n_items:,} items on each are too many.",
            fix='Leave out items that nobody lists, or set unlisted="ignore".',
        )
    absent = np.ones((n, n_items), dtype=bool)
    absent[data.ballot, data.item] = False
    ballot, missing = np.nonzero(absent)
    lowest = int(data.rank.max(initial=0)) + 1
    owner = np.concatenate([data.ballot, ballot])
    item = np.concatenate([data.item, missing])
    rank = np.concatenate([data.rank, np.full(len(missing), lowest)]).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=n))]).astype(np.int64)
    return indptr, item[order], rank[order]


def _rankings_of_ratings(data: Ratings) -> Rankings:
    """One ballot a user: items by falling mean value."""
    if len(data.attributes) > 1:
        raise DataError(
            f"The ratings are on {len(data.attributes)} attributes, and a ballot is by one.",
            where=f"attributes {', '.join(data.attributes.to_pylist()[:5])}",
            fix="Keep the rows of one attribute: ratings.take(ratings.attribute == 0).",
        )
    rated = data.weight > 0
    key = data.user[rated].astype(np.int64) * len(data.items) + data.item[rated]
    cells, where = np.unique(key, return_inverse=True)
    weight = np.bincount(where, data.weight[rated], len(cells))
    value = np.bincount(where, data.weight[rated] * data.value[rated], len(cells)) / weight
    user, item = cells // len(data.items), cells % len(data.items)
    order = np.lexsort((-value, user))
    user, item, value = user[order], item[order], value[order]
    voters, first = np.unique(user, return_index=True)
    falls = np.concatenate([[0], (np.diff(-value) > 0) & (np.diff(user) == 0)])[: len(user)]
    rank = np.cumsum(falls)
    return Rankings(
        items=data.items,
        users=data.users,
        user=voters,
        indptr=np.append(first, len(user)),
        item=item,
        rank=rank - np.repeat(rank[first], np.diff(np.append(first, len(user)))),
    )
