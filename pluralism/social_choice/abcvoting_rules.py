"""Committee rules of abcvoting: profiles translated, a solver named explicitly, results as outcomes.

Left to itself the library picks the solver that it holds fastest, which may be a commercial one without a licence, and
one of its solvers fails on valid input. Here the choice is among its exact and open ones. Ballots that approve nobody
are refused where all are empty, since rules then differ in whether they list all committees or one of them.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.committees import check_seats
from pluralism.social_choice.majority import named
from pluralism.social_choice.outcome import CommitteeOutcome
from pluralism.social_choice.rule import Log, Rule, rule

__all__ = ["abcvoting_names", "abcvoting_rule"]

SOLVERS = ("standard-fractions", "standard", "branch-and-bound", "pulp-cbc", "ortools-cp", "brute-force")
"""Exact and open solvers, those first that need no further program."""

MOST_VOTERS = 100_000
"""Voters that are listed one by one for a rule that knows no weights."""


def abcvoting_names() -> tuple[str, ...]:
    """Its rules that choose committees of a given size and have one of our `SOLVERS`."""
    rules = _library()
    return tuple(name for name in rules.MAIN_RULE_IDS if set(SOLVERS) & set(rules.Rule(name).algorithms))


def abcvoting_rule(name: str) -> Rule[CommitteeOutcome]:
    """A rule of abcvoting by its identifier there."""
    if name not in abcvoting_names():
        raise UsageError(
            f"abcvoting has no rule {name!r} that can be used here.",
            fix="`external_rules('abcvoting')` lists those there are.",
        )
    found = _library().Rule(name)

    def counted(
        profile: ApprovalProfile,
        log: Log,
        *,
        seats: int,
        algorithm: str | None = None,
        most: int = 100,
        **options: Any,
    ) -> CommitteeOutcome:
        size = check_seats(seats, profile.n_candidates)
        solver = _solver(name, found.algorithms, algorithm)
        log(f"{found.longname} of abcvoting, by {solver}.")
        ties = {} if False not in found.resolute_values else {"resolute": False, "max_num_of_committees": most + 1}
        try:
            given = _translated(profile, weighted=True)
            try:
                committees = found.compute(given, committeesize=size, algorithm=solver, **ties, **options)
            except ValueError as error:
                if "unit weights" not in str(error):
                    raise
                given = _translated(profile, weighted=False)
                committees = found.compute(given, committeesize=size, algorithm=solver, **ties, **options)
        except DataError:
            raise
        except Exception as error:
            raise DataError(
                f"{found.shortname} of abcvoting failed: {type(error).__name__}: {error}",
                fix=f"Try another algorithm of {', '.join(found.algorithms)}, or check the options.",
            ) from error
        listed = sorted(tuple(sorted(int(c) for c in committee)) for committee in committees)
        complete = bool(ties) and len(listed) <= most
        notes = () if ties else ("The rule lists one committee, even where others are tied.",)
        return CommitteeOutcome(
            f"abcvoting:{name}",
            profile.candidates,
            tuple(named(profile.candidates, committee) for committee in listed[:most]),
            complete=complete,
            notes=notes,
        )

    counted.__doc__ = f"{found.longname}: committees of `seats` candidates, by abcvoting."
    return rule(f"abcvoting:{name}", takes=ApprovalProfile, source="abcvoting (M. Lackner et al., JOSS 2023)")(counted)


def _library() -> Any:
    return require("abcvoting.abcrules", extra="voting", purpose="A rule of abcvoting")


def _solver(name: str, known: tuple[str, ...], algorithm: str | None) -> str:
    if algorithm is None:
        return next(solver for solver in SOLVERS if solver in known)
    if algorithm not in known:
        raise UsageError(
            f"{name} of abcvoting has no algorithm {algorithm!r}.", fix=f"Algorithms are {', '.join(known)}."
        )
    return algorithm


def _translated(profile: ApprovalProfile, *, weighted: bool) -> Any:
    """The profile of abcvoting: one voter a ballot with a weight, or one voter for each."""
    ballots = profile.compressed()
    if not ballots.approves.any():
        raise DataError("No ballot approves anybody.", fix="Give at least one approval.")
    preferences = require("abcvoting.preferences", extra="voting", purpose="A rule of abcvoting")
    made = preferences.Profile(profile.n_candidates)
    unit = gcd(*ballots.counts.tolist())
    counts = [count // unit for count in ballots.counts.tolist()]
    if not weighted and sum(counts) > MOST_VOTERS:
        raise DataError(
            f"This rule of abcvoting knows no weights, and {sum(counts):,} voters are too many to list.",
            fix="Choose another rule, or sample voters.",
        )
    for approved, count in zip(ballots.approves, counts, strict=True):
        voters = 1 if weighted else count
        for _ in range(voters):
            made.add_voter(preferences.Voter(np.flatnonzero(approved).tolist(), weight=count if weighted else 1))
    return made
