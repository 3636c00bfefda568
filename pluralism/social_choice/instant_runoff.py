"""Instant run-off (the alternative vote): the candidate with the fewest first places leaves, round by round."""

from __future__ import annotations

from pluralism.social_choice.elimination import (
    Count,
    Ties,
    as_mask,
    elect_by_elimination,
    lowest,
    together_if_out_of_reach,
)
from pluralism.social_choice.first_places import FirstPlaces
from pluralism.social_choice.outcome import Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule

__all__ = ["instant_runoff"]


@rule(
    "instant-runoff",
    takes=Profile,
    source="T. Hare 1859; W. R. Ware 1871; all ways to break ties as V. Conitzer, M. Rognlie and L. Xia, IJCAI 2009",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": False,
        "condorcet_loser": True,
        "smith": False,
        "pareto": True,
        "monotonicity": False,
        "clone_independence": True,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": False,
    },
)
def instant_runoff(profile: Profile, log: Log, *, ties: Ties = "parallel", most_counts: int = 5_000) -> Outcome:
    """Whoever is left when, round by round, the candidate with the fewest first places has left.

    A ballot goes to the candidate it has first of those still standing; where it has t of them first, each gets 1/t,
    exactly. A ballot that lists nobody who stands is exhausted.

    Parameters
    ----------
    ties : {"parallel", "together"}
        Where several are last: any of them may leave, and all who win in some way are winners; or all of them leave.
        Candidates who cannot catch up with the next, even with each other's votes, leave together either way.
    most_counts : int
        Limit of the counts that ties may lead to; a note says where it was met.
    """
    method = _InstantRunoff(profile)
    return elect_by_elimination(
        "instant-runoff", profile, log, method, ties=ties, most_counts=most_counts, measure="first places"
    )


class _InstantRunoff:
    """First places of those who stand; the fewest leave."""

    def __init__(self, profile: Profile) -> None:
        self._firsts = FirstPlaces(profile)
        self._n = profile.n_candidates

    def count(self, standing: list[int], before: Count | None) -> Count:
        tally = self._firsts.count(as_mask(standing, self._n), None if before is None else before.memory)
        return Count(tally.votes, tally.exhausted, tally.place)

    def settled(self, standing: list[int], count: Count) -> list[int]:
        cast = sum(count.votes[c] for c in standing)
        return standing if cast == 0 else [c for c in standing if 2 * count.votes[c] > cast]

    def leaving(self, standing: list[int], count: Count) -> list[list[int]]:
        return together_if_out_of_reach(standing, count.votes, lowest(standing, count.votes))
