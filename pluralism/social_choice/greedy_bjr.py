"""Greedy balanced justified representation: a slate of statements, each of which speaks for its share of the people."""

from __future__ import annotations

import json
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice.committees import TieBreak, committee_outcome, listed
from pluralism.social_choice.names import candidate_names
from pluralism.social_choice.outcome import CommitteeOutcome
from pluralism.social_choice.utilities import Utilities

__all__ = ["BalancedCheck", "Slate", "check_balanced_representation", "greedy_bjr"]


@dataclass(frozen=True, eq=False)
class Slate:
    """Statements, and the people whom each of them represents.

    Attributes
    ----------
    statements : tuple of str
        In the order in which they were chosen; a statement may be there more than once.
    candidates : tuple of str
        All statements that there were to choose from.
    assignment : int array of shape (voters,)
        Place in `statements` of the statement that represents each voter.
    utility : float array of shape (voters,)
        What it is worth to each voter.
    thresholds : tuple of float
        Least utility of those whom each statement was chosen to represent.
    ties : tuple of str
        Ties that were met, and how they were broken.
    """

    statements: tuple[str, ...]
    candidates: tuple[str, ...]
    assignment: Int64[np.ndarray, " voters"]
    utility: Float[np.ndarray, " voters"]
    thresholds: tuple[float, ...]
    ties: tuple[str, ...] = ()

    @property
    def outcome(self) -> CommitteeOutcome:
        """The statements as a committee, each once; complete if no tie was met."""
        elected = {self.candidates.index(name) for name in self.statements}
        return committee_outcome("greedy-bjr", self.candidates, [elected], not self.ties, notes=self.ties)

    def to_frame(self) -> pa.Table:
        """Columns `statement, voters, threshold, mean_utility`, one row for each statement of the slate."""
        members = [self.assignment == place for place in range(len(self.statements))]
        return pa.table(
            {
                "statement": list(self.statements),
                "voters": [int(some.sum()) for some in members],
                "threshold": list(self.thresholds),
                "mean_utility": [float(self.utility[some].mean()) for some in members],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "statements": list(self.statements),
            "candidates": list(self.candidates),
            "assignment": self.assignment.tolist(),
            "utility": self.utility.tolist(),
            "thresholds": list(self.thresholds),
            "ties": list(self.ties),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        rows = [
            f"  {row['statement']}: {row['voters']} voters, worth {row['threshold']:.3g} or more to each, "
            f"{row['mean_utility']:.3g} on average"
            for row in self.to_frame().to_pylist()
        ]
        tied = [f"  {len(self.ties)} tie{'s' * (len(self.ties) != 1)} broken, see .ties"] if self.ties else []
        return "\n".join([f"Slate of {len(self.statements)} for {len(self.assignment):,} voters", *rows, *tied])


@dataclass(frozen=True)
class BalancedCheck:
    """Whether a slate is balanced and justified.

    Attributes
    ----------
    verdict : {"holds", "violated"}
    balanced : bool
        Whether every statement represents as many voters as any other, give or take one.
    statement : str, optional
        One that a coalition deserves.
    coalition : tuple of int
        Voters, at least a share of 1 / k of all, to each of whom it is worth `threshold` or more, and to none of whom
        the statement that represents them is.
    threshold : float, optional
    """

    verdict: Literal["holds", "violated"]
    balanced: bool
    statement: str | None = None
    coalition: tuple[int, ...] = ()
    threshold: float | None = None

    @property
    def holds(self) -> bool:
        """Whether no coalition deserves another statement, and the slate is balanced."""
        return self.verdict == "holds"

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "verdict": self.verdict,
            "balanced": self.balanced,
            "statement": self.statement,
            "coalition": list(self.coalition),
            "threshold": self.threshold,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """One row with the fields."""
        return pa.Table.from_pylist([self.to_dict()])

    def __repr__(self) -> str:
        if self.holds:
            return "BalancedCheck(holds)"
        if self.statement is None:
            return "BalancedCheck(violated: the statements do not represent equally many voters)"
        return (
            f"BalancedCheck(violated: {len(self.coalition):,} voters deserve {self.statement}, worth "
            f"{self.threshold:.3g} or more to each and more than what represents any of them)"
        )


def greedy_bjr(
    utilities: Utilities | ArrayLike,
    seats: int,
    *,
    candidates: Sequence[Hashable] | None = None,
    repeats: bool = True,
    order: Sequence[str] | None = None,
    rng: RNG = None,
) -> Slate:
    """Choose a slate that gives every group of n / k voters a statement that suits it.

    In each of k rounds, with r = ceil(n / k) in the first n - k floor(n / k) of them and floor(n / k) in the others,
    that statement is chosen whose r-th highest utility among the voters not yet represented is the highest, and it
    represents the r voters who like it best. The slate satisfies balanced justified representation.

    Parameters
    ----------
    utilities : array of shape (voters, candidates), or Utilities
        What each statement is worth to each voter, on one scale for all; or `Utilities` of one prompt, whose groups,
        all of one size, are the voters.
    seats : int
        k, at most the number of voters.
    candidates : sequence of str, optional
        Names of the statements; left out, "0", "1", ...
    repeats : bool
        Whether a statement may be chosen again. Without repeats, of which there must be enough, the guarantee is lost
        where one statement should speak for more than n / k voters.
    order : sequence of str, optional
        Of tied statements the first of these is chosen.
    rng : int or Generator, optional
        Draws the order of statements, and of voters, in which ties are broken. With neither, statements and voters go
        in the order of the array. Ties are listed in the result in any case.

    Returns
    -------
    Slate

    References
    ----------
    S. Fish et al., Generative Social Choice, EC 2024 (arXiv:2309.01291).
    """
    values, names = _matrix(utilities, candidates)
    n, m = values.shape
    if isinstance(seats, bool) or not isinstance(seats, int | np.integer) or not 1 <= seats <= n:
        raise UsageError(f"seats={seats!r} is not possible with {n} voters.", fix=f"Give a whole number from 1 to {n}.")
    if not repeats and seats > m:
        raise UsageError(f"{seats} different statements of {m} are not possible.", fix="Allow repeats, or fewer seats.")
    by_statement, by_voter = _orders(names, n, order, rng)
    left, open_ = np.array(by_voter), list(by_statement)
    assignment, ties = np.full(n, -1, dtype=np.int64), list[str]()
    chosen, thresholds = list[int](), list[float]()
    for place in range(seats):
        r = n // seats + (place < n % seats)
        worth = values[left][:, open_]
        least = np.partition(worth, len(left) - r, axis=0)[len(left) - r]
        best = int(np.argmax(least))
        tied = [names[open_[i]] for i in np.flatnonzero(least == least[best])]
        if len(tied) > 1:
            ties.append(f"round {place + 1}: {tied[0]} chosen of {listed(tied)}")
        pick = np.argsort(-worth[:, best], kind="stable")[:r]
        equal = int((worth[:, best] == least[best]).sum())
        taken = int((worth[pick, best] == least[best]).sum())
        if taken < equal:
            ties.append(f"round {place + 1}: {taken} represented of {equal} voters to whom {tied[0]} is worth the same")
        assignment[left[pick]] = place
        chosen.append(open_[best])
        thresholds.append(float(least[best]))
        left = np.delete(left, pick)
        if not repeats:
            open_.pop(best)
    utility = values[np.arange(n), np.array(chosen)[assignment]]
    return Slate(tuple(names[c] for c in chosen), names, assignment, utility, tuple(thresholds), tuple(ties))


def check_balanced_representation(
    utilities: Utilities | ArrayLike, slate: Slate | Sequence[Hashable], *, assignment: ArrayLike | None = None
) -> BalancedCheck:
    """Whether a slate satisfies balanced justified representation.

    It does if every statement represents floor(n / k) or ceil(n / k) voters, and there is no statement and no
    coalition of n / k voters or more to each of whom it is worth some threshold or more, while what represents them is
    worth less than the threshold to each.

    Parameters
    ----------
    utilities : array of shape (voters, candidates), or Utilities
    slate : Slate, or positions of the statements
    assignment : int array of shape (voters,), optional
        Place in the slate of what represents each voter; a `Slate` has its own.

    Returns
    -------
    BalancedCheck
        With the largest coalition for the threshold at which it is found.
    """
    if isinstance(slate, Slate):
        values, names = _matrix(utilities, slate.candidates)
        chosen = np.array([names.index(name) for name in slate.statements])
        places = slate.assignment
    else:
        values, names = _matrix(utilities, None)
        chosen, places = np.asarray(slate), np.asarray(assignment)
    n, k = len(values), len(chosen)
    if places.shape != (n,) or k == 0 or places.min() < 0 or places.max() >= k:
        raise DataError(f"An assignment gives each of {n} voters a place in the slate.", fix="Give one number each.")
    mine, balanced = values[np.arange(n), chosen[places]], _balanced(places, n, k)
    for c in range(values.shape[1]):
        # A voter belongs to the coalition for all thresholds above `mine` and up to the value of the statement.
        wants = np.flatnonzero(values[:, c] > mine)
        thresholds = np.sort(values[wants, c])
        sizes = np.searchsorted(np.sort(mine[wants]), thresholds) - np.searchsorted(thresholds, thresholds)
        if len(wants) and sizes.max() * k >= n:
            threshold = thresholds[sizes.argmax()]
            coalition = wants[(values[wants, c] >= threshold) & (mine[wants] < threshold)]
            return BalancedCheck("violated", balanced, names[c], tuple(coalition.tolist()), float(threshold))
    return BalancedCheck("holds" if balanced else "violated", balanced)


def _balanced(places: Int64[np.ndarray, " voters"], n: int, k: int) -> bool:
    sizes = np.bincount(places, minlength=k)
    return bool(sizes.min() >= n // k and sizes.max() <= -(-n // k))


def _matrix(
    utilities: Utilities | ArrayLike, candidates: Sequence[Hashable] | None
) -> tuple[Float[np.ndarray, "voters candidates"], tuple[str, ...]]:
    if isinstance(utilities, Utilities):
        if utilities.n_prompts != 1 or np.ptp(utilities.shares) > 1e-9:
            raise UsageError(
                "A slate is chosen for one prompt, and for groups that are equally large.",
                fix="Take one prompt with utilities.take([i]), or give an array with one row for each person.",
            )
        utilities.warn_if_raw("Balanced justified representation")
        there = utilities.mask[0]
        candidates = [utilities.candidates[i] for i in utilities.items[0, there]] if candidates is None else candidates
        values = utilities.values[0, there].T
    else:
        values = np.asarray(utilities, dtype=float)
    if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
        raise DataError(
            f"Utilities are finite numbers of shape (voters, candidates), not {values.shape}.",
            fix="Give one row for each voter, and leave no value out.",
        )
    names = candidate_names(range(values.shape[1]) if candidates is None else candidates)
    if len(names) != values.shape[1]:
        raise DataError(
            f"There are {len(names)} names for {values.shape[1]} statements.", fix="Give one name for each."
        )
    return values, names


def _orders(names: tuple[str, ...], n: int, order: Sequence[str] | None, rng: RNG) -> tuple[list[int], list[int]]:
    """In which order statements and voters are looked at."""
    place = TieBreak(names, order, rng).place
    statements = list(range(len(names))) if place is None else sorted(place, key=place.__getitem__)
    voters = list(range(n)) if rng is None else as_generator(rng, "voters").permutation(n).tolist()
    return statements, voters
