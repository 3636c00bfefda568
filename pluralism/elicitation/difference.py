"""What changed between two moral graphs: two moments of one study, or two groups of people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.stats import kendalltau

from pluralism.calibration.text import json_ready
from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.edge_statistics import wiser_likelihood
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.merges import MergeLog
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.tally import Tally, tally_graph
from pluralism.elicitation.uncertainty.edge_posterior import edge_posteriors
from pluralism.errors import UsageError
from pluralism.evaluation.bootstrap import interval, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["EdgeChange", "GraphDifference", "graph_difference", "rank_biased_overlap"]

_SHOWN = 8


@dataclass(frozen=True)
class EdgeChange:
    """A pair in both graphs.

    Attributes
    ----------
    source, wiser : str
        Ids.
    before, after : str
        Verdicts: "wiser", "not wiser", "insufficient evidence"; "not judged" where there is no answer.
    likelihood_before, likelihood_after : float
        (w - l) / (w + n + u + l); NaN where the pair was not judged.
    difference, low, high : float
        After less before, and its interval over participants; NaN where it cannot be said.
    """

    source: str
    wiser: str
    before: str
    after: str
    likelihood_before: float
    likelihood_after: float
    difference: float
    low: float
    high: float

    @property
    def kind(self) -> str:
        """One of "added", "removed", "flipped" and "kept" (called wiser in both), else ""."""
        if {self.before, self.after} == {"wiser", "not wiser"}:
            return "flipped"
        if self.before == self.after:
            return "kept" if self.before == "wiser" else ""
        if self.after == "wiser":
            return "added"
        return "removed" if self.before == "wiser" else ""


@dataclass(frozen=True, repr=False)
class GraphDifference:
    """How the second graph differs from the first.

    Attributes
    ----------
    values_added, values_removed : tuple of str
        Ids of values in one of them alone, merges apart.
    lineage : mapping of str to tuple of str
        Values of the second graph, and the values of the first that were merged into them since.
    edges : tuple of EdgeChange
        All pairs judged in either.
    overlap : float
        Rank-biased overlap (p = 0.9) of the rankings, in [0, 1].
    tau : float
        Kendall's tau-b of the values ranked in both; NaN for fewer than two.
    ranks : mapping of str to (rank before, rank after)
        Of values in both.
    rule : str
    level : float
        Of intervals and verdicts.
    """

    values_added: tuple[str, ...]
    values_removed: tuple[str, ...]
    lineage: dict[str, tuple[str, ...]]
    edges: tuple[EdgeChange, ...]
    overlap: float
    tau: float
    ranks: dict[str, tuple[float, float]]
    rule: str
    level: float

    def of_kind(self, kind: str) -> tuple[EdgeChange, ...]:
        """Edges that were "added", "removed", "flipped" or "kept"."""
        return tuple(edge for edge in self.edges if edge.kind == kind)

    @property
    def significant(self) -> tuple[EdgeChange, ...]:
        """Pairs whose likelihood changed by more than chance, each by itself: look for many, not for one."""
        return tuple(edge for edge in self.edges if edge.low > 0 or edge.high < 0)

    def to_frame(self) -> pa.Table:
        """One row a pair, with its `kind`."""
        names = ("source", "wiser", "before", "after", "kind")
        columns: dict[str, Any] = {
            name: pa.array([getattr(e, name) for e in self.edges], pa.string()) for name in names
        }
        for name in ("likelihood_before", "likelihood_after", "difference", "low", "high"):
            numbers = np.array([getattr(edge, name) for edge in self.edges], dtype=np.float64)
            columns[name] = pa.array(numbers, mask=np.isnan(numbers))
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        document = {
            "values_added": list(self.values_added),
            "values_removed": list(self.values_removed),
            "lineage": {name: list(merged) for name, merged in self.lineage.items()},
            "edges": self.to_frame().to_pylist(),
            "overlap": self.overlap,
            "tau": self.tau,
            "ranks": {name: list(pair) for name, pair in self.ranks.items()},
            "rule": self.rule,
            "level": self.level,
        }
        found: dict[str, Any] = json_ready(document)
        return found

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.of_kind(kind)):,} {kind}" for kind in ("added", "removed", "flipped", "kept"))
        return (
            f"GraphDifference({len(self.values_added):,} values added, {len(self.values_removed):,} removed, "
            f"{sum(map(len, self.lineage.values())):,} merged; edges: {counts}; {len(self.significant):,} of "
            f"{len(self.edges):,} pairs changed beyond chance; rank-biased overlap {self.overlap:.2f})"
        )


def graph_difference(
    before: MoralGraph | CountedGraph,
    after: MoralGraph | CountedGraph,
    *,
    context: str | None = None,
    rule: str | Aggregator = "bradley-terry",
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> GraphDifference:
    """Compare two graphs of the same values, by their ids.

    The merges of the second graph are made in the first too, so that a merge is not taken for a change of answers.
    People who are in both graphs are drawn together, so that two moments of one study are compared as such.

    Parameters
    ----------
    before, after : MoralGraph or CountedGraph
        Two moments (``graph.until(time)``), or two groups (``graph.of_group(name)``). Of counts alone there are no
        intervals.
    context : str, optional
        Of one context; left out, of all pooled.
    rule : str or Aggregator
        Whose rankings are compared.
    n_bootstrap, level, rng
        Of the intervals.
    """
    lineage: dict[str, tuple[str, ...]] = {}
    if isinstance(before, MoralGraph) and isinstance(after, MoralGraph):
        before, lineage = _with_merges(before, after)
    views = [_view(graph, context) for graph in (before, after)]
    ids = [set(view.graph.ids) for view in views]
    if not ids[0] & ids[1]:
        raise UsageError("The graphs have no value in common.", fix="Compare graphs of the same cards, by their ids.")
    rankings = [aggregate(graph, rule, context=context, n_bootstrap=0) for graph in (before, after)]
    place = [dict(zip(ranking.ids, ranking.ranks.tolist(), strict=True)) for ranking in rankings]
    shared = [name for name in rankings[0].ids if name in place[1]]
    ranks = {name: (place[0][name], place[1][name]) for name in shared}
    both = [pair for pair in ranks.values() if not np.isnan(pair).any()]
    tau = kendalltau(*zip(*both, strict=True)).statistic if len(both) > 1 else np.nan
    return GraphDifference(
        values_added=tuple(name for name in views[1].graph.ids if name not in ids[0]),
        values_removed=tuple(name for name in views[0].graph.ids if name not in ids[1]),
        lineage=lineage,
        edges=_edges(views, n_bootstrap, level, as_generator(rng, "difference of graphs")),
        overlap=rank_biased_overlap(rankings[0].order, rankings[1].order),
        tau=float(tau),
        ranks=ranks,
        rule=rankings[0].rule,
        level=level,
    )


def rank_biased_overlap(first: Sequence[str], second: Sequence[str], *, p: float = 0.9) -> float:
    """How alike two rankings are, with falling weight down the list, extrapolated from what both show.

    Parameters
    ----------
    first, second : sequences of str
        Names, best first; they may differ in length and in names.
    p : float
        In (0, 1); the first 10 names have 86 % of the weight at 0.9.

    Returns
    -------
    float
        In [0, 1]; 1 for equal lists, and NaN where one is empty.

    References
    ----------
    W. Webber, A. Moffat, J. Zobel, A similarity measure for indefinite rankings, TOIS 28 (2010), equation 32.

    Examples
    --------
    >>> rank_biased_overlap("abc", "abc"), round(rank_biased_overlap("abc", "cab"), 3)
    (1.0, 0.855)
    """
    if not 0 < p < 1:
        raise UsageError(f"p={p!r} is not possible.", fix="Use a number between 0 and 1.")
    short, long = sorted((list(first), list(second)), key=len)
    s, n = len(short), len(long)
    if not s:
        return float("nan")
    seen_short: set[str] = set()
    seen_long: set[str] = set()
    overlap = np.zeros(n + 1)
    for depth in range(1, n + 1):
        seen_long.add(long[depth - 1])
        if depth <= s:
            seen_short.add(short[depth - 1])
        overlap[depth] = len(seen_short & seen_long)
    depths = np.arange(1, n + 1)
    total = np.sum(overlap[1:] / depths * p**depths)
    beyond = depths[s:]
    total += np.sum(overlap[s] * (beyond - s) / (s * beyond) * p**beyond)
    return float((1 - p) / p * total + ((overlap[n] - overlap[s]) / n + overlap[s] / s) * p**n)


def _with_merges(before: MoralGraph, after: MoralGraph) -> tuple[MoralGraph, dict[str, tuple[str, ...]]]:
    """The first graph with the merges of the second, and what these merged."""
    known = set(before.cards)
    active = [m for m in after.card_merges.merges if m.active and {m.source, m.into} <= known]
    merged = replace(before, card_merges=MergeLog(tuple(active)))
    lineage: dict[str, list[str]] = {}
    for name in before.values:
        now = merged.value_of(name)
        if now != name:
            lineage.setdefault(now, []).append(name)
    named = set(merged.all_contexts)
    contexts = [m for m in after.context_merges.merges if m.active and {m.source, m.into} <= named]
    merged = replace(merged, context_merges=MergeLog(tuple(contexts)))
    return merged, {name: tuple(names) for name, names in lineage.items()}


def _view(graph: MoralGraph | CountedGraph, context: str | None) -> Tally:
    if isinstance(graph, MoralGraph):
        return tally_graph(graph, chosen=graph.chosen_contexts(context=context))
    return tally_graph(graph, chosen=None if context is None else (context,))


def _edges(views: Sequence[Tally], n_bootstrap: int, level: float, rng: np.random.Generator) -> tuple[EdgeChange, ...]:
    verdicts, likelihoods, drawn = [], [], []
    weights = _weights(views, n_bootstrap, rng)
    for view, weight in zip(views, weights, strict=True):
        frame = view.graph.to_frame()
        keys = list(zip(frame["source"].to_pylist(), frame["wiser"].to_pylist(), strict=True))
        found = edge_posteriors(view.graph, level=level).verdicts
        verdicts.append(dict(zip(keys, found, strict=True)))
        observed = _likelihoods(view.graph, view.observed)[0]
        likelihoods.append(dict(zip(keys, observed.tolist(), strict=True)))
        draws = None if weight is None else _likelihoods(view.graph, view.counts(weight))
        drawn.append({} if draws is None else dict(zip(keys, draws.T, strict=True)))
    changes = []
    for pair in dict.fromkeys([*verdicts[0], *verdicts[1]]):
        first, second = (found.get(pair, np.nan) for found in likelihoods)
        low = high = np.nan
        if pair in drawn[0] and pair in drawn[1]:
            low, high = interval(drawn[1][pair] - drawn[0][pair], level)
        said = [found.get(pair, "not judged") for found in verdicts]
        changes.append(EdgeChange(pair[0], pair[1], said[0], said[1], first, second, second - first, low, high))
    return tuple(changes)


def _weights(
    views: Sequence[Tally], n_bootstrap: int, rng: np.random.Generator
) -> list[Float[np.ndarray, "draws participants"] | None]:
    """How often the people of each graph are drawn; those in both as often in both."""
    if n_bootstrap < 1 or any(view.answers is None or view.n_participants < 2 for view in views):
        return [None for _ in views]
    people = list(dict.fromkeys([name for view in views for name in view.participants]))
    place = {name: i for i, name in enumerate(people)}
    draws = np.concatenate(list(resample_users(len(people), n_bootstrap, rng)))
    return [draws[:, [place[name] for name in view.participants]] for view in views]


def _likelihoods(graph: CountedGraph, counts: np.ndarray) -> Float[np.ndarray, "draws edges"]:
    """Likelihoods in each draw; NaN where nobody answered."""
    w, n, u = (counts[:, :, k] for k in range(3))
    back = np.concatenate([w, np.zeros((len(w), 1))], axis=1)[:, graph.reverse]
    return np.where(w + n + u + back > 0, wiser_likelihood(w, n, u, back), np.nan)
