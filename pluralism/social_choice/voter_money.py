"""Exact money of voters, with which they buy candidates: what equal shares and Phragmén's rule count."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np
from jaxtyping import Bool, Int64

__all__ = ["VoterMoney"]


@dataclass(frozen=True, eq=False)
class VoterMoney:
    """What one unit of voters of each ballot has; voters of equal ballots always have the same.

    Attributes
    ----------
    unit : int
        Amounts are whole numbers of 1 / `unit` of the price of a candidate.
    amounts : tuple of int
        Distinct amounts, rising.
    which : int array of shape (ballots,)
        Amount of each ballot.
    """

    unit: int
    amounts: tuple[int, ...]
    which: Int64[np.ndarray, " ballots"]

    @classmethod
    def equal(cls, each: Fraction, n_ballots: int) -> VoterMoney:
        """Everybody has the same."""
        return cls(each.denominator, (each.numerator,), np.zeros(n_ballots, dtype=np.int64))

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for equal amounts."""
        common = gcd(self.unit, *self.amounts)
        return self.unit // common, tuple(amount // common for amount in self.amounts), self.which.tobytes()

    def of(self, ballot: int) -> Fraction:
        """What a voter of a ballot has."""
        return Fraction(self.amounts[self.which[ballot]], self.unit)

    def owners(
        self, approves: Bool[np.ndarray, "ballots candidates"], counts: Int64[np.ndarray, " ballots"]
    ) -> Int64[np.ndarray, "amounts candidates"]:
        """How many units of voters have each amount and approve each candidate."""
        table = np.zeros((len(self.amounts), approves.shape[1]), dtype=np.int64)
        np.add.at(table, self.which, counts[:, None] * approves)
        return table

    def held(self, owners: Int64[np.ndarray, " amounts"]) -> Fraction:
        """What these voters have together."""
        return Fraction(sum(int(n) * amount for n, amount in zip(owners, self.amounts, strict=True)), self.unit)

    def lowest_cap(self, owners: Int64[np.ndarray, " amounts"]) -> Fraction | None:
        """The least that each must pay at most, who can, so that these voters raise 1; None if they cannot."""
        missing, payers = self.unit, int(owners.sum())
        if sum(int(n) * amount for n, amount in zip(owners, self.amounts, strict=True)) < missing:
            return None
        for n, amount in zip(owners.tolist(), self.amounts, strict=True):
            if n and amount * payers >= missing:
                return Fraction(missing, payers * self.unit)
            missing -= n * amount
            payers -= n
        return None

    def paid(self, payers: Bool[np.ndarray, " ballots"], cap: Fraction | None = None) -> VoterMoney:
        """What is left when these voters have paid at most `cap` each, or all they have."""
        scale = 1 if cap is None else cap.denominator // gcd(cap.denominator, self.unit)
        unit = self.unit * scale
        most = None if cap is None else int(cap * unit)
        before = [amount * scale for amount in self.amounts]
        left = [0 if most is None else max(amount - most, 0) for amount in before]
        return _merged(unit, [*before, *left], np.where(payers, self.which + len(before), self.which))

    def earned(self, each: Fraction) -> VoterMoney:
        """When everybody has got this much more."""
        scale = each.denominator // gcd(each.denominator, self.unit)
        unit = self.unit * scale
        more = int(each * unit)
        return VoterMoney(unit, tuple(amount * scale + more for amount in self.amounts), self.which)


def _merged(unit: int, amounts: list[int], which: Int64[np.ndarray, " ballots"]) -> VoterMoney:
    """The money with distinct amounts that somebody has, rising."""
    used = sorted({amounts[i] for i in np.unique(which)})
    place = {amount: i for i, amount in enumerate(used)}
    new = np.array([place.get(amount, -1) for amount in amounts], dtype=np.int64)
    return VoterMoney(unit, tuple(used), new[which])
