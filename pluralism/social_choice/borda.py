"""The Borda count: a candidate's score is how often it is ranked above others."""

from __future__ import annotations

from fractions import Fraction

from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores, outcome_of_scores

__all__ = ["borda"]


@rule(
    "borda",
    takes=Profile,
    source="J.-C. de Borda 1784; ties as H. P. Young, JET 1974",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": False,
        "condorcet": False,
        "condorcet_loser": True,
        "smith": False,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": True,
        "reinforcement": True,
        "reversal_symmetry": True,
    },
)
def borda(profile: Profile, log: Log) -> Outcome:
    """The candidates of the highest Borda score.

    A ballot gives a candidate one point for each that it ranks below, and half a point for each that it ties with or
    does not compare, so that a complete strict ballot gives m - 1, ..., 1, 0.
    """
    full = profile.total * (profile.n_candidates - 1)
    units = [Fraction(int(margin) + full, 2 * profile.denominator) for margin in profile.margins.sum(axis=1)]
    log(f"Each ballot gives a point for every candidate ranked below: {named_scores(profile.candidates, units)}.")
    return outcome_of_scores("borda", profile.candidates, units, log)
