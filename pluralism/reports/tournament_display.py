"""The tournament of principles: which beats which in most of their conflicts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from pluralism.reports.display import FONT_SIZE, Display
from pluralism.reports.palette import FOCUS, INK
from pluralism.reports.text import label, percent

if TYPE_CHECKING:
    import networkx as nx
    from matplotlib.axes import Axes

    from pluralism.discretion import Supremacy

__all__ = ["TournamentDisplay"]


class TournamentDisplay(Display):
    """Principles on a circle, with an arrow from each to those that it beats.

    Strong arrows are those whose interval excludes one half.

    Parameters
    ----------
    graph : networkx.DiGraph
        As `pluralism.discretion.Supremacy.graph` gives: arcs with `probability`, `games`, `low`.
    names : mapping, optional
        What to call the principles.
    """

    def __init__(self, graph: nx.DiGraph, names: dict[str, str] | None = None) -> None:
        self.graph = graph
        self.names = {node: node for node in graph.nodes} | (names or {})

    @classmethod
    def from_supremacy(cls, supremacy: Supremacy, *, titles: Sequence[str] | None = None) -> Self:
        """Of one annotator; `titles` may name the principles for people."""
        names = None if titles is None else dict(zip(supremacy.principles, titles, strict=True))
        return cls(supremacy.graph(), names)

    def describe(self) -> str:
        """All arrows in words."""
        if not self.graph.number_of_edges():
            return "No principle beats another."
        said = [
            f"{self.names[a]} over {self.names[b]} in {percent(arc['probability'])} of {arc['games']:,.6g}"
            for a, b, arc in sorted(self.graph.edges(data=True), key=lambda edge: -edge[2]["games"])
        ]
        return "; ".join(said) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the circle, best first from the top, clockwise."""
        ax = self._start(ax, 5.0, 4.6)
        nodes = sorted(self.graph.nodes, key=lambda node: self.graph.in_degree(node) - self.graph.out_degree(node))
        angle = np.pi / 2 - 2 * np.pi * np.arange(len(nodes)) / max(len(nodes), 1)
        place = {node: (np.cos(t), np.sin(t)) for node, t in zip(nodes, angle, strict=True)}
        for a, b, arc in self.graph.edges(data=True):
            sure = arc["low"] > 0.5
            ax.annotate(
                "",
                xy=place[b],
                xytext=place[a],
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": FOCUS if sure else INK,
                    "alpha": 0.75 if sure else 0.25,
                    "linewidth": 0.5 + 2.5 * float(arc["margin"]),
                    "shrinkA": 7,
                    "shrinkB": 7,
                    "connectionstyle": "arc3,rad=0.06",
                },
            )
        for node, (x, y) in place.items():
            ax.plot(x, y, "o", color=INK, markersize=5)
            ax.text(
                1.1 * x,
                1.1 * y,
                label(self.names[node], 22),
                ha="left" if x > 0.2 else "right" if x < -0.2 else "center",
                va="center" if abs(y) < 0.85 else "bottom" if y > 0 else "top",
                fontsize=FONT_SIZE - 1,
                color=INK,
            )
        ax.set_xlim(-2.0, 2.0)
        ax.set_ylim(-1.35, 1.35)
        ax.set_axis_off()
        return self
