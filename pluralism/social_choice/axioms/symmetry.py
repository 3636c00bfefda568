"""Axioms of symmetry: names and places of voters and candidates do not matter, and last is not first upside down."""

from __future__ import annotations

import numpy as np

from pluralism.social_choice.axioms.check import AxiomCheck, Chooser, violation
from pluralism.social_choice.committees import listed
from pluralism.social_choice.profile import Profile

__all__ = ["check_anonymity", "check_neutrality", "check_reversal_symmetry"]


def check_anonymity(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """The winners stay if ballots change places, or equal ballots are listed apart."""
    winners = choose(profile)
    for tried in range(tries):
        parts = rng.integers(0, profile.counts + 1)
        rows = rng.permutation(2 * len(profile))
        levels = np.concatenate([profile.levels, profile.levels])[rows]
        counts = np.concatenate([parts, profile.counts - parts])[rows]
        changed = _like(profile, levels, counts)
        if choose(changed) != winners:
            text = "other winners if the same ballots are listed in another order or apart"
            return violation("anonymity", text, (profile, changed), (winners, choose(changed)), tried + 1)
    return AxiomCheck("anonymity", "not_refuted", "the same winners however the ballots are listed", tries)


def check_neutrality(choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    """The winners stay if candidates are listed in another order, and change names as the candidates do."""
    winners = choose(profile)
    for tried in range(tries):
        order = rng.permutation(profile.n_candidates)
        names = [profile.candidates[c] for c in order]
        moved = Profile(names, profile.levels[:, order], profile.counts, profile.denominator, profile.unlisted)
        renamed = Profile(names, profile.levels, profile.counts, profile.denominator, profile.unlisted)
        new_name = dict(zip(profile.candidates, names, strict=True))
        for changed, expected, how in (
            (moved, set(winners), "candidates are listed in another order"),
            (renamed, {new_name[name] for name in winners}, "candidates exchange their names"),
        ):
            if set(choose(changed)) != expected:
                text = f"if {how}, {listed(choose(changed))} instead of {listed(sorted(expected))}"
                return violation("neutrality", text, (profile, changed), (winners, choose(changed)), tried + 1)
    return AxiomCheck("neutrality", "not_refuted", "the same winners whatever they are called and how listed", tries)


def check_reversal_symmetry(choose: Chooser, profile: Profile) -> AxiomCheck:
    """If one candidate wins alone, it does not win when every ballot is turned upside down (Saari and Barney 2003)."""
    winners = choose(profile)
    if len(winners) > 1 or profile.n_candidates == 1:
        return AxiomCheck("reversal_symmetry", "vacuous", "nobody wins alone against others")
    turned = profile.reversed()
    others = choose(turned)
    if winners[0] in others:
        text = f"{winners[0]} wins, and wins also when all ballots are upside down"
        return violation("reversal_symmetry", text, (profile, turned), (winners, others), 1)
    text = f"{winners[0]} wins, and {listed(others)} when all ballots are upside down"
    return AxiomCheck("reversal_symmetry", "holds", text, 1)


def _like(profile: Profile, levels: np.ndarray, counts: np.ndarray) -> Profile:
    return Profile(profile.candidates, levels, counts, profile.denominator, profile.unlisted)
