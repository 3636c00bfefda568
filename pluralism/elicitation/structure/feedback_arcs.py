"""The fewest votes that must be set aside for the majority graph to have no circle.

Within each strong component the arcs to remove are a minimum-weight feedback arc set: a set cover of circles, solved as
an integer program to which violated circles are added until none is left. Where that takes too long, a greedy order
gives a set and the linear relaxation a lower bound.

References
----------
P. Eades, X. Lin, W. F. Smyth, A fast and effective heuristic for the feedback arc set problem, IPL 47 (1993).
A. Baharev et al., An exact method for the minimum feedback arc set problem, JEA 26 (2021).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Int, Int64
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.structure.majority import majority_graph
from pluralism.errors import UsageError

__all__ = ["FeedbackArcs", "feedback_arcs", "minimum_feedback_arcs"]


@dataclass(frozen=True, repr=False)
class FeedbackArcs:
    """Arcs whose removal leaves no circle.

    Attributes
    ----------
    arcs : tuple of (source id, wiser id, votes)
    votes : int
        Net votes that the removal overrules.
    lower_bound : int
        No set of arcs overrules fewer.
    total_votes : int
        Net votes of all arcs.
    """

    arcs: tuple[tuple[str, str, int], ...]
    votes: int
    lower_bound: int
    total_votes: int

    @property
    def optimal(self) -> bool:
        """Whether the set is proved to be the cheapest."""
        return self.votes == self.lower_bound

    def to_frame(self) -> pa.Table:
        """Columns `source, wiser, votes`."""
        kinds = {"source": pa.large_string(), "wiser": pa.large_string(), "votes": pa.int64()}
        return pa.table({name: pa.array([arc[k] for arc in self.arcs], kinds[name]) for k, name in enumerate(kinds)})

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "arcs": self.to_frame().to_pylist(),
            "votes": self.votes,
            "lower_bound": self.lower_bound,
            "total_votes": self.total_votes,
            "optimal": self.optimal,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        proof = "" if self.optimal else f"; at least {self.lower_bound:,}"
        return f"FeedbackArcs({len(self.arcs):,} arcs, {self.votes:,} of {self.total_votes:,} net votes{proof})"


def feedback_arcs(
    graph: MoralGraph | CountedGraph, *, context: str | None = None, seconds: float = 10.0
) -> FeedbackArcs:
    """The cheapest arcs to set aside so that the majority graph has no circle.

    Parameters
    ----------
    context : str, optional
        Of one context; left out, of all pooled.
    seconds : float
        After which the search gives what it has, with a bound.
    """
    if not seconds > 0:
        raise UsageError(f"seconds={seconds!r} is not possible.", fix="Use a number above 0.")
    majority = majority_graph(graph, context=context)
    removed, bound = minimum_feedback_arcs(majority.source, majority.wiser, majority.votes, seconds=seconds)
    ids = majority.graph.ids
    arcs = tuple(
        (ids[majority.source[arc]], ids[majority.wiser[arc]], int(majority.votes[arc]))
        for arc in np.flatnonzero(removed)
    )
    return FeedbackArcs(arcs, int(majority.votes[removed].sum()), bound, int(majority.votes.sum()))


def minimum_feedback_arcs(
    tail: Int[np.ndarray, " arcs"],
    head: Int[np.ndarray, " arcs"],
    weight: Int64[np.ndarray, " arcs"],
    *,
    seconds: float,
) -> tuple[Bool[np.ndarray, " arcs"], int]:
    """Which arcs to remove, and a lower bound of the weight of any such set.

    Parameters
    ----------
    tail, head : int arrays of shape (arcs,)
    weight : int array of shape (arcs,)
        Above 0.
    seconds : float
    """
    removed = np.zeros(len(tail), dtype=bool)
    if not len(tail):
        return removed, 0
    n = int(max(tail.max(), head.max())) + 1
    graph = csr_array((np.ones(len(tail)), (tail, head)), shape=(n, n))
    _, part = connected_components(graph, directed=True, connection="strong")
    inside = part[tail] == part[head]
    end = time.monotonic() + seconds
    bound = 0
    for label in np.unique(part[tail[inside]]):
        arcs = np.flatnonzero(inside & (part[tail] == label))
        chosen, least = _of_component(tail[arcs], head[arcs], weight[arcs], end)
        removed[arcs[chosen]] = True
        bound += least
    return removed, bound


def _of_component(
    tail: Int[np.ndarray, " arcs"], head: Int[np.ndarray, " arcs"], weight: Int64[np.ndarray, " arcs"], end: float
) -> tuple[Bool[np.ndarray, " arcs"], int]:
    """As `minimum_feedback_arcs`, for one strong component."""
    nodes, codes = np.unique(np.concatenate([tail, head]), return_inverse=True)
    a, b = codes[: len(tail)], codes[len(tail) :]
    best = _greedy(a, b, weight, len(nodes))
    circles = _circles(a, b, np.zeros(len(a), dtype=bool), len(nodes))
    bound = 0
    while True:
        left = end - time.monotonic()
        if left <= 0:
            return best, min(bound, int(weight[best].sum()))
        rows = csr_array(
            (
                np.ones(sum(map(len, circles))),
                (np.repeat(np.arange(len(circles)), [len(c) for c in circles]), np.concatenate(circles)),
            ),
            shape=(len(circles), len(a)),
        )
        result = milp(
            weight.astype(np.float64),
            integrality=np.ones(len(a), dtype=np.int64),
            bounds=Bounds(0, 1),
            constraints=LinearConstraint(rows, lb=np.ones(len(circles))),
            options={"time_limit": left},
        )
        dual = getattr(result, "mip_dual_bound", None)
        if dual is not None and math.isfinite(dual):
            bound = max(bound, math.ceil(dual - 1e-6))
        if result.x is None or not result.success:
            return best, min(bound, int(weight[best].sum()))
        chosen = result.x > 0.5
        fresh = _circles(a, b, chosen, len(nodes))
        if not fresh:
            return chosen, int(weight[chosen].sum())
        circles += fresh


def _circles(
    tail: Int[np.ndarray, " arcs"], head: Int[np.ndarray, " arcs"], removed: Bool[np.ndarray, " arcs"], n: int
) -> list[list[int]]:
    """A shortest circle through each arc that is still on one, as lists of arcs; each circle once."""
    leaving: list[list[int]] = [[] for _ in range(n)]
    for arc in np.flatnonzero(~removed).tolist():
        leaving[tail[arc]].append(arc)
    found: dict[frozenset[int], list[int]] = {}
    for arc in np.flatnonzero(~removed).tolist():
        way = _shortest(leaving, head, int(head[arc]), int(tail[arc]))
        if way is not None:
            circle = [arc, *way]
            found.setdefault(frozenset(circle), circle)
    return list(found.values())


def _shortest(
    leaving: Sequence[Sequence[int]], head: Int[np.ndarray, " arcs"], start: int, goal: int
) -> list[int] | None:
    """Arcs of a shortest way, by breadth first."""
    came: dict[int, int] = {start: -1}
    before: dict[int, int] = {}
    queue = [start]
    for node in queue:
        if node == goal:
            way = []
            while came[node] >= 0:
                way.append(came[node])
                node = before[node]
            return way[::-1]
        for arc in leaving[node]:
            target = int(head[arc])
            if target not in came:
                came[target], before[target] = arc, node
                queue.append(target)
    return None


def _greedy(
    tail: Int[np.ndarray, " arcs"], head: Int[np.ndarray, " arcs"], weight: Int64[np.ndarray, " arcs"], n: int
) -> Bool[np.ndarray, " arcs"]:
    """Arcs that lead backwards in the order of Eades, Lin and Smyth."""
    left = set(range(n))
    first: list[int] = []
    last: list[int] = []
    alive = np.ones(len(tail), dtype=bool)
    while left:
        outgoing = np.bincount(tail[alive], weight[alive], n)
        incoming = np.bincount(head[alive], weight[alive], n)
        sinks = [v for v in left if outgoing[v] == 0]
        sources = [v for v in left if incoming[v] == 0 and v not in sinks]
        if sinks or sources:
            last = sinks + last
            first += sources
            gone = set(sinks) | set(sources)
        else:
            gone = {max(left, key=lambda v: (outgoing[v] - incoming[v], -v))}
            first += gone
        left -= gone
        alive &= ~(np.isin(tail, list(gone)) | np.isin(head, list(gone)))
    place = np.empty(n, dtype=np.int64)
    place[first + last] = np.arange(n)
    return place[tail] > place[head]
