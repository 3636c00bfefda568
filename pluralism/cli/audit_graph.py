"""A moral graph in `pluralism audit`: its values are the principles, its order is what priorities are held against."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.discretion import PrincipleSet
    from pluralism.elicitation.aggregators.ranking import GraphRanking

__all__ = ["chosen_principles", "elicited_order"]

DEFAULT_SET = "factors"


def chosen_principles(principles: str | None, graph: Path | None) -> PrincipleSet:
    """The set that was named, the values of the graph, or the default.

    Raises
    ------
    UsageError
        If both are named, or one cannot be read.
    """
    from pluralism.discretion import read_principles, values_as_principles
    from pluralism.elicitation.exports.graph_files import read_any_graph

    if graph is None:
        return read_principles(principles or DEFAULT_SET)
    if principles is not None:
        raise UsageError(
            "The values of a graph are the principles.", where="--graph", fix="Leave out --principles, or --graph."
        )
    return values_as_principles(read_any_graph(graph).cards)


def elicited_order(graph: Path, n_bootstrap: int, level: float, seed: int) -> GraphRanking:
    """The graph's values in order, with resamples of its participants where they are known.

    Raises
    ------
    UsageError
        If fewer than two values can be ranked.
    """
    from pluralism.elicitation import aggregate
    from pluralism.elicitation.exports.graph_files import read_any_graph

    made = read_any_graph(graph)
    several = len(getattr(made, "participants", ())) > 1
    ranking = aggregate(made, n_bootstrap=n_bootstrap if several else 0, level=level, rng=seed)
    if (~np.isnan(ranking.scores)).sum() < 2:
        raise UsageError(
            "The graph ranks fewer than two values.", where=f"--graph {graph}", fix="Collect more votes first."
        )
    return ranking
