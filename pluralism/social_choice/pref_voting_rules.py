"""Rules of pref_voting: profiles translated, results as outcomes, its failures as errors that say what to do.

The library takes complete strict ballots, or ballots with ties and gaps, or margins, each rule some of them; winners
come back as a mix of number types, None where a rule gave up, and failures as bare exceptions of many kinds. Here
ballots are checked before, whole counts are reduced to lowest terms, and everything that fails says so by name.
"""

from __future__ import annotations

import inspect
from math import factorial, gcd, prod
from typing import Any

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.social_choice.majority import named
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, Rule, rule

__all__ = ["pref_voting_names", "pref_voting_rule"]

MOST_ORDERS = 10_000
_ALL_ORDERS = ("Ranked Pairs", "River")
LARGEST_COUNT = 2**31 - 1
"""The library adds counts up in 32 bits in places."""


def pref_voting_names() -> tuple[str, ...]:
    """Names of its voting methods that are functions of a profile alone; those that draw at random are left out."""
    return tuple(sorted(_methods()))


def pref_voting_rule(name: str) -> Rule[Outcome]:
    """A voting method of pref_voting by its name there."""
    methods = _methods()
    if name not in methods:
        raise UsageError(
            f"pref_voting has no method {name!r} that can be used here.",
            fix="`external_rules('pref_voting')` lists those there are.",
        )
    method = methods[name]
    seeded = "seed" in inspect.signature(method.vm).parameters

    def counted(profile: Profile, log: Log, **options: Any) -> Outcome:
        if seeded and options.get("seed") is None:
            raise UsageError(f"{name} of pref_voting draws at random.", fix="Pass seed=0, say.")
        given = _translated(profile, name, [kind.value for kind in method.input_types or ()])
        if name in _ALL_ORDERS and _orders_of_equal_majorities(profile) > MOST_ORDERS:
            raise DataError(
                f"{name} of pref_voting tries every order of equal majorities, and here are more than {MOST_ORDERS:,}.",
                fix=f"Use '{name} ZT' of pref_voting, which takes one order, or our 'ranked-pairs', which needs none.",
            )
        log(f"{name} of pref_voting counts a {type(given).__name__}.")
        try:
            found = method(given, **options)
        except Exception as error:
            raise DataError(
                f"{name} of pref_voting failed: {type(error).__name__}: {error}",
                fix="Check the options; some methods need complete ballots without ties, or few candidates.",
            ) from error
        if found is None or not all(isinstance(c, int | np.integer) for c in found):
            raise DataError(f"{name} of pref_voting gave no winners but {found!r}.", fix="Choose another rule.")
        winners = named(profile.candidates, {int(c) for c in found})
        log(f"Winners: {', '.join(winners) or 'nobody'}.")
        notes = () if winners else (f"{name} chooses nobody here.",)
        return Outcome(f"pref_voting:{name}", profile.candidates, winners, notes=notes)

    counted.__doc__ = inspect.getdoc(method.vm)
    return rule(f"pref_voting:{name}", takes=Profile, source="pref_voting (W. H. Holliday and E. Pacuit)")(counted)


def _orders_of_equal_majorities(profile: Profile) -> int:
    """In how many orders they can be taken, ties in both directions."""
    margins = profile.margins[~np.eye(profile.n_candidates, dtype=bool)]
    _, sizes = np.unique(margins[margins >= 0], return_counts=True)
    return prod(factorial(int(size)) for size in sizes)


def _library(module: str) -> Any:
    return require(f"pref_voting.{module}", extra="voting", purpose="A rule of pref_voting")


def _methods() -> dict[str, Any]:
    kind = _library("voting_method").VotingMethod
    found = [entry for entry in vars(_library("voting_methods")).values() if isinstance(entry, kind)]
    usable = [
        method for method in found if method.input_types and not method.vm.__module__.endswith("stochastic_methods")
    ]
    # Some names are given twice; the entry that the library itself registers comes last and stays.
    usable.sort(key=lambda method: not method.skip_registration)
    return {method.name: method for method in usable}


def _translated(profile: Profile, name: str, kinds: list[str]) -> Any:
    """The profile as one of the kinds of input that a method takes."""
    ballots = profile.compressed()
    m = profile.n_candidates
    counts = ballots.counts.tolist()
    unit = gcd(*counts)
    counts = [count // unit for count in counts]
    if sum(counts) > LARGEST_COUNT:
        raise DataError(
            f"pref_voting cannot count {sum(counts):,} units of voters.",
            fix="Give the profile coarser weights: from_utilities(..., units=1000), say.",
        )
    whole = profile.complete and profile.strict
    if "Profile" in kinds and whole:
        orders = np.argsort(ballots.levels, axis=1).tolist()
        return _library("profiles").Profile(orders, rcounts=counts)
    truncated = profile.strict and profile.unlisted == "below"
    if "ProfileWithTies" in kinds or ("TruncatedLinearProfile" in kinds and truncated):
        ranks = [{c: int(level) + 1 for c, level in enumerate(row) if level >= 0} for row in ballots.levels]
        made = _library("profiles_with_ties").ProfileWithTies(ranks, rcounts=counts, candidates=list(range(m)))
        if profile.unlisted == "below":
            made.use_extended_strict_preference()
        return made
    if "MarginGraph" in kinds:
        margins = (ballots.margins // unit).tolist()
        edges = [(a, b, margins[a][b]) for a in range(m) for b in range(m) if margins[a][b] > 0]
        return _library("weighted_majority_graphs").MarginGraph(list(range(m)), edges)
    raise DataError(
        f"{name} of pref_voting counts {' or '.join(kinds)}, and this profile has ties or gaps that these have not.",
        fix="Choose another rule, or make the ballots complete and strict.",
    )
