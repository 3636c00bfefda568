"""Papers that are worth the same, in one parcel, and how they pass from one candidate to the next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Int16, Int64

__all__ = ["Parcel", "Parcels", "first_parcels", "merged_parcels", "passed_on", "transferable", "votes_of"]


@dataclass(frozen=True, eq=False)
class Parcel:
    """Papers of one value.

    Attributes
    ----------
    value : Fraction
        Votes that each unit of a ballot is worth.
    ballots : int array of shape (papers,)
        Rows of ballots, rising.
    units : int
        How many units of ballots.
    """

    value: Fraction
    ballots: Int64[np.ndarray, " papers"]
    units: int


Parcels = tuple[Parcel, ...]
"""The papers of a candidate, by rising value."""


def votes_of(parcels: Iterable[Parcel]) -> Fraction:
    """What the papers are worth together."""
    return sum((parcel.value * parcel.units for parcel in parcels), Fraction(0))


def first_parcels(counts: Int64[np.ndarray, " ballots"], denominator: int) -> Parcels:
    """All ballots, at one vote for `denominator` units."""
    return (Parcel(Fraction(1, denominator), np.arange(len(counts)), int(counts.sum())),)


def merged_parcels(parcels: Iterable[Parcel]) -> Parcels:
    """Papers of one value in one parcel, by rising value."""
    by_value: dict[Fraction, list[Parcel]] = {}
    for parcel in parcels:
        by_value.setdefault(parcel.value, []).append(parcel)
    return tuple(
        some[0]
        if len(some) == 1
        else Parcel(value, np.sort(np.concatenate([p.ballots for p in some])), sum(p.units for p in some))
        for value, some in sorted(by_value.items())
    )


def passed_on(
    parcels: Iterable[Parcel],
    hopeful: Bool[np.ndarray, " candidates"],
    levels: Int16[np.ndarray, "ballots candidates"],
    counts: Int64[np.ndarray, " ballots"],
    *,
    factor: Fraction = Fraction(1),
    grain: Fraction | None = None,
) -> dict[int, Parcels]:
    """The papers that each hopeful candidate gets.

    Parameters
    ----------
    parcels : iterable of Parcel
    hopeful : bool array of shape (candidates,)
    levels : int16 array of shape (ballots, candidates)
        -1 is not listed.
    counts : int64 array of shape (ballots,)
    factor : Fraction
        By which the value of each paper is multiplied.
    grain : Fraction, optional
        Of which values are a multiple, the rest being cut off.
    """
    got: dict[int, list[Parcel]] = {}
    for parcel in parcels:
        places = np.where(hopeful & (levels[parcel.ballots] >= 0), levels[parcel.ballots], np.iinfo(np.int16).max)
        best = places.min(axis=1, keepdims=True)
        takes = (places == best) & (best < np.iinfo(np.int16).max)
        sharers = takes.sum(axis=1)
        for n in np.unique(sharers[sharers > 0]).tolist():
            value = parcel.value * factor / n
            if grain is not None:
                value = value // grain * grain
            if value == 0:
                continue
            shared = sharers == n
            for c in np.flatnonzero(takes[shared].any(axis=0)).tolist():
                papers = parcel.ballots[shared & takes[:, c]]
                got.setdefault(c, []).append(Parcel(value, papers, int(counts[papers].sum())))
    return {c: merged_parcels(some) for c, some in sorted(got.items())}


def transferable(
    parcels: Iterable[Parcel],
    hopeful: Bool[np.ndarray, " candidates"],
    levels: Int16[np.ndarray, "ballots candidates"],
    counts: Int64[np.ndarray, " ballots"],
) -> Fraction:
    """What the papers are worth together that list a hopeful candidate."""
    total = Fraction(0)
    for parcel in parcels:
        some = ((levels[parcel.ballots] >= 0) & hopeful).any(axis=1)
        total += parcel.value * int(counts[parcel.ballots[some]].sum())
    return total
