"""The shape of a tournament of principles: what is comparable, what runs in circles, and what stands above what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Tournament", "contest_components"]


@dataclass(frozen=True, repr=False)
class Tournament:
    """Components, circles and condensation.

    Attributes
    ----------
    components : tuple of tuples of str
        Principles joined by conflicts, the largest part first; those of different parts cannot be compared.
    uncontested : tuple of str
        Principles that were in no conflict that was decided.
    circles : tuple of tuples of str
        Three principles each of which beats the next.
    tiers : tuple of tuples of str
        The condensation of the majority arcs in topological order: each circle of principles is one tier, and no arc
        leads upwards. Tiers of different components stand in no order.
    """

    components: tuple[tuple[str, ...], ...]
    uncontested: tuple[str, ...]
    circles: tuple[tuple[str, ...], ...]
    tiers: tuple[tuple[str, ...], ...]

    @classmethod
    def of(
        cls, graph: nx.DiGraph, principles: Sequence[str], games: Float[np.ndarray, "principles principles"]
    ) -> Tournament:
        """Of the majority arcs and the conflicts that were decided."""
        import networkx as nx

        label = contest_components(games)
        parts = [
            tuple(name for name, own in zip(principles, label, strict=True) if own == part)
            for part in range(int(label.max(initial=-1)) + 1)
        ]
        alone = tuple(name for name, own in zip(principles, label, strict=True) if own < 0)
        place = {name: k for k, name in enumerate(principles)}
        beats = nx.to_numpy_array(graph, nodelist=list(principles), weight=None) > 0
        circles = []
        for i, j in np.argwhere(beats):
            for k in np.flatnonzero(beats[j] & beats[:, i]):
                if i < j and i < k:
                    circles.append((principles[int(i)], principles[int(j)], principles[int(k)]))
        condensed = nx.condensation(graph.subgraph([name for name in principles if name not in alone]))
        order = nx.lexicographical_topological_sort(
            condensed, key=lambda node: min(place[name] for name in condensed.nodes[node]["members"])
        )
        tiers = tuple(tuple(sorted(condensed.nodes[node]["members"], key=place.__getitem__)) for node in order)
        return cls(tuple(parts), alone, tuple(circles), tiers)

    def to_frame(self) -> pa.Table:
        """Columns `principle, component, tier`; null where it was not contested."""
        component = {name: k for k, part in enumerate(self.components) for name in part}
        tier = {name: k for k, members in enumerate(self.tiers) for name in members}
        names = [*component, *self.uncontested]
        return pa.table(
            {
                "principle": names,
                "component": [component.get(name) for name in names],
                "tier": [tier.get(name) for name in names],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return {
            "components": [list(part) for part in self.components],
            "uncontested": list(self.uncontested),
            "circles": [list(circle) for circle in self.circles],
            "tiers": [list(tier) for tier in self.tiers],
        }

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def __repr__(self) -> str:
        parts = f"{len(self.components)} component{'s' * (len(self.components) != 1)}"
        circles = f"{len(self.circles)} circle{'s' * (len(self.circles) != 1)}"
        return f"Tournament({parts}, {circles}, {len(self.uncontested)} uncontested)"


def contest_components(games: Float[np.ndarray, "principles principles"]) -> Int[np.ndarray, " principles"]:
    """Component of each principle in the graph of contests, numbered by falling size; -1 for those in no contest."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    joined = csr_matrix((games > 0).astype(np.int8))
    _, label = connected_components(joined, directed=False)
    contested = games.sum(axis=1) > 0
    label = np.where(contested, label, -1)
    names, first, sizes = np.unique(label[contested], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    new = {int(names[k]): rank for rank, k in enumerate(order)}
    return np.array([new.get(int(own), -1) for own in label], dtype=np.int64)
