"""Copeland's method: whoever beats the most others."""

from __future__ import annotations

from fractions import Fraction

from pluralism.errors import UsageError
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import outcome_of_scores

__all__ = ["copeland"]


@rule(
    "copeland",
    takes=Profile,
    source="A. H. Copeland 1951; with a value of ties P. Faliszewski et al., JAIR 2009",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": True,
    },
)
def copeland(profile: Profile, log: Log, *, alpha: int | float | Fraction = Fraction(1, 2)) -> Outcome:
    """The candidates of the highest score: 1 for each rival beaten, `alpha` for each tied with.

    Parameters
    ----------
    alpha : number
        Between 0 and 1; floats count as the decimals they are written with. With 1/2 the order is that of wins less
        losses. The axioms declared are those of 1/2.
    """
    try:
        tie = Fraction(str(alpha))
    except ValueError:
        tie = Fraction(-1)
    if not 0 <= tie <= 1:
        raise UsageError(f"alpha={alpha!r} is not possible.", fix="It is a number between 0 and 1.")
    names = profile.candidates
    wins = (profile.margins > 0).sum(axis=1).tolist()
    ties = ((profile.margins == 0).sum(axis=1) - 1).tolist()
    scores = [won + tie * tied for won, tied in zip(wins, ties, strict=True)]
    for name, won, tied, score in zip(names, wins, ties, scores, strict=True):
        log(
            f"{name} beats {won}, ties with {tied} and loses to {len(names) - 1 - won - tied}: {number(score)} points.",
            candidate=name,
            wins=won,
            ties=tied,
            score=score,
        )
    return outcome_of_scores("copeland", names, scores, log)
