"""What committee rules share: seats, ties that are followed in all ways or broken by an order, and the outcome."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice.names import positions
from pluralism.social_choice.outcome import CommitteeOutcome, Score

__all__ = ["TieBreak", "after", "check_seats", "committee_outcome", "follow", "listed", "settled"]

State = TypeVar("State")

MOST_STATES = 20_000
"""States of a count that are followed before the list of tied committees is given up as incomplete."""


class TieBreak:
    """Which of several tied candidates are taken: all of them, one after the other, or the first in an order.

    Parameters
    ----------
    candidates : tuple of str
    order : sequence of str, optional
        Candidates, the one that wins ties first; those left out come last, in the order of `candidates`.
    rng : int or Generator, optional
        Draw the order instead. With neither, a rule follows all ways to break its ties.
    """

    def __init__(self, candidates: tuple[str, ...], order: Sequence[str] | None, rng: RNG) -> None:
        if order is not None and rng is not None:
            raise UsageError("Ties are broken by an order or by rng, not by both.", fix="Pass one of the two.")
        self.place: dict[int, int] | None = None
        if order is not None:
            first = positions(order, candidates).tolist()
            rest = [i for i in range(len(candidates)) if i not in set(first)]
            self.place = {i: place for place, i in enumerate([*dict.fromkeys(first), *rest])}
        elif rng is not None:
            drawn = as_generator(rng, "tie").permutation(len(candidates))
            self.place = {int(i): place for place, i in enumerate(drawn)}

    def favoured(self, tied: Iterable[int]) -> list[int]:
        """The candidates to go on with if the favoured one is taken, by position."""
        found = sorted(tied)
        return found if self.place is None else [min(found, key=self.place.__getitem__)]

    def disfavoured(self, tied: Iterable[int]) -> list[int]:
        """The candidates to go on with if the least favoured one is taken, by position."""
        found = sorted(tied)
        return found if self.place is None else [max(found, key=self.place.__getitem__)]


def check_seats(seats: int, n_candidates: int) -> int:
    """The number of seats, if it is between 1 and the number of candidates."""
    if isinstance(seats, bool) or not isinstance(seats, int | np.integer) or not 1 <= seats <= n_candidates:
        raise UsageError(
            f"seats={seats!r} is not possible with {n_candidates:,} candidate{'s' * (n_candidates != 1)}.",
            fix=f"Give a whole number from 1 to {n_candidates}.",
        )
    return int(seats)


def follow(
    start: State,
    step: Callable[[State], Sequence[State]],
    key: Callable[[State], Hashable],
    committee: Callable[[State], Iterable[int]],
    most: int,
) -> tuple[list[frozenset[int]], bool]:
    """Follow a count through all its ties, depth first; ways that lead to the same state are followed once.

    Parameters
    ----------
    start : State
    step : callable
        The states that may come next, none when the count is over.
    key : callable
        Equal for states that go on alike.
    committee : callable
        Positions of those elected when the count is over.
    most : int
        How many committees to list.

    Returns
    -------
    committees : list of frozensets of positions, in the order found
    complete : bool
        Whether there are no others.
    """
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise UsageError(f"most={most!r} is not possible.", fix="Give the number of tied committees to list.")
    found: dict[frozenset[int], None] = {}
    stack, seen = [start], {key(start)}
    while stack:
        state = stack.pop()
        following = step(state)
        if not following:
            elected = frozenset(committee(state))
            if elected not in found and len(found) == most:
                return list(found), False
            found[elected] = None
        for other in reversed(following):
            mark = key(other)
            if mark not in seen:
                if len(seen) == MOST_STATES:
                    return _some(found, other, step, committee), False
                seen.add(mark)
                stack.append(other)
    return list(found), True


def committee_outcome(
    rule: str,
    candidates: tuple[str, ...],
    committees: Iterable[Iterable[int]],
    complete: bool,
    *,
    scores: tuple[Score, ...] | None = None,
    objective: Score | None = None,
    notes: tuple[str, ...] = (),
) -> CommitteeOutcome:
    """The outcome that lists committees, given by positions, in the order of the candidates."""
    distinct = sorted({tuple(sorted(committee)) for committee in committees})
    named = tuple(tuple(candidates[i] for i in committee) for committee in distinct)
    return CommitteeOutcome(rule, candidates, named, complete, scores, objective, notes)


def listed(names: Sequence[str]) -> str:
    """Names as they stand in a sentence: "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "nobody"


def after(names: Sequence[str]) -> str:
    """How a sentence begins about the way in which these were elected."""
    return f"After {listed(names)}: " if names else "First: "


def settled(tied: Sequence[str], chosen: Sequence[str], what: str) -> str:
    """What becomes of tied candidates, as a sentence; `what` is such as "is elected"."""
    if len(tied) == 1:
        return f"{tied[0]} {what}."
    if len(chosen) > 1:
        return f"{listed(tied)} are tied: each way is followed, in which one of them {what}."
    others = listed([name for name in tied if name != chosen[0]])
    return f"{chosen[0]}, tied with {others}, {what} by the order for ties."


def _some(
    found: dict[frozenset[int], None],
    state: State,
    step: Callable[[State], Sequence[State]],
    committee: Callable[[State], Iterable[int]],
) -> list[frozenset[int]]:
    """The committees found, or else one that this state leads to."""
    while not found:
        following = step(state)
        if not following:
            found[frozenset(committee(state))] = None
        else:
            state = following[0]
    return list(found)
