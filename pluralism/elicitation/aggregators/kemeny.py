"""Kemeny on the answers: an order with which people disagree on the fewest pairs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pluralism.elicitation.aggregators.aggregator import Note, Scores, aggregator
from pluralism.elicitation.aggregators.support import (
    Denial,
    judged_values,
    pair_profile,
    relation_scores,
    support_matrices,
)
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.random import RNG
from pluralism.social_choice.kemeny import kemeny_consensus

__all__ = ["kemeny"]


@aggregator("kemeny", source="J. G. Kemeny, Daedalus 88 (1959)")
def kemeny(
    graph: CountedGraph,
    counts: np.ndarray,
    note: Note,
    *,
    no_upgrade: Denial = "source",
    exact_up_to: int = 12,
    starts: int = 20,
    ties: RNG = 0,
) -> Scores:
    """How many values each is above, less how many are above it, by the majorities that a best order keeps.

    Majorities that lie on no circle are all kept. Within each part of values that circles join, a Kemeny order says
    which to give up: exactly for up to `exact_up_to` values, by local search beyond (`optimal` in the details says
    whether it is proved best). Values that no chain of kept majorities joins are not ordered by this.

    Parameters
    ----------
    no_upgrade : {"source", "tie"}
    exact_up_to : int
        At most 26.
    starts : int
        Starts of the local search.
    ties : int or Generator
        Of the random starts.
    """
    scores = []
    for draw, wins in enumerate(support_matrices(graph, counts, no_upgrade)):
        kept, given_up, optimal = _kept_majorities(wins, exact_up_to, starts, ties)
        scores.append(relation_scores(_closure(kept)))
        if draw == 0:
            note("given_up_majorities", int((given_up > 0).sum()))
            note("given_up_votes", int(given_up.sum()))
            note("optimal", optimal)
    return Scores(np.where(judged_values(graph, counts), np.stack(scores), np.nan))


def _kept_majorities(
    wins: Int64[np.ndarray, "values values"], exact_up_to: int, starts: int, ties: RNG
) -> tuple[Bool[np.ndarray, "values values"], Int64[np.ndarray, "values values"], bool]:
    """Majorities without circles; the margins of those given up; whether no order gives up less."""
    margins = wins - wins.T
    kept, given_up, optimal = margins > 0, np.zeros_like(margins), True
    count, part = connected_components(csr_array(kept), directed=True, connection="strong")
    for label in np.flatnonzero(np.bincount(part, minlength=count) > 1):
        members = np.flatnonzero(part == label)
        inside = np.ix_(members, members)
        profile = pair_profile(wins[inside])
        found = kemeny_consensus(profile, most=1, exact_up_to=exact_up_to, starts=starts, rng=ties)
        place = np.empty(len(members), dtype=np.int64)
        place[[int(name) for name in found.rankings[0]]] = np.arange(len(members))
        against = kept[inside] & (place[:, None] > place[None, :])
        given_up[inside] = np.where(against, margins[inside], 0)
        kept[inside] &= ~against
        optimal &= found.optimal
    return kept, given_up, optimal


def _closure(above: Bool[np.ndarray, "values values"]) -> Bool[np.ndarray, "values values"]:
    """Whom each value is above directly or by way of others."""
    reached = above.copy()
    while True:
        further = reached | ((reached.astype(np.float32) @ reached.astype(np.float32)) > 0)
        if np.array_equal(further, reached):
            return reached
        reached = further
