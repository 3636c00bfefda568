"""Split Cycle: a majority counts unless it is the weakest of a cycle."""

from __future__ import annotations

import numpy as np

from pluralism.social_choice.majority import Strength, link_strengths, named, ranking_of_relation, voters
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.pairwise_kernels import widest_paths
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, explaining, rule

__all__ = ["split_cycle", "undefeated"]


def undefeated(links: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Who defeats whom under Split Cycle, and who is defeated by nobody.

    Parameters
    ----------
    links : int64 array of shape (candidates, candidates)
        Strengths of majorities, 0 where there is none.

    Returns
    -------
    defeats : bool array of shape (candidates, candidates)
    free : bool array of shape (candidates,)
    """
    # A majority is a weakest one of some cycle just where a path leads back that is no weaker.
    defeats = links > widest_paths(links).T
    np.fill_diagonal(defeats, False)
    return defeats, ~defeats.any(axis=0)


@rule(
    "split-cycle",
    takes=Profile,
    source="W. H. Holliday and E. Pacuit, Split Cycle, Public Choice 2023",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": True,
        "smith": True,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": True,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": True,
    },
)
def split_cycle(profile: Profile, log: Log, *, strength: Strength = "margins") -> Outcome:
    """The candidates whom nobody defeats; often several.

    A candidate defeats another that it beats, unless that majority is the weakest, or one of the weakest, of a cycle.

    Parameters
    ----------
    strength : {"margins", "winning_votes"}
        How strong a majority is. The source takes margins.
    """
    names = profile.candidates
    links = link_strengths(profile, strength)
    defeats, free = undefeated(links)
    if explaining(log):
        _note_majorities(profile, log, links, defeats)
    winners = named(names, np.flatnonzero(free).tolist())
    log(f"Nobody defeats {', '.join(winners)}.")
    return Outcome("split-cycle", names, winners, ranking=ranking_of_relation(names, defeats))


def _note_majorities(profile: Profile, log: Log, links: np.ndarray, defeats: np.ndarray) -> None:
    names = profile.candidates
    for a, b in zip(*np.nonzero(links), strict=True):
        strength = voters(profile, links[a, b])
        kept = bool(defeats[a, b])
        log(
            f"{names[a]} beats {names[b]} by {number(strength)}"
            + (" and defeats it." if kept else ", the weakest majority of a cycle: it is discarded."),
            winner=names[a],
            loser=names[b],
            strength=strength,
            defeats=kept,
        )
