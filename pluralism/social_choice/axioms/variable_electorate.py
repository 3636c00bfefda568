"""Axioms that compare electorates: participation (to vote does not hurt) and reinforcement (two that agree, agree)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int16

from pluralism.social_choice.axioms.changes import amounts, joined
from pluralism.social_choice.axioms.check import AxiomCheck, Chooser, violation
from pluralism.social_choice.committees import listed
from pluralism.social_choice.outcome import number
from pluralism.social_choice.profile import Profile, Unlisted

__all__ = ["check_participation", "check_reinforcement", "prefers"]


def prefers(levels: Int16[np.ndarray, " candidates"], unlisted: Unlisted, some: list[int], others: list[int]) -> bool:
    """Whether a ballot prefers one set of tied winners to another, however ties are broken.

    That is, every one of `some` is at least as good as every one of `others`, and one of them is better (J. S. Kelly,
    Econometrica 1977).
    """
    if unlisted == "ignore" and (levels[[*some, *others]] < 0).any():
        return False
    place = np.where(levels < 0, np.iinfo(np.int16).max, levels)
    better = place[some][:, None] < place[others][None, :]
    as_good = place[some][:, None] <= place[others][None, :]
    return bool(as_good.all() and better.any())


def check_participation(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """No voters who vote alike get winners that they like less than what they would get if they stayed at home.

    Tried are voters of each ballot who stay at home and, at random, new voters who come.
    """
    winners = choose(profile)
    tried = 0
    rows = np.flatnonzero(profile.counts > 0)
    leaving = [(int(row), n) for row in rows for n in amounts(int(profile.counts[row]), profile.denominator, rng)]
    leaving = [leaving[i] for i in rng.permutation(len(leaving)) if leaving[i][1] < profile.total][: (tries + 1) // 2]
    for row, n in leaving:
        counts = profile.counts.copy()
        counts[row] -= n
        fewer = Profile(profile.candidates, profile.levels, counts, profile.denominator, profile.unlisted)
        tried += 1
        if found := _hurt(choose, fewer, profile, row, n, tried):
            return found
    while tried < tries:
        row, n = int(rng.choice(rows)), int(rng.integers(1, profile.total + 1))
        levels = rng.permutation(profile.levels[row]) if rng.random() < 0.8 else profile.levels[row]
        more = joined(profile, Profile(profile.candidates, levels[None], [n], profile.denominator, profile.unlisted))
        tried += 1
        if found := _hurt(choose, profile, more, len(profile), n, tried):
            return found
    return AxiomCheck(
        "participation", "not_refuted", f"{listed(winners)}; nobody tried gained by staying at home", tried
    )


def check_reinforcement(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """If two electorates have winners in common, exactly these win when both vote together.

    Tried are divisions of the voters in two, and unions with others drawn from the same ballots.
    """
    tried = compared = 0
    while tried < tries:
        tried += 1
        part = rng.integers(0, profile.counts + 1)
        if tried % 2:
            first, second, both = _take(profile, part), _take(profile, profile.counts - part), profile
        else:
            levels = rng.permuted(profile.levels, axis=1) if rng.random() < 0.5 else profile.levels
            other = Profile(profile.candidates, levels, part, profile.denominator, profile.unlisted)
            first, second, both = profile, other, joined(profile, other)
        if first.total == 0 or second.total == 0:
            continue
        here, there = choose(first), choose(second)
        common = tuple(name for name in here if name in there)
        if not common:
            continue
        compared += 1
        together = choose(both)
        if together != common:
            text = f"{listed(common)} of two electorates, but {listed(together)} of both together"
            return violation("reinforcement", text, (first, second, both), (here, there, together), tried)
    if not compared:
        return AxiomCheck("reinforcement", "vacuous", "no two electorates tried have winners in common", tried)
    text = f"{compared} pairs of electorates with common winners have these together"
    return AxiomCheck("reinforcement", "not_refuted", text, tried)


def _hurt(choose: Chooser, fewer: Profile, more: Profile, row: int, units: int, tried: int) -> AxiomCheck | None:
    """The violation, if the voters of a row of `more` like the winners of `fewer` better."""
    without, together = choose(fewer), choose(more)
    levels = more.levels[row]
    if not prefers(levels, more.unlisted, more.index(without).tolist(), more.index(together).tolist()):
        return None
    text = (
        f"{number(units / more.denominator)} voters who prefer {listed(without)} to {listed(together)} "
        f"get {listed(together)} because they vote"
    )
    return violation("participation", text, (fewer, more), (without, together), tried)


def _take(profile: Profile, counts: np.ndarray) -> Profile:
    return Profile(profile.candidates, profile.levels, counts, profile.denominator, profile.unlisted)
