"""Approval profiles: which candidates each ballot approves; what approval and committee rules count."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int64
from numpy.typing import ArrayLike

from pluralism.data.arrays import Column, as_indices, frozen
from pluralism.errors import DataError, UsageError
from pluralism.social_choice.ballots import merged, whole_counts
from pluralism.social_choice.names import candidate_names, positions
from pluralism.social_choice.profile import Profile, common_units

if TYPE_CHECKING:
    from pluralism.data import Rankings, Ratings

__all__ = ["ApprovalProfile"]


@dataclass(frozen=True, eq=False, repr=False, init=False)
class ApprovalProfile:
    """Weighted approval ballots; a ballot may approve nobody.

    Parameters
    ----------
    candidates : sequence of str
        Distinct names, in the order in which everything lists them.
    approves : bool array of shape (ballots, candidates)
    counts : int array of shape (ballots,), optional
        How many units each ballot has, not negative; left out, each is one voter.
    denominator : int
        Units that make one voter.

    Examples
    --------
    >>> profile = ApprovalProfile.from_sets([{"a", "b"}, {"b"}, set()], counts=[2, 1, 1], candidates=["a", "b", "c"])
    >>> profile
    ApprovalProfile(4 voters on 3 ballots, 3 candidates, 1.25 approved on average)
    >>> profile.scores
    array([2, 3, 0])
    """

    candidates: tuple[str, ...]
    approves: Bool[np.ndarray, "ballots candidates"]
    counts: Int64[np.ndarray, " ballots"]
    denominator: int

    def __init__(
        self,
        candidates: Sequence[Hashable],
        approves: ArrayLike,
        counts: ArrayLike | None = None,
        denominator: int = 1,
    ) -> None:
        names = candidate_names(candidates)
        array = np.asarray(approves)
        if array.ndim != 2 or array.shape[1] != len(names) or (array.dtype != bool and array.size):
            raise DataError(
                f"Approvals are bools of shape (ballots, {len(names)}), not {array.dtype} of shape {array.shape}.",
                fix="Give True where a ballot approves a candidate.",
            )
        self.__dict__.update(
            candidates=names,
            approves=frozen(array.astype(bool)),
            counts=frozen(whole_counts(counts, len(array), denominator, len(names))),
            denominator=int(denominator),
        )

    @classmethod
    def from_sets(
        cls,
        ballots: Sequence[Sequence[Hashable] | set[Any] | frozenset[Any]],
        counts: Sequence[int | Fraction] | None = None,
        *,
        candidates: Sequence[Hashable] | None = None,
    ) -> ApprovalProfile:
        """Build a profile from the approved candidates of each ballot.

        Without `candidates`, they are those approved by somebody, in alphabetical order.
        """
        named = sorted({str(name) for ballot in ballots for name in ballot})
        names = candidate_names(named if candidates is None else candidates)
        approves = np.zeros((len(ballots), len(names)), dtype=bool)
        for row, ballot in enumerate(ballots):
            approves[row, positions(list(ballot), names)] = True
        units, denominator = common_units(counts, len(ballots))
        return cls(names, approves, units, denominator)

    @classmethod
    def from_profile(cls, profile: Profile, *, top: int = 1) -> ApprovalProfile:
        """Approve, on each ballot, the candidates of its best `top` levels."""
        if top < 1:
            raise UsageError(f"top={top!r} is not possible.", fix="It is a number of levels, at least 1.")
        approves = (profile.levels >= 0) & (profile.levels < top)
        return cls(profile.candidates, approves, profile.counts, profile.denominator)

    @classmethod
    def from_rankings(cls, rankings: Rankings, *, top: int | None = None) -> ApprovalProfile:
        """Approvals of ballots: the best `top` levels, or all listed; of categories the first, where levels have names.

        Ballots of named categories (PrefLib's .cat) may have nobody in the first.
        """
        if rankings.levels is not None:
            first = rankings.rank < (1 if top is None else top)
        else:
            first = np.ones(len(rankings.rank), dtype=bool) if top is None else rankings.rank < top
        approves = np.zeros((len(rankings), rankings.n_items), dtype=bool)
        approves[rankings.ballot[first], rankings.item[first]] = True
        candidates = Profile.from_rankings(rankings.take(slice(0, 0))).candidates
        return cls(candidates, approves, rankings.weight)

    @classmethod
    def from_ratings(cls, ratings: Ratings, *, attribute: str | None = None, threshold: float = 0.0) -> ApprovalProfile:
        """One ballot for each person who rates: items rated above the threshold are approved."""
        rated = ratings.on_one_attribute(attribute)
        above = rated.value > threshold
        approves = np.zeros((len(rated.users), len(rated.items)), dtype=bool)
        approves[rated.user[above], rated.item[above]] = True
        return cls(rated.items.ids.to_pylist(), approves)

    def __len__(self) -> int:
        return len(self.approves)

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
    def scores(self) -> Int64[np.ndarray, " candidates"]:
        """Units of voters that approve each candidate."""
        return frozen(self.counts @ self.approves.astype(np.int64))

    def index(self, names: Sequence[Hashable]) -> Int64[np.ndarray, " names"]:
        """Positions of candidates by name; an unknown name is a `UsageError`."""
        return positions(names, self.candidates)

    def take(self, index: Column | slice) -> ApprovalProfile:
        """Ballots of a mask, a slice or indices; all candidates stay."""
        rows = as_indices(index, len(self))
        return ApprovalProfile(self.candidates, self.approves[rows], self.counts[rows], self.denominator)

    def only(self, names: Sequence[Hashable]) -> ApprovalProfile:
        """The profile of some candidates, in their order here."""
        keep = np.sort(self.index(names))
        return ApprovalProfile(
            [self.candidates[i] for i in keep], self.approves[:, keep], self.counts, self.denominator
        )

    def compressed(self) -> ApprovalProfile:
        """Equal ballots as one, in a fixed order, without those that nobody cast."""
        approves, counts = merged(self.approves, self.counts)
        return ApprovalProfile(self.candidates, approves, counts, self.denominator)

    def to_sets(self) -> list[list[str]]:
        """The approved candidates of each ballot."""
        return [[self.candidates[i] for i in np.flatnonzero(row)] for row in self.approves]

    def to_frame(self) -> pa.Table:
        """Columns `voters`, and one of bools for each candidate."""
        columns: dict[str, Any] = {"voters": pa.array(self.counts / self.denominator)}
        columns |= {name: pa.array(self.approves[:, i]) for i, name in enumerate(self.candidates)}
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """A JSON object with `candidates`, `approvals`, `counts` and `denominator`."""
        document = {
            "candidates": list(self.candidates),
            "approvals": self.to_sets(),
            "counts": self.counts.tolist(),
            "denominator": self.denominator,
        }
        return json.dumps(document, ensure_ascii=False, indent=indent)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ApprovalProfile:
        """Inverse of `to_json`, from the parsed object."""
        plain = cls.from_sets(document["approvals"], candidates=document["candidates"])
        return cls(plain.candidates, plain.approves, document["counts"], document["denominator"])

    def __repr__(self) -> str:
        n = len(self)
        mean = float(self.counts @ self.approves.sum(axis=1)) / self.total if self.total else 0.0
        return (
            f"ApprovalProfile({float(self.n_voters):,.10g} voters on {n:,} ballot{'s' * (n != 1)}, "
            f"{self.n_candidates:,} candidates, {mean:.3g} approved on average)"
        )
