"""Posteriors of edges: how sure it is that more than half would call the second value wiser.

With y upgrade votes and n others of those with an opinion, and a Beta(a, b) prior, the share of upgrade has the
posterior Beta(a + y, b + n). Unlike cuts on a share and on an entropy, P(share > 1/2) can only rise with an upgrade
vote, and says "insufficient evidence" by itself.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import betaincc, betaincinv

from pluralism.calibration.text import json_ready
from pluralism.elicitation.aggregators.aggregator import check_option
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.errors import UsageError

__all__ = ["EdgePosteriors", "NotSure", "edge_posteriors", "opinions"]

NotSure = Literal["abstain", "half"]
"""Whether "not sure" says nothing, or counts half for and half against."""

_SHOWN = 10


@dataclass(frozen=True, eq=False, repr=False)
class EdgePosteriors:
    """Posteriors of the edges of a graph.

    Attributes
    ----------
    graph : CountedGraph
    mean, low, high : arrays of shape (edges,)
        Of the share that calls the second value wiser; the interval is central, of probability `level`.
    p_wiser : array of shape (edges,)
        P(share > 1/2).
    level : float
    """

    graph: CountedGraph
    mean: Float[np.ndarray, " edges"]
    low: Float[np.ndarray, " edges"]
    high: Float[np.ndarray, " edges"]
    p_wiser: Float[np.ndarray, " edges"]
    level: float

    @property
    def verdicts(self) -> list[str]:
        """For each edge "wiser", "not wiser" or "insufficient evidence", the two first with probability `level`."""
        words = np.select([self.p_wiser >= self.level, self.p_wiser <= 1.0 - self.level], ["wiser", "not wiser"], "")
        return [word or "insufficient evidence" for word in words.tolist()]

    def to_frame(self) -> pa.Table:
        """The table of the graph's edges with `mean, low, high, p_wiser, verdict`."""
        table = self.graph.to_frame()
        for name in ("mean", "low", "high", "p_wiser"):
            table = table.append_column(name, [getattr(self, name)])
        return table.append_column("verdict", [pa.array(self.verdicts, pa.string())])

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame` as plain types."""
        return {"level": self.level, "edges": json_ready(self.to_frame().to_pylist())}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        verdicts = self.verdicts
        counts = [f"{verdicts.count(word):,} {word}" for word in ("wiser", "not wiser", "insufficient evidence")]
        return f"EdgePosteriors({self.graph.n_edges:,} edges at {self.level:.0%}: {', '.join(counts)})"


def edge_posteriors(
    graph: MoralGraph | CountedGraph,
    *,
    context: str | None = None,
    pooled: bool = True,
    not_sure: NotSure = "abstain",
    prior: tuple[float, float] = (1.0, 1.0),
    level: float = 0.95,
) -> EdgePosteriors:
    """Posterior of the share of upgrade on each edge.

    Parameters
    ----------
    context : str, optional
        Of one context; left out, of all.
    pooled : bool
        Whether contexts are added up.
    not_sure : {"abstain", "half"}
    prior : (float, float)
        Of the Beta prior, above 0.
    level : float
        In (1/2, 1).
    """
    check_option("not_sure", not_sure, ("abstain", "half"))
    if not 0.5 < level < 1 or min(prior) <= 0:
        raise UsageError(
            f"level={level!r}, prior={prior!r} are not possible.", fix="Use a level as 0.95 and a prior above 0."
        )
    counted = counted_view(graph, context=context, pooled=pooled)
    yes, no = opinions(counted, not_sure)
    a, b = prior[0] + yes, prior[1] + no
    tail = (1.0 - level) / 2.0
    return EdgePosteriors(
        counted, a / (a + b), betaincinv(a, b, tail), betaincinv(a, b, 1.0 - tail), betaincc(a, b, 0.5), level
    )


def opinions(graph: CountedGraph, not_sure: NotSure = "abstain") -> tuple[np.ndarray, np.ndarray]:
    """Answers (edges,) that the second value is wiser, and that it is not."""
    half = 0.5 * graph.not_sure if not_sure == "half" else 0.0
    return graph.upgrade + half, graph.no_upgrade + half


def counted_view(graph: MoralGraph | CountedGraph, *, context: str | None, pooled: bool = True) -> CountedGraph:
    """The counts of one context, or of all, pooled or apart."""
    if isinstance(graph, MoralGraph):
        counted = graph.counted(context=context)
    else:
        counted = graph if context is None else graph.of_contexts([context])
    return counted.pooled() if pooled else counted
