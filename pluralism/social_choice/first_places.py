"""First places of ballots among the candidates still standing, counted exactly; equal firsts share a ballot."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Bool, Int16, Int64

from pluralism.social_choice.first_place_kernels import count_firsts, listing_orders
from pluralism.social_choice.profile import Profile

__all__ = ["FirstPlaces", "Tally"]


@dataclass(frozen=True)
class Tally:
    """Votes of the candidates still standing.

    Attributes
    ----------
    votes : list of int or Fraction
        Units of each candidate, 0 for those who no longer stand.
    exhausted : int
        Units of the ballots that list nobody who stands.
    place : int16 array of shape (ballots,)
        How far down each ballot has been read.
    """

    votes: list[int | Fraction]
    exhausted: int
    place: Int16[np.ndarray, " ballots"]


class FirstPlaces:
    """Counts first places of a profile again and again, as candidates leave.

    Parameters
    ----------
    profile : Profile
    """

    def __init__(self, profile: Profile) -> None:
        self._levels, self._counts = profile.levels, profile.counts
        self._order, self._most_tied = listing_orders(profile.levels)

    def count(
        self, standing: Bool[np.ndarray, " candidates"], place: Int16[np.ndarray, " ballots"] | None = None
    ) -> Tally:
        """Votes where only some candidates stand.

        Parameters
        ----------
        standing : bool array of shape (candidates,)
        place : int16 array of shape (ballots,), optional
            Of a tally in which these candidates stood and others, so that ballots need not be read from the top.
        """
        place = np.zeros(len(self._levels), dtype=np.int16) if place is None else place.copy()
        table = np.zeros((int(self._most_tied) + 1, len(standing)), dtype=np.int64)
        exhausted = count_firsts(self._levels, self._order, self._counts, standing, place, table)
        return Tally(shared_votes(table), int(exhausted), place)


def shared_votes(table: Int64[np.ndarray, "tied candidates"]) -> list[int | Fraction]:
    """Sums of the rows, each divided by its number; whole where no ballot is shared."""
    votes: list[int | Fraction] = table[1].tolist() if len(table) > 1 else [0] * table.shape[1]
    for tied in range(2, len(table)):
        for candidate in np.flatnonzero(table[tied]).tolist():
            votes[candidate] += Fraction(int(table[tied, candidate]), tied)
    return votes
