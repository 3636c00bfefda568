"""Schulze's method: who has the stronger chain of majorities to whom."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from pluralism.social_choice.majority import Strength, link_strengths, named, ranking_of_relation, voters
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.pairwise_kernels import widest_paths
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, explaining, rule

__all__ = ["schulze"]


@rule(
    "schulze",
    takes=Profile,
    source="M. Schulze, A new monotonic, clone-independent, reversal symmetric, and condorcet-consistent method, 2011",
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
def schulze(profile: Profile, log: Log, *, strength: Strength = "margins") -> Outcome:
    """The candidates to whom nobody has a stronger path than they have back.

    A path leads along majorities and is as strong as the weakest of them.

    Parameters
    ----------
    strength : {"margins", "winning_votes"}
        How strong a majority is. The two agree where every ballot is complete and without ties.
    """
    names = profile.candidates
    paths = widest_paths(link_strengths(profile, strength))
    np.fill_diagonal(paths, 0)
    ahead = paths > paths.T
    log("A path is as strong as the weakest majority on it.", strength=strength)
    if explaining(log):
        _note_paths(profile, log, paths)
    winners = named(names, np.flatnonzero(~ahead.any(axis=0)).tolist())
    log(f"Nobody is ahead of {', '.join(winners)}.")
    return Outcome("schulze", names, winners, ranking=ranking_of_relation(names, ahead))


def _note_paths(profile: Profile, log: Log, paths: Int64[np.ndarray, "candidates candidates"]) -> None:
    names = profile.candidates
    for a, b in zip(*np.nonzero(paths > paths.T), strict=True):
        there, back = voters(profile, paths[a, b]), voters(profile, paths[b, a])
        log(
            f"{names[a]} is ahead of {names[b]}: its strongest path has {number(there)}, the one back {number(back)}.",
            ahead=names[a],
            behind=names[b],
            strongest=there,
            back=back,
        )
