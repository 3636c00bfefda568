"""The majority graph: an arc wherever more say "wiser" than say "not", or say it of the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int, Int64

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.uncertainty.edge_posterior import counted_view

__all__ = ["MajorityGraph", "majority_graph"]


@dataclass(frozen=True, eq=False)
class MajorityGraph:
    """Arcs from a value to one that a majority calls wiser.

    Attributes
    ----------
    graph : CountedGraph
        All contexts pooled, or one.
    source, wiser : int arrays of shape (arcs,)
    votes : int array of shape (arcs,)
        Net votes: upgrade, less no_upgrade, less upgrade votes on the way back; above 0.
    """

    graph: CountedGraph
    source: Int[np.ndarray, " arcs"]
    wiser: Int[np.ndarray, " arcs"]
    votes: Int64[np.ndarray, " arcs"]

    def __len__(self) -> int:
        return len(self.source)


def majority_graph(graph: MoralGraph | CountedGraph, *, context: str | None = None) -> MajorityGraph:
    """The majority graph of one context, or of all pooled."""
    counted = counted_view(graph, context=context)
    net = np.rint(counted.upgrade - counted.no_upgrade - counted.backwards()).astype(np.int64)
    arcs = net > 0
    return MajorityGraph(counted, counted.source[arcs], counted.wiser[arcs], net[arcs])
