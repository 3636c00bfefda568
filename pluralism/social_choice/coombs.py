"""Coombs' rule: round by round, the candidate with the most last places leaves, until one has a majority of firsts."""

from __future__ import annotations

from pluralism.social_choice.elimination import Count, Ties, as_mask, elect_by_elimination, lowest
from pluralism.social_choice.first_places import FirstPlaces
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule

__all__ = ["coombs"]


@rule(
    "coombs",
    takes=Profile,
    source="C. H. Coombs, A Theory of Data, 1964; B. Grofman and S. L. Feld, Electoral Studies 2004",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": False,
        "condorcet_loser": True,
        "smith": False,
        "pareto": True,
        "monotonicity": False,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": False,
    },
)
def coombs(profile: Profile, log: Log, *, ties: Ties = "parallel", most_counts: int = 5_000) -> Outcome:
    """Whoever is first on a majority of ballots when, round by round, those with the most last places have left.

    Of t candidates whom a ballot has first, or last, each gets 1/t of it, exactly. Where unlisted candidates count as
    below, they are last; a ballot that lists nobody who stands has no first place to give.

    Parameters
    ----------
    ties : {"parallel", "together"}
        Where several are last: any of them may leave, and all who win in some way are winners; or all of them leave.
    most_counts : int
        Limit of the counts that ties may lead to; a note says where it was met.
    """
    method = _Coombs(profile)
    return elect_by_elimination(
        "coombs", profile, log, method, ties=ties, most_counts=most_counts, measure="last places as minus"
    )


class _Coombs:
    """Minus last places of those who stand; a majority of first places ends the count."""

    def __init__(self, profile: Profile) -> None:
        self._firsts = FirstPlaces(profile)
        self._lasts = FirstPlaces(profile.reversed())
        self._n = profile.n_candidates

    def count(self, standing: list[int], before: Count | None) -> Count:
        mask = as_mask(standing, self._n)
        places = (None, None) if before is None else before.memory[:2]
        firsts, lasts = self._firsts.count(mask, places[0]), self._lasts.count(mask, places[1])
        return Count([-units for units in lasts.votes], firsts.exhausted, (firsts.place, lasts.place, firsts.votes))

    def settled(self, standing: list[int], count: Count) -> list[int]:
        firsts = count.memory[2]
        cast = sum(firsts[c] for c in standing)
        return [c for c in standing if 2 * firsts[c] > cast]

    def leaving(self, standing: list[int], count: Count) -> list[list[int]]:
        winner = self.settled(standing, count)
        if winner:
            return [[c for c in standing if c not in winner]]
        return [[c] for c in lowest(standing, count.votes)]
