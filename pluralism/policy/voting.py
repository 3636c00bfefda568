"""Policies by a vote: on each prompt the groups rank the candidates, and a rule of social choice picks."""

from __future__ import annotations

import numpy as np

from pluralism.errors import UsageError
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.catalogue import find_rule
from pluralism.social_choice.outcome import Lottery, Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Rule
from pluralism.social_choice.utilities import Utilities

__all__ = ["by_voting"]


def by_voting(
    utilities: Utilities, rule: Rule[Outcome] | Rule[Lottery] | str, *, tolerance: float = 0.0, units: int = 1_000_000
) -> FinitePolicy:
    """Let the groups vote on the candidates of each prompt, each with the weight of its share.

    Only the order in which a group has the candidates of a prompt counts, so that nothing is compared between groups or
    prompts, and every unit of utility gives the same policy. Tied winners have the probabilities of the reference
    policy, restricted to them; of a lottery the policy is the lottery.

    Parameters
    ----------
    utilities : Utilities
    rule : Rule or str
        A rule that counts a `Profile` and gives winners or a lottery, or its name, such as "schulze".
    tolerance : float
        Candidates that a group values no further apart than this are tied on its ballot.
    units : int
        Whole units into which the shares are apportioned.

    Raises
    ------
    UsageError
        If the rule elects committees, or counts something else than rankings.
    """
    chosen = find_rule(rule) if isinstance(rule, str) else rule
    if chosen.takes is not Profile:
        raise UsageError(
            f"The rule {chosen.name!r} does not count rankings, and rankings are what groups give.",
            fix="Choose a rule of rankings, such as 'borda', 'schulze' or 'maximal-lottery'.",
        )
    log_probs = np.full(utilities.log_reference.shape, -np.inf)
    for x in range(utilities.n_prompts):
        places = np.flatnonzero(utilities.mask[x])
        worth, names = utilities.values[x, places].T, places.tolist()
        ballots = Profile.from_utilities(worth, utilities.shares, candidates=names, tolerance=tolerance, units=units)
        outcome = chosen(ballots)
        if isinstance(outcome, Lottery):
            with np.errstate(divide="ignore"):
                log_probs[x, places] = np.log(outcome.probabilities)
        elif isinstance(outcome, Outcome):
            winners = places[ballots.index(outcome.winners)]
            log_probs[x, winners] = utilities.log_reference[x, winners]
            log_probs[x, winners] -= np.logaddexp.reduce(log_probs[x, winners])
        else:
            raise UsageError(
                f"The rule {chosen.name!r} elects committees, not one candidate.",
                fix="Choose a rule of one winner, such as 'borda' or 'schulze'.",
            )
    return FinitePolicy(log_probs, utilities, chosen.name)
