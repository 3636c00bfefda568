"""Monotonicity: to raise a winner on some ballots does not make it lose."""

from __future__ import annotations

from itertools import islice

import numpy as np

from pluralism.social_choice.axioms.changes import Change, lifts, with_changed_ballots
from pluralism.social_choice.axioms.check import AxiomCheck, Chooser, violation
from pluralism.social_choice.committees import listed
from pluralism.social_choice.outcome import number
from pluralism.social_choice.profile import Profile

__all__ = ["check_monotonicity"]


def check_monotonicity(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """A winner that some voters raise, leaving the order of the others as it is, still wins.

    Tried are, for each winner, changes of one ballot and of several at random.
    """
    winners = choose(profile)
    tried = 0
    for name in winners:
        candidate = profile.candidates.index(name)
        every = list(lifts(profile, candidate, rng))
        if not every:
            continue
        share = -(-tries // len(winners))
        singles = [[every[i]] for i in rng.permutation(len(every))[: (share + 1) // 2]]
        several = [_several(every, rng) for _ in range(share - len(singles))]
        for changes in islice((*singles, *several), share):
            changed = with_changed_ballots(profile, changes)
            others = choose(changed)
            tried += 1
            if name not in others:
                units = sum(part for _, part, _ in changes)
                voters = number(units / profile.denominator)
                text = f"{name} wins, but loses to {listed(others)} if {voters} voters raise {name}"
                return violation("monotonicity", text, (profile, changed), (winners, others), tried)
    if not tried:
        return AxiomCheck("monotonicity", "vacuous", "no winner can be raised on any ballot")
    return AxiomCheck("monotonicity", "not_refuted", f"{listed(winners)} still won whenever raised", tried)


def _several(every: list[Change], rng: np.random.Generator) -> list[Change]:
    """Changes of several different ballots."""
    chosen: dict[int, Change] = {}
    for i in rng.permutation(len(every))[: int(rng.integers(2, 6))]:
        chosen.setdefault(every[i][0], every[i])
    return list(chosen.values())
