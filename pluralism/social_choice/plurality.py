"""Plurality: the most first places."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pluralism.social_choice.first_places import FirstPlaces
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import named_scores, outcome_of_scores

__all__ = ["plurality"]


@rule(
    "plurality",
    takes=Profile,
    source="H. P. Young, Social choice scoring functions, SIAM J. Appl. Math. 1975",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": False,
        "condorcet_loser": False,
        "smith": False,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": True,
        "reinforcement": True,
        "reversal_symmetry": False,
    },
)
def plurality(profile: Profile, log: Log) -> Outcome:
    """The candidates that the most ballots have first; a ballot with t equal firsts gives each of them 1/t."""
    votes = FirstPlaces(profile).count(np.ones(profile.n_candidates, dtype=bool)).votes
    scores = [Fraction(units) / profile.denominator for units in votes]
    log(f"First places: {named_scores(profile.candidates, scores)}.")
    return outcome_of_scores("plurality", profile.candidates, scores, log)
