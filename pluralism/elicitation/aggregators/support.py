"""Answers as support of one value over another, as ballots on pairs, and relations as scores."""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Int64

from pluralism.data.graph import components
from pluralism.elicitation.aggregators.aggregator import check_option
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.social_choice import Profile

__all__ = [
    "Denial",
    "centred",
    "judged_values",
    "pair_profile",
    "relation_scores",
    "support_matrices",
    "value_components",
]

Denial = Literal["source", "tie"]
"""What "no, it is not wiser" says: that the first value is the wiser one, or no more than that neither is."""


def support_matrices(
    graph: CountedGraph, counts: np.ndarray, no_upgrade: Denial = "source"
) -> Int64[np.ndarray, "draws values values"]:
    """How many ballots call the row's value wiser than the column's, in each draw.

    Parameters
    ----------
    counts : array of shape (draws, edges, 3)
        Whole numbers.
    no_upgrade : {"source", "tie"}
    """
    check_option("no_upgrade", no_upgrade, ("source", "tie"))
    whole = np.rint(counts).astype(np.int64)
    out = np.zeros((len(counts), graph.n_values, graph.n_values), dtype=np.int64)
    draws = np.arange(len(counts))[:, None]
    np.add.at(out, (draws, graph.wiser[None], graph.source[None]), whole[:, :, 0])
    if no_upgrade == "source":
        np.add.at(out, (draws, graph.source[None], graph.wiser[None]), whole[:, :, 1])
    return out


def judged_values(graph: CountedGraph, counts: np.ndarray) -> Bool[np.ndarray, "draws values"]:
    """Which values have an answer in each draw."""
    judged = counts.sum(axis=2) > 0
    draw, edge = np.nonzero(judged)
    out = np.zeros((len(counts), graph.n_values), dtype=bool)
    for ends in (graph.source, graph.wiser):
        out[draw, ends[edge]] = True
    return out


def pair_profile(support: Int64[np.ndarray, "values values"]) -> Profile:
    """Ballots that each rank one pair and compare nothing else; candidates are "0", "1", ...

    Their support matrix is the one given, so that every rule that counts pairs can be asked. Values without any support
    are candidates too.
    """
    winner, loser = np.nonzero(support)
    levels = np.full((len(winner), len(support)), -1, dtype=np.int16)
    rows = np.arange(len(winner))
    levels[rows, winner] = 0
    levels[rows, loser] = 1
    return Profile(range(len(support)), levels, support[winner, loser], unlisted="ignore")


def relation_scores(above: Bool[np.ndarray, "values values"]) -> Float[np.ndarray, " values"]:
    """How many values each is above, less how many are above it; for an order of all, this is that order."""
    return (above.sum(axis=1) - above.sum(axis=0)).astype(np.float64)


def value_components(graph: CountedGraph) -> tuple[Int[np.ndarray, " values"], Int[np.ndarray, " values"]]:
    """Component of each value in the graph of answers (-1 for values without one), and answers on it."""
    answered = graph.counts.sum(axis=1)
    seen = answered > 0
    votes = np.bincount(graph.source, answered, graph.n_values) + np.bincount(graph.wiser, answered, graph.n_values)
    part = components(graph.source[seen], graph.wiser[seen], graph.n_values).astype(np.int64)
    return np.where(votes > 0, part, -1), votes.astype(np.int64)


def centred(
    scores: Float[np.ndarray, "draws values"], component: Int[np.ndarray, " values"]
) -> Float[np.ndarray, "draws values"]:
    """Scores with mean 0 over the values of each component, between which their level means nothing."""
    out = scores.copy()
    for label in range(int(component.max(initial=-1)) + 1):
        members = component == label
        out[:, members] -= out[:, members].mean(axis=1, keepdims=True)
    return out
