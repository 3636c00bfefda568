"""Profiles: weighted ballots that rank candidates, perhaps with ties and not all of them; what ordinal rules count."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int16, Int64
from numpy.typing import ArrayLike

from pluralism.data.arrays import Column, as_indices, frozen
from pluralism.errors import DataError, UsageError
from pluralism.social_choice.ballots import LARGEST, dense_levels, merged, whole_counts
from pluralism.social_choice.names import candidate_names, positions
from pluralism.social_choice.pairwise_kernels import support_counts

if TYPE_CHECKING:
    from pluralism.data import Rankings, Ratings

__all__ = ["Profile", "Unlisted"]

Unlisted = Literal["below", "ignore"]
"""What it means that a ballot does not list a candidate."""

MOST_PARTS = 10_000
"""A share within rounding of a fraction of no larger denominator is that fraction."""


@dataclass(frozen=True, eq=False, repr=False, init=False)
class Profile:
    """Weighted rankings of candidates.

    Counts are whole numbers of one unit, so that all counting is exact; `denominator` units are one voter.

    Parameters
    ----------
    candidates : sequence of str
        Distinct names, in the order in which everything lists them.
    levels : int array of shape (ballots, candidates)
        Place of each candidate on each ballot: smaller is better, equal is tied, negative is not listed. Gaps mean
        nothing. Every ballot lists one candidate or more.
    counts : int array of shape (ballots,), optional
        How many units each ballot has, not negative; left out, each is one voter.
    denominator : int
        Units that make one voter.
    unlisted : {"below", "ignore"}
        Whether candidates that a ballot does not list are tied below those it lists, or are not compared by it at all.

    Attributes
    ----------
    levels : read-only int16 array
        Dense: the levels of each ballot are 0, 1, 2, ...; -1 is not listed.

    Examples
    --------
    >>> profile = Profile.from_orders([["a", "b", "c"], ["b", ["a", "c"]], ["c"]], counts=[3, 2, 2])
    >>> profile
    Profile(7 voters on 3 ballots, 3 candidates; 1 ballot with ties, 1 truncated)
    >>> profile.margins
    array([[ 0,  1,  1],
           [-1,  0,  3],
           [-1, -3,  0]])
    """

    candidates: tuple[str, ...]
    levels: Int16[np.ndarray, "ballots candidates"]
    counts: Int64[np.ndarray, " ballots"]
    denominator: int
    unlisted: Unlisted

    def __init__(
        self,
        candidates: Sequence[Hashable],
        levels: ArrayLike,
        counts: ArrayLike | None = None,
        denominator: int = 1,
        unlisted: Unlisted = "below",
    ) -> None:
        names = candidate_names(candidates)
        if unlisted not in ("below", "ignore"):
            raise UsageError(f"unlisted={unlisted!r} is not possible.", fix='Use unlisted="below" or "ignore".')
        dense = dense_levels(levels, len(names))
        self.__dict__.update(
            candidates=names,
            levels=frozen(dense),
            counts=frozen(whole_counts(counts, len(dense), denominator, len(names))),
            denominator=int(denominator),
            unlisted=unlisted,
        )

    @classmethod
    def from_orders(
        cls,
        orders: Sequence[Sequence[Hashable | Sequence[Hashable]]],
        counts: Sequence[int | Fraction] | None = None,
        *,
        candidates: Sequence[Hashable] | None = None,
        unlisted: Unlisted = "below",
    ) -> Profile:
        """Build a profile from lists, best first; a list within a list is a tie.

        Parameters
        ----------
        orders : sequence of ballots
            Each lists candidates (or tied candidates).
        counts : sequence of int or Fraction, optional
            Voters behind each ballot.
        candidates : sequence, optional
            All candidates; left out, those listed, in order of first appearance.
        unlisted : {"below", "ignore"}
        """
        places = [
            [(str(name), level) for level, entry in enumerate(order) for name in _tied(entry)] for order in orders
        ]
        listed = list(dict.fromkeys(name for ballot in places for name, _ in ballot))
        names = candidate_names(listed if candidates is None else candidates)
        where = {name: i for i, name in enumerate(names)}
        levels = np.full((len(places), len(names)), -1, dtype=np.int64)
        for row, ballot in enumerate(places):
            for name, level in ballot:
                if name not in where:
                    raise DataError(
                        f"A ballot lists {name!r}, who is no candidate.",
                        where=f"ballot {row + 1}",
                        fix="Add the name to candidates=, or correct the ballot.",
                    )
                if levels[row, where[name]] >= 0:
                    raise DataError(
                        f"A ballot lists {name!r} twice.", where=f"ballot {row + 1}", fix="Keep one of the two."
                    )
                levels[row, where[name]] = level
        units, denominator = common_units(counts, len(places))
        return cls(names, levels, units, denominator, unlisted)

    @classmethod
    def from_rankings(cls, rankings: Rankings, *, unlisted: Unlisted = "below") -> Profile:
        """The ballots of `Rankings`; items become candidates, named by their texts where these are distinct, else ids.

        Weights must be whole numbers; see `Profile.from_utilities` for weights that are not.
        """
        items = rankings.items
        texts = None if items.texts is None else items.texts.to_pylist()
        names = texts if texts is not None and len(set(texts)) == len(texts) and all(texts) else items.ids.to_pylist()
        levels = np.full((len(rankings), rankings.n_items), -1, dtype=np.int64)
        levels[rankings.ballot, rankings.item] = rankings.rank
        return cls(names, levels, rankings.weight, unlisted=unlisted)

    @classmethod
    def from_utilities(
        cls,
        utilities: Float[np.ndarray, "voters candidates"],
        weights: Column | None = None,
        *,
        candidates: Sequence[Hashable] | None = None,
        tolerance: float = 0.0,
        units: int = 1_000_000,
        unlisted: Unlisted = "below",
    ) -> Profile:
        """Rank candidates by the utilities of each voter; NaN is not listed.

        Parameters
        ----------
        utilities : array of shape (voters, candidates)
        weights : array of shape (voters,), optional
            Not negative. Whole numbers count voters; others are shares: simple fractions, such as thirds, are kept, and
            all others are rounded to whole units, about `units` in all, and equal ones count equally.
        candidates : sequence, optional
            Names; left out, "0", "1", ...
        tolerance : float
            Neighbours in a voter's order that differ by no more than this are tied.
        """
        values = np.asarray(utilities, dtype=float)
        if values.ndim != 2 or np.isinf(values).any() or not np.isfinite(tolerance) or tolerance < 0:
            raise UsageError(
                "Utilities are a finite array of shape (voters, candidates), with NaN for candidates not ranked.",
                fix="Pass one row a voter; tolerance is a number of at least 0.",
            )
        names = range(values.shape[1]) if candidates is None else candidates
        levels = levels_by_value(values, tolerance)
        some = (levels >= 0).any(axis=1)
        counts, denominator = apportioned(weights, len(values), units)
        return cls(names, levels[some], counts[some], denominator, unlisted)

    @classmethod
    def from_ratings(
        cls, ratings: Ratings, *, attribute: str | None = None, unlisted: Unlisted = "ignore", tolerance: float = 0.0
    ) -> Profile:
        """One ballot for each person who rates: items by falling value; by default unrated ones are not compared."""
        rated = ratings.on_one_attribute(attribute)
        values = np.full((len(rated.users), len(rated.items)), np.nan)
        values[rated.user, rated.item] = rated.value
        return cls.from_utilities(
            values, candidates=rated.items.ids.to_pylist(), tolerance=tolerance, unlisted=unlisted
        )

    @classmethod
    def read(cls, path: str | Path, *, unlisted: Unlisted = "below") -> Profile:
        """Read rankings from a file, PrefLib's formats included; see `Rankings.read`."""
        from pluralism.data import Rankings

        return cls.from_rankings(Rankings.read(path), unlisted=unlisted)

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def n_candidates(self) -> int:
        """Number of candidates."""
        return len(self.candidates)

    @cached_property
    def total(self) -> int:
        """All units: voters times `denominator`."""
        return int(self.counts.sum())

    @property
    def n_voters(self) -> Fraction:
        """Voters, exactly."""
        return Fraction(self.total, self.denominator)

    @cached_property
    def support(self) -> Int64[np.ndarray, "candidates candidates"]:
        """Units of voters that rank the row's candidate strictly above the column's."""
        return frozen(support_counts(self.levels, self.counts, self.unlisted == "below"))

    @cached_property
    def margins(self) -> Int64[np.ndarray, "candidates candidates"]:
        """`support` less its transpose: by how many units the row beats the column."""
        return frozen(self.support - self.support.T)

    @cached_property
    def complete(self) -> bool:
        """Whether every ballot lists every candidate."""
        return bool((self.levels >= 0).all())

    @cached_property
    def strict(self) -> bool:
        """Whether no ballot ties two candidates that it lists."""
        return bool((self.levels.max(axis=1, initial=-1) + 1 == (self.levels >= 0).sum(axis=1)).all())

    def index(self, names: Sequence[Hashable]) -> Int64[np.ndarray, " names"]:
        """Positions of candidates by name; an unknown name is a `UsageError`."""
        return positions(names, self.candidates)

    def take(self, index: Column | slice) -> Profile:
        """Ballots of a mask, a slice or indices; all candidates stay."""
        rows = as_indices(index, len(self))
        return Profile(self.candidates, self.levels[rows], self.counts[rows], self.denominator, self.unlisted)

    def only(self, names: Sequence[Hashable]) -> Profile:
        """The profile of some candidates, in their order here; ballots that list none of them are left out."""
        keep = np.sort(self.index(names))
        levels = self.levels[:, keep]
        some = (levels >= 0).any(axis=1)
        kept = [self.candidates[i] for i in keep]
        return Profile(kept, levels[some], self.counts[some], self.denominator, self.unlisted)

    def without(self, names: Sequence[Hashable]) -> Profile:
        """The profile of the other candidates; ballots that list none of them are left out."""
        gone = set(self.index(names).tolist())
        return self.only([name for i, name in enumerate(self.candidates) if i not in gone])

    def compressed(self) -> Profile:
        """Equal ballots as one, in a fixed order, without those that nobody cast."""
        levels, counts = merged(self.levels, self.counts)
        return Profile(self.candidates, levels, counts, self.denominator, self.unlisted)

    def reversed(self) -> Profile:
        """Every ballot upside down: tied last becomes tied first; unlisted candidates count by `unlisted`."""
        levels = self.levels.astype(np.int64)
        worst = levels.max(axis=1, keepdims=True)
        below = np.where(levels < 0, 0, worst + 1 - levels)
        turned = below if self.unlisted == "below" else np.where(levels < 0, -1, worst - levels)
        return Profile(self.candidates, turned, self.counts, self.denominator, self.unlisted)

    def to_orders(self) -> list[list[list[str]]]:
        """Ballots as lists of tie groups, best first."""
        return [
            [
                [self.candidates[i] for i in np.flatnonzero(row == level)]
                for level in range(int(row.max(initial=-1)) + 1)
            ]
            for row in self.levels
        ]

    def to_rankings(self) -> Rankings:
        """The ballots as `Rankings`, each by a user of its own, with its voters as weight."""
        from pluralism.data import Items, Rankings

        row, item = np.nonzero(self.levels >= 0)
        order = np.lexsort((item, self.levels[row, item], row))
        row, item = row[order], item[order]
        return Rankings(
            items=Items(list(self.candidates)),
            users=[str(i + 1) for i in range(len(self))],
            user=np.arange(len(self)),
            indptr=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(self)))]),
            item=item,
            rank=self.levels[row, item].astype(np.int64),
            weight=self.counts / self.denominator,
        )

    def to_frame(self) -> pa.Table:
        """Columns `voters`, and one of levels for each candidate (0 is best; null is not listed)."""
        columns: dict[str, Any] = {"voters": pa.array(self.counts / self.denominator)}
        for i, name in enumerate(self.candidates):
            column = self.levels[:, i]
            columns[name] = pa.array(column, mask=column < 0)
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """A JSON object with `candidates`, `ballots` (tie groups, best first), `counts`, `denominator`, `unlisted`."""
        document = {
            "candidates": list(self.candidates),
            "ballots": self.to_orders(),
            "counts": self.counts.tolist(),
            "denominator": self.denominator,
            "unlisted": self.unlisted,
        }
        return json.dumps(document, ensure_ascii=False, indent=indent)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Profile:
        """Inverse of `to_json`, from the parsed object."""
        plain = cls.from_orders(document["ballots"], candidates=document["candidates"], unlisted=document["unlisted"])
        return cls(plain.candidates, plain.levels, document["counts"], document["denominator"], plain.unlisted)

    def __repr__(self) -> str:
        n = len(self)
        tied = int((self.levels.max(axis=1, initial=-1) + 1 < (self.levels >= 0).sum(axis=1)).sum())
        short = int((self.levels < 0).any(axis=1).sum())
        notes = [
            *([f"{tied:,} ballot{'s' * (tied != 1)} with ties"] if tied else []),
            *([f"{short:,} truncated"] if short and self.unlisted == "below" else []),
            *([f"{short:,} not of all, the others not compared"] if short and self.unlisted == "ignore" else []),
        ]
        head = f"{float(self.n_voters):,.10g} voters on {n:,} ballot{'s' * (n != 1)}, {self.n_candidates:,} candidates"
        return f"Profile({'; '.join([head, ', '.join(notes)]) if notes else head})"


