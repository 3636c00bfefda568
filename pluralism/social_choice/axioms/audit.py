"""The audit of a rule: all axioms on one profile, and the search for a profile on which a rule violates an axiom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice.axioms.check import AxiomCheck, AxiomReport, Chooser
from pluralism.social_choice.axioms.clones import check_clone_independence
from pluralism.social_choice.axioms.monotonicity import check_monotonicity
from pluralism.social_choice.axioms.single_profile import (
    check_condorcet,
    check_condorcet_loser,
    check_majority,
    check_pareto,
    check_smith,
)
from pluralism.social_choice.axioms.symmetry import check_anonymity, check_neutrality, check_reversal_symmetry
from pluralism.social_choice.axioms.variable_electorate import check_participation, check_reinforcement
from pluralism.social_choice.outcome import Lottery, Outcome
from pluralism.social_choice.profile import Profile, Unlisted
from pluralism.social_choice.rule import AXIOMS, Rule

__all__ = ["audit", "find_counterexample"]

_OF_ONE_PROFILE: dict[str, Callable[[Chooser, Profile], AxiomCheck]] = {
    "majority": check_majority,
    "condorcet": check_condorcet,
    "condorcet_loser": check_condorcet_loser,
    "smith": check_smith,
    "pareto": check_pareto,
    "reversal_symmetry": check_reversal_symmetry,
}

_BY_SEARCH: dict[str, Callable[[Chooser, Profile, np.random.Generator, int], AxiomCheck]] = {
    "anonymity": check_anonymity,
    "neutrality": check_neutrality,
    "monotonicity": check_monotonicity,
    "clone_independence": check_clone_independence,
    "participation": check_participation,
    "reinforcement": check_reinforcement,
}

_OF_WINNERS = ("monotonicity", "participation", "reinforcement")


def audit(
    rule: Rule[Any] | Callable[..., Outcome | Lottery],
    profile: Profile,
    *,
    axioms: Sequence[str] = AXIOMS,
    tries: int = 100,
    rng: RNG = 0,
    **options: Any,
) -> AxiomReport:
    """Which axioms a rule satisfies on a profile, and which it violates, with the profiles that show it.

    Parameters
    ----------
    rule : Rule or callable
        Takes a `Profile` and gives an `Outcome`, or a `Lottery`, of which all that can be drawn count as winners;
        monotonicity, participation and reinforcement are not checked of lotteries.
    profile : Profile
    axioms : sequence of str
        Of the names in `pluralism.social_choice.rule.AXIOMS`.
    tries : int
        Other profiles to compare with, for each axiom that compares profiles.
    rng : int, Generator or None
        Draws them.
    **options
        Passed on to the rule.

    Returns
    -------
    AxiomReport
        An axiom that compares profiles is at best not refuted: the rule may violate it on profiles that were not tried.
    """
    names = _known(axioms)
    choose, generator = Chooser(rule, options), as_generator(rng, "axioms")
    winners = choose(profile)
    return AxiomReport(choose.name, winners, tuple(_check(name, choose, profile, generator, tries) for name in names))


def find_counterexample(
    rule: Rule[Any] | Callable[..., Outcome | Lottery],
    axiom: str,
    *,
    n_candidates: tuple[int, int] = (2, 4),
    n_ballots: tuple[int, int] = (1, 6),
    most_voters: int = 9,
    ties: bool = False,
    truncated: bool = False,
    unlisted: Unlisted = "below",
    profiles: int = 500,
    tries: int = 10,
    rng: RNG = 0,
    **options: Any,
) -> AxiomCheck:
    """Search small random profiles for one on which a rule violates an axiom.

    Parameters
    ----------
    rule : Rule or callable
    axiom : str
    n_candidates, n_ballots : (int, int)
        The fewest and the most candidates, and different ballots.
    most_voters : int
        Voters of one ballot, at most.
    ties, truncated : bool
        Whether ballots may tie candidates, and leave candidates out.
    unlisted : {"below", "ignore"}
    profiles : int
        How many to try.
    tries : int
        Other profiles to compare each with, where the axiom compares.
    rng : int, Generator or None
    **options
        Passed on to the rule.

    Returns
    -------
    AxiomCheck
        With the counterexample, or not refuted; `tried` counts the profiles.
    """
    (name,) = _known([axiom])
    low, high = n_candidates
    if not 1 <= low <= high or not 1 <= n_ballots[0] <= n_ballots[1] or most_voters < 1:
        raise UsageError("Sizes are ranges (fewest, most) from 1.", fix="Give n_candidates=(2, 4), n_ballots=(1, 6).")
    choose, generator = Chooser(rule, options), as_generator(rng, "axioms")
    for tried in range(1, profiles + 1):
        m, n = int(generator.integers(low, high + 1)), int(generator.integers(n_ballots[0], n_ballots[1] + 1))
        levels = generator.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
        if ties:
            levels = levels // generator.integers(1, m + 1, (n, 1))
        if truncated:
            levels = np.where(levels <= generator.integers(0, m, (n, 1)), levels, -1)
        counts = generator.integers(1, most_voters + 1, n)
        profile = Profile("abcdefghijklmnopqrstuvwxyz"[:m] if m <= 26 else range(m), levels, counts, 1, unlisted)
        check = _check(name, choose, profile, generator, tries)
        if check.verdict == "violated":
            return AxiomCheck(name, "violated", check.text, tried, check.counterexample)
    return AxiomCheck(name, "not_refuted", f"{profiles:,} random profiles do not violate it", profiles)


def _known(axioms: Sequence[str]) -> list[str]:
    unknown = [axiom for axiom in axioms if axiom not in AXIOMS]
    if unknown or not axioms:
        raise UsageError(f"There is no axiom {unknown[:1] or axioms}.", fix=f"Choose of {', '.join(AXIOMS)}.")
    return list(axioms)


def _check(name: str, choose: Chooser, profile: Profile, rng: np.random.Generator, tries: int) -> AxiomCheck:
    if name in _OF_ONE_PROFILE:
        return _OF_ONE_PROFILE[name](choose, profile)
    if name in _OF_WINNERS and choose.draws(profile):
        return AxiomCheck(name, "vacuous", "not stated for lotteries, whose probabilities it would have to compare")
    return _BY_SEARCH[name](choose, profile, rng, tries)
