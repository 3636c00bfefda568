"""From discretion to the moral graph: does an annotator's order of principles follow the order that people elicited?"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import json_ready
from pluralism.discretion.measures.audit import DiscretionAudit
from pluralism.discretion.measures.discrepancy import order_signs, rank_discrepancy
from pluralism.discretion.measures.intervals import normal_interval
from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.errors import UsageError

__all__ = ["GraphDiscrepancy", "graph_discrepancy"]


@dataclass(frozen=True, eq=False, repr=False)
class GraphDiscrepancy:
    """How the priorities of annotators differ from the order of a moral graph.

    Attributes
    ----------
    annotators : tuple of str
    values : tuple of str
        Values of the graph that are principles of the audit as well, and are ranked.
    value : array of shape (annotators,)
        (1 - tau_b) / 2: 0 the same order, 0.5 unrelated, 1 the reverse; over the pairs of values that are comparable on
        both sides.
    interval : array of shape (annotators, 2)
        With the uncertainty of both sides: resamples of the comparisons, and of the participants. NaN where the audit
        has no bootstrap.
    pairs : tuple of int
        Pairs of values compared, by annotator.
    rule : str
        Of the graph's ranking.
    """

    annotators: tuple[str, ...]
    values: tuple[str, ...]
    value: Float[np.ndarray, " annotators"]
    interval: Float[np.ndarray, "annotators two"]
    pairs: tuple[int, ...]
    rule: str

    def to_frame(self) -> pa.Table:
        """A row an annotator: `annotator, discrepancy, low, high, pairs`."""
        columns = {"discrepancy": self.value, "low": self.interval[:, 0], "high": self.interval[:, 1]}
        arrays = {name: pa.array(values, mask=np.isnan(values)) for name, values in columns.items()}
        return pa.table({"annotator": list(self.annotators), **arrays, "pairs": list(self.pairs)})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"rule": self.rule, "values": list(self.values), "annotators": self.to_frame().to_pylist()})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        said = ", ".join(
            f"{name} {value:.2f} ({low:.2f} to {high:.2f})"
            for name, value, (low, high) in zip(self.annotators, self.value, self.interval, strict=True)
        )
        return f"GraphDiscrepancy on {len(self.values)} values: {said}"


def graph_discrepancy(audit: DiscretionAudit, ranking: GraphRanking, *, level: float | None = None) -> GraphDiscrepancy:
    """Compare priorities with an elicited order.

    Parameters
    ----------
    audit : DiscretionAudit
        Of principles that are the values of the graph, by their ids: see `values_as_principles`.
    ranking : GraphRanking
        From `pluralism.elicitation.aggregate`, with ``n_bootstrap`` so that its uncertainty counts.
    level : float, optional
        Of the intervals; left out, that of the audit.

    Raises
    ------
    UsageError
        If fewer than two values are principles.
    """
    place = {name: k for k, name in enumerate(ranking.ids)}
    common = [
        (k, place[name])
        for k, name in enumerate(audit.principles)
        if name in place and not np.isnan(ranking.scores[place[name]])
    ]
    if len(common) < 2:
        raise UsageError(
            f"{len(common)} principles of the audit are ranked values of the graph, and an order needs two.",
            fix="Audit the values of the graph: values_as_principles(graph.cards).",
        )
    own, theirs = (np.array(side) for side in zip(*common, strict=True))
    part = ranking.component[theirs]
    level = audit.level if level is None else level
    value, spans, pairs = [], [], []
    for priority in audit.priority:
        component = np.stack([priority.component[own], part])
        both = order_signs(np.stack([priority.weight[own], ranking.scores[theirs]])[None], component)
        value.append(rank_discrepancy(both)[0, 0, 1])
        pairs.append(int((~np.isnan(both)).all(axis=1).sum()))
        spans.append(_span(value[-1], priority.draws[:, own], ranking, theirs, component, level))
    return GraphDiscrepancy(
        audit.names,
        tuple(audit.principles[k] for k in own),
        np.array(value),
        np.array(spans),
        tuple(pairs),
        ranking.rule,
    )


def _span(
    value: float,
    weights: Float[np.ndarray, "draws values"],
    ranking: GraphRanking,
    theirs: np.ndarray,
    component: np.ndarray,
    level: float,
) -> Float[np.ndarray, " two"]:
    """Draws of one side are paired with draws of the other, which are independent of them."""
    drawn = np.empty((0, len(theirs))) if ranking.uncertainty is None else ranking.uncertainty.scores[:, theirs]
    n = max(len(weights), len(drawn))
    if not len(weights):
        return np.full(2, np.nan)
    one = weights[np.arange(n) % len(weights)]
    other = drawn[np.arange(n) % len(drawn)] if len(drawn) else np.tile(ranking.scores[theirs], (n, 1))
    found = rank_discrepancy(order_signs(np.stack([one, other], axis=1), component))[:, 0, 1]
    return np.clip(normal_interval(np.array([value]), found[:, None], level)[0], 0.0, 1.0)