def levels_by_value(values: Float[np.ndarray, "voters candidates"], tolerance: float) -> np.ndarray:
    """Levels by falling value in each row, -1 for NaN; neighbours within the tolerance are tied."""
    order = np.argsort(-values, axis=1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=1)
    falls = np.zeros(values.shape, dtype=np.int64)
    falls[:, 1:] = ordered[:, :-1] - ordered[:, 1:] > tolerance
    levels = np.empty(values.shape, dtype=np.int64)
    np.put_along_axis(levels, order, np.cumsum(falls, axis=1), axis=1)
    levels[np.isnan(values)] = -1
    return levels


def common_units(counts: Sequence[int | Fraction] | None, n: int) -> tuple[list[int], int]:
    """Whole units of a common fraction of a voter, and how many make a voter."""
    if counts is None:
        return [1] * n, 1
    try:
        exact = [Fraction(count) for count in counts]
    except (TypeError, ValueError, OverflowError):
        raise DataError("Counts must be numbers.", fix="Give whole numbers or Fractions.") from None
    denominator = int(np.lcm.reduce([count.denominator for count in exact], dtype=object)) if exact else 1
    return [int(count * denominator) for count in exact], denominator


def apportioned(weights: Column | None, n: int, units: int) -> tuple[Int64[np.ndarray, " voters"], int]:
    """Weights as whole units: whole numbers and simple fractions as they are, others rounded, equal ones alike."""
    if weights is None:
        return np.ones(n, dtype=np.int64), 1
    w = np.asarray(weights, dtype=float)
    if w.shape != (n,) or not np.isfinite(w).all() or (w < 0).any() or not w.any():
        raise UsageError(f"Weights are {n} finite numbers of at least 0, not all 0.", fix="Give one for each voter.")
    if (w == np.floor(w)).all():
        if w.sum() > LARGEST:
            raise DataError("The weights add up to more than 64 bits hold.", fix="Give shares, or larger units.")
        return w.astype(np.int64), 1
    # largest remainders would give one of three equal groups a unit more, which decides every tie between them
    shares, where = np.unique(w / w.sum(), return_inverse=True)
    near = [Fraction(share).limit_denominator(MOST_PARTS) for share in shares.tolist()]
    if np.allclose([float(one) for one in near], shares, rtol=1e-15, atol=0.0):
        parts = int(np.lcm.reduce([one.denominator for one in near], dtype=object))
        whole = np.array([int(one * parts) for one in near])[where] if parts <= units else where
        if parts <= units and int(whole.sum()) == parts:
            return whole, parts
    whole = np.rint(shares * units).astype(np.int64)[where]
    return whole, int(whole.sum())


def _tied(entry: Any) -> Iterable[Hashable]:
    return entry if isinstance(entry, list | tuple | set | frozenset) else [entry]
