"""Rules that drop candidates in rounds: one count after another, with every way to go on where the last are tied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np

from pluralism.errors import UsageError
from pluralism.social_choice.majority import named
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, explaining

__all__ = ["Count", "Method", "Ties", "as_mask", "elect_by_elimination", "lowest", "together_if_out_of_reach"]

Ties = Literal["parallel", "together"]
"""What happens where several are last: any one of them may leave, and whoever wins in some way wins; or all leave."""

Votes = int | Fraction


@dataclass(frozen=True)
class Count:
    """One count.

    Attributes
    ----------
    votes : sequence of int or Fraction
        Units of each candidate, by its position; those of candidates who have left mean nothing.
    exhausted : int, optional
        Units of ballots that no longer count, where the method knows such.
    memory : object
        What the method wants back at the next count.
    """

    votes: Sequence[Votes]
    exhausted: int | None = None
    memory: Any = None


class Method(Protocol):
    """A way to count and to choose who leaves."""

    def count(self, standing: list[int], before: Count | None) -> Count:
        """Count again, after some of the candidates of the count before have left."""

    def settled(self, standing: list[int], count: Count) -> list[int]:
        """Who wins already, whatever may follow; nobody, if the count goes on."""

    def leaving(self, standing: list[int], count: Count) -> list[list[int]]:
        """Sets of candidates one of which leaves: several where there is a tie."""


def elect_by_elimination(
    name: str, profile: Profile, log: Log, method: Method, *, ties: Ties, most_counts: int, measure: str
) -> Outcome:
    """Count, let the last leave, and count again until one is left.

    Parameters
    ----------
    name : str
        Of the rule.
    profile : Profile
    log : callable
    method : Method
    ties : {"parallel", "together"}
    most_counts : int
        Limit of the counts of different candidates that ties may lead to; one way is followed to its end in any case.
    measure : str
        What is counted, in the plural, for the log.

    Returns
    -------
    Outcome
        The ranking is by when candidates left, and is None where a tie lets the count go on in several ways.
    """
    if ties not in ("parallel", "together"):
        raise UsageError(f"ties={ties!r} is not possible.", fix='Use ties="parallel" or ties="together".')
    if most_counts < 1:
        raise UsageError(f"most_counts={most_counts!r} is not possible.", fix="It is a whole number of at least 1.")
    names = profile.candidates
    standing = list(range(len(names)))
    before: Count | None = None
    left: list[tuple[str, ...]] = []
    while True:
        count = method.count(standing, before)
        ways = [] if len(standing) == 1 else method.leaving(standing, count)
        if len(ways) > 1 and ties == "together":
            ways = [sorted({candidate for way in ways for candidate in way})]
        if ways and len(ways[0]) == len(standing):
            ways = []
        if len(ways) != 1:
            break
        _note_round(profile, log, len(left) + 1, standing, count, measure, ways[0])
        left.append(named(names, ways[0]))
        gone = set(ways[0])
        standing, before = [c for c in standing if c not in gone], count
    if not ways:
        if len(standing) > 1:
            _note_round(profile, log, len(left) + 1, standing, count, measure, [])
        log(f"{', '.join(named(names, standing))} {'is' if len(standing) == 1 else 'are all that are'} left.")
        return Outcome(name, names, named(names, standing), ranking=(named(names, standing), *reversed(left)))
    _note_round(profile, log, len(left) + 1, standing, count, measure, [])
    winners, counts, complete = _parallel(method, standing, before, most_counts)
    tied = sorted({candidate for way in ways for candidate in way})
    log(
        f"{', '.join(named(names, tied))} are tied for leaving: {counts:,} counts follow every way to go on. "
        f"In some of them {', '.join(named(names, winners))} win{'s' if len(winners) == 1 else ''}.",
        tied=named(names, tied),
        counts=counts,
        complete=complete,
    )
    note = f"Ties lead to more than {most_counts:,} counts; of those not made, some may elect other candidates."
    return Outcome(name, names, named(names, winners), notes=() if complete else (note,))


def _parallel(
    method: Method, standing: list[int], before: Count | None, most_counts: int
) -> tuple[list[int], int, bool]:
    """Who wins in some way of breaking ties, how many counts that took, and whether all ways were followed."""
    winners: set[int] = set()
    seen: set[tuple[int, ...]] = set()
    stack = [(tuple(standing), before)]
    while stack:
        key, memory = stack.pop()
        if key in seen or winners.issuperset(key):
            continue
        if len(seen) >= most_counts and winners:
            return sorted(winners), len(seen), False
        seen.add(key)
        here = list(key)
        count = method.count(here, memory)
        won = here if len(here) == 1 else method.settled(here, count)
        ways = [] if won else method.leaving(here, count)
        if ways and len(ways[0]) == len(here):
            won, ways = here, []
        winners.update(won)
        for way in ways:
            gone = set(way)
            stack.append((tuple(c for c in here if c not in gone), count))
    return sorted(winners), len(seen), True


def lowest(standing: list[int], votes: Sequence[Votes]) -> list[int]:
    """Who stands and has the fewest votes."""
    fewest = min(votes[c] for c in standing)
    return [c for c in standing if votes[c] == fewest]


def together_if_out_of_reach(standing: list[int], votes: Sequence[Votes], last: list[int]) -> list[list[int]]:
    """Sets that may leave where `last` are tied: each alone, or one set with all of them that cannot be told apart.

    The lowest candidates whose votes together are fewer than the next one's leave before it in whatever order: none
    of them can catch up even with the votes of all the others. So they leave together.
    """
    if len(last) == 1:
        return [last]
    order = sorted(standing, key=lambda c: (votes[c], c))
    together = sum(votes[c] for c in last)
    for size in range(len(last), len(order)):
        if together < votes[order[size]]:
            return [sorted(order[:size])]
        together += votes[order[size]]
    return [[c] for c in last]


def _note_round(
    profile: Profile, log: Log, turn: int, standing: list[int], count: Count, measure: str, leaving: list[int]
) -> None:
    """A table of the round."""
    if not explaining(log):
        return
    names = profile.candidates
    votes = {c: Fraction(count.votes[c]) / profile.denominator for c in standing}
    order = sorted(standing, key=lambda c: (-votes[c], c))
    shown = order if len(order) <= 12 else order[:10]
    shown += [c for c in leaving if c not in shown]
    wide = max(len(names[c]) for c in shown)
    lines = [f"   {names[c]:<{wide}}  {number(votes[c]):>10}" + ("  leaves" if c in leaving else "") for c in shown]
    rest = [c for c in order if c not in shown]
    if rest:
        lines.append(f"   {len(rest)} others, {number(sum((votes[c] for c in rest), Fraction(0)))} together")
    exhausted = None if count.exhausted is None else Fraction(count.exhausted, profile.denominator)
    if exhausted:
        lines.append(f"   {number(exhausted)} exhausted")
    log(
        "\n".join([f"Round {turn}, {measure}:", *lines]),
        round=turn,
        votes={names[c]: votes[c] for c in order},
        exhausted=exhausted,
        leaves=named(names, leaving),
    )


def as_mask(standing: list[int], n: int) -> np.ndarray:
    """Positions as a mask."""
    mask = np.zeros(n, dtype=bool)
    mask[standing] = True
    return mask
