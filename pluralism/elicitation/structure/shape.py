"""The shape of a moral graph: parts, circles and tiers of the majority graph, with which a ranking must live."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import networkx as nx
import numpy as np
import pyarrow as pa

from pluralism.elicitation.aggregators.support import value_components
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.structure.majority import majority_graph
from pluralism.errors import UsageError

__all__ = ["GraphShape", "graph_shape"]


@dataclass(frozen=True, repr=False)
class GraphShape:
    """What the majority graph looks like; arcs lead to values that a majority calls wiser.

    Attributes
    ----------
    ids, titles : tuple of str
    components : tuple of tuples of str
        Values that answers join, the largest first; values of different components are incomparable.
    silent : tuple of str
        Values without any answer.
    strong_components : tuple of tuples of str
        Values of which majorities lead from each to each, two or more: no order of these respects all majorities.
    tiers : tuple of tuples of str
        Strong components counted as one value, layered by the longest way to a value that no majority surpasses: the
        first tier is never surpassed, or only within its own circle.
    circles : tuple of tuples of str
        Simple circles of majorities.
    circles_complete : bool
        Whether all circles are listed.
    sinks, sources : tuple of str
        Values that no majority surpasses, and that surpass none, of those with an arc.
    bridges : tuple of (str, str)
        Pairs whose arc alone joins two parts of the graph.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    components: tuple[tuple[str, ...], ...]
    silent: tuple[str, ...]
    strong_components: tuple[tuple[str, ...], ...]
    tiers: tuple[tuple[str, ...], ...]
    circles: tuple[tuple[str, ...], ...]
    circles_complete: bool
    sinks: tuple[str, ...]
    sources: tuple[str, ...]
    bridges: tuple[tuple[str, str], ...]

    def to_frame(self) -> pa.Table:
        """One row a value: `id, title, component, strong_component, tier, sink, source`; null where there is none."""
        columns: dict[str, Any] = {"id": list(self.ids), "title": list(self.titles)}
        for name, groups in (
            ("component", self.components),
            ("strong_component", self.strong_components),
            ("tier", self.tiers),
        ):
            place = {value: i for i, group in enumerate(groups, 1) for value in group}
            columns[name] = pa.array([place.get(value) for value in self.ids], pa.int64())
        columns["sink"] = [value in self.sinks for value in self.ids]
        columns["source"] = [value in self.sources for value in self.ids]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        names = ("components", "strong_components", "tiers", "circles", "bridges")
        grouped = {name: [list(group) for group in getattr(self, name)] for name in names}
        plain = {name: list(getattr(self, name)) for name in ("silent", "sinks", "sources")}
        return {**grouped, **plain, "circles_complete": self.circles_complete}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        more = "" if self.circles_complete else " or more"
        return (
            f"GraphShape({len(self.ids):,} values in {len(self.components):,} parts, {len(self.silent):,} without "
            f"answers; {len(self.circles):,}{more} circles, {len(self.strong_components):,} strong components, "
            f"{len(self.sinks):,} sinks, {len(self.sources):,} sources, {len(self.bridges):,} bridges)"
        )


def graph_shape(
    graph: MoralGraph | CountedGraph, *, context: str | None = None, most_circles: int = 1000
) -> GraphShape:
    """Look at the majority graph of one context, or of all pooled.

    Parameters
    ----------
    most_circles : int
        Circles that are listed; there may be very many.
    """
    if most_circles < 1:
        raise UsageError(f"most_circles={most_circles!r} is not possible.", fix="Use a whole number of at least 1.")
    majority = majority_graph(graph, context=context)
    counted = majority.graph
    component, _ = value_components(counted)
    made = nx.DiGraph(zip(majority.source.tolist(), majority.wiser.tolist(), strict=True))
    strong = sorted((sorted(part) for part in nx.strongly_connected_components(made)), key=lambda p: (-len(p), p))
    circles = list(islice(nx.simple_cycles(made), most_circles + 1))
    plain = nx.Graph(made)

    parts = [np.flatnonzero(component == k).tolist() for k in range(int(component.max(initial=-1)) + 1)]

    def named(values: Sequence[int]) -> tuple[str, ...]:
        return tuple(counted.ids[v] for v in values)

    return GraphShape(
        ids=counted.ids,
        titles=counted.titles,
        components=tuple(named(part) for part in parts),
        silent=named(np.flatnonzero(component < 0).tolist()),
        strong_components=tuple(named(part) for part in strong if len(part) > 1),
        tiers=tuple(named(tier) for tier in _tiers(made, strong)),
        circles=tuple(sorted((named(circle) for circle in circles[:most_circles]), key=lambda c: (len(c), c))),
        circles_complete=len(circles) <= most_circles,
        sinks=named(sorted(v for v in made if made.out_degree(v) == 0)),
        sources=named(sorted(v for v in made if made.in_degree(v) == 0)),
        bridges=tuple((counted.ids[a], counted.ids[b]) for a, b in sorted(map(sorted, nx.bridges(plain)))),
    )


def _tiers(graph: nx.DiGraph, strong: Sequence[Sequence[int]]) -> list[list[int]]:
    """Values by the longest way from their strong component to one that no arc leaves."""
    condensed = nx.condensation(graph, scc=[set(part) for part in strong])
    height: dict[int, int] = {}
    for node in reversed(list(nx.topological_sort(condensed))):
        height[node] = max((height[after] + 1 for after in condensed.successors(node)), default=0)
    tiers: list[list[int]] = [[] for _ in range(max(height.values(), default=-1) + 1)]
    for node, level in height.items():
        tiers[level] += condensed.nodes[node]["members"]
    return [sorted(tier) for tier in tiers]
