"""Minimax (Simpson and Kramer): whose worst defeat is the smallest."""

from __future__ import annotations

from typing import Literal

import numpy as np

from pluralism.social_choice.majority import link_strengths, voters
from pluralism.social_choice.outcome import Outcome, number
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Log, rule
from pluralism.social_choice.scores import outcome_of_scores

__all__ = ["minimax"]


@rule(
    "minimax",
    takes=Profile,
    source="P. B. Simpson, QJE 1969; G. H. Kramer, JET 1977",
    axioms={
        "anonymity": True,
        "neutrality": True,
        "majority": True,
        "condorcet": True,
        "condorcet_loser": False,
        "smith": False,
        "pareto": True,
        "monotonicity": True,
        "clone_independence": False,
        "participation": False,
        "reinforcement": False,
        "reversal_symmetry": False,
    },
)
def minimax(
    profile: Profile, log: Log, *, strength: Literal["margins", "winning_votes", "opposition"] = "margins"
) -> Outcome:
    """The candidates whose worst pairwise result is the least bad.

    Parameters
    ----------
    strength : {"margins", "winning_votes", "opposition"}
        How bad a result is: by how many voters the rival is ahead (less than nothing where it is behind); how many
        rank the rival above, where that is a majority; how many do, majority or not. All agree where every ballot is
        complete and without ties, except that of two or more unbeaten candidates "winning_votes" ties all. With
        "opposition" a Condorcet winner may lose where ballots have ties.
    """
    names = profile.candidates
    if strength == "margins":
        against = profile.margins.T.copy()
    elif strength == "opposition":
        against = profile.support.T.copy()
    else:
        against = link_strengths(profile, strength).T
    if len(names) == 1:
        return outcome_of_scores("minimax", names, [0], log)
    np.fill_diagonal(against, np.iinfo(np.int64).min)
    rival = against.argmax(axis=1)
    scores = [-voters(profile, against[i, rival[i]]) for i in range(len(names))]
    for i, name in enumerate(names):
        log(
            f"The worst result of {name} is against {names[rival[i]]}: {number(-scores[i])}.",
            candidate=name,
            rival=names[rival[i]],
            against=-scores[i],
        )
    return outcome_of_scores("minimax", names, scores, log)
