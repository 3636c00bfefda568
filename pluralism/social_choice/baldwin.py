"""Baldwin's and Nanson's rules: round by round, the lowest Borda scores leave."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pluralism.social_choice.elimination import Count, Ties, elect_by_elimination, lowest
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule

__all__ = ["baldwin", "nanson"]


@rule(
    "baldwin",
    takes=Profile,
    source="J. M. Baldwin 1926; E. M. Niou, A note on Nanson's rule, Public Choice 1987",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": False,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": False,
    },
)
def baldwin(profile: Profile, log: Log, *, ties: Ties = "parallel", most_counts: int = 5_000) -> Outcome:
    """Whoever is left when, round by round, the candidate of the lowest Borda score has left.

    Parameters
    ----------
    ties : {"parallel", "together"}
        Where several are lowest: any of them may leave, and all who win in some way are winners; or all of them leave.
    most_counts : int
        Limit of the counts that ties may lead to; a note says where it was met.
    """
    return elect_by_elimination(
        "baldwin", profile, log, _Baldwin(profile), ties=ties, most_counts=most_counts, measure="Borda scores"
    )


@rule(
    "nanson",
    takes=Profile,
    source="E. J. Nanson, Methods of election, 1882",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": False,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": False,
    },
)
def nanson(profile: Profile, log: Log) -> Outcome:
    """Whoever is left when, round by round, all whose Borda score is below the average have left."""
    return elect_by_elimination(
        "nanson", profile, log, _Nanson(profile), ties="parallel", most_counts=1, measure="Borda scores"
    )


class _Borda:
    """Borda scores among those who stand."""

    def __init__(self, profile: Profile) -> None:
        self._margins, self._total = profile.margins, profile.total

    def count(self, standing: list[int], before: Count | None) -> Count:
        sums = self._margins[np.ix_(standing, standing)].sum(axis=1).tolist()
        votes: list[int | Fraction] = [0] * len(self._margins)
        for c, margin in zip(standing, sums, strict=True):
            votes[c] = Fraction(margin + self._total * (len(standing) - 1), 2)
        return Count(votes)

    def settled(self, standing: list[int], count: Count) -> list[int]:
        return []


class _Baldwin(_Borda):
    def leaving(self, standing: list[int], count: Count) -> list[list[int]]:
        return [[c] for c in lowest(standing, count.votes)]


class _Nanson(_Borda):
    def leaving(self, standing: list[int], count: Count) -> list[list[int]]:
        average = Fraction(self._total * (len(standing) - 1), 2)
        return [[c for c in standing if count.votes[c] < average] or standing]
