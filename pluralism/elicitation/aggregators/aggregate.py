"""One call for all aggregators: a graph, a rule, a context; a ranking that says how sure it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.catalogue import find_aggregator
from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.aggregators.support import value_components
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.tally import Tally, tally_graph
from pluralism.elicitation.uncertainty.bootstrap import bootstrap_ranking
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["aggregate"]


def aggregate(
    graph: MoralGraph | CountedGraph,
    rule: str | Aggregator = "bradley-terry",
    *,
    context: str | None = None,
    case: str | None = None,
    n_bootstrap: int | None = None,
    level: float = 0.95,
    rng: RNG = 0,
    **options: Any,
) -> GraphRanking:
    """Rank the values of a moral graph.

    Parameters
    ----------
    graph : MoralGraph or CountedGraph
        Counts alone, as published, have no participants: no bootstrap, and no bridging.
    rule : str or Aggregator
        One of `aggregators()`.
    context, case : str, optional
        Rank for one context, or for those of a case; left out, for all pooled.
    n_bootstrap : int, optional
        Resamples of the participants, for intervals, P(top) and tiers; left out, the rule's own default (200 for
        "corrected", else none).
    level : float
        Of the intervals, in (0, 1).
    rng : int, Generator or None
        Of the resamples.
    **options
        Of the rule.

    Raises
    ------
    UsageError
        If the rule, the context, the case or an option is unknown.

    Examples
    --------
    >>> from pluralism.elicitation.values_card import ValuesCard
    >>> cards = {name: ValuesCard(name, "", [f"MOMENTS of {name}"]) for name in ("candour", "tact", "care")}
    >>> votes = [{"participant": p, "source": a, "wiser": b, "answer": "upgrade"}
    ...          for p in "abcdef" for a, b in (("candour", "tact"), ("tact", "care"))]
    >>> aggregate(MoralGraph(cards).with_votes(votes), rule="schulze").order
    ('care', 'tact', 'candour')
    """
    found = find_aggregator(rule)
    chosen = _chosen(graph, context, case)
    tally = tally_graph(
        graph,
        view=found.view,
        unit=found.unit,
        chosen=None if found.borrows else chosen,
        by_group=found.needs_groups,
    )
    if found.borrows and chosen is not None:
        options = {**options, "chosen": tuple(tally.graph.contexts.index(name) for name in chosen)}
    details: dict[str, Any] = {}
    columns: dict[str, Any] = {}

    def note(name: str, value: Any, per: Literal["edge", "value", ""] = "") -> None:
        (columns if per == "edge" else details)[name] = value

    try:
        scored = found(tally.graph, tally.observed, note, **options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        wrong = str(error).split("'")[-2]
        raise UsageError(f"The rule {found.name!r} has no option {wrong!r}.", fix="See help(aggregate).") from None
    scores = scored.scores[0]
    component, votes = value_components(tally.graph)
    draws = found.n_bootstrap if n_bootstrap is None and tally.n_participants >= 2 else n_bootstrap or 0
    if draws < 0 or not 0 < level < 1:
        raise UsageError(
            f"n_bootstrap={n_bootstrap!r}, level={level!r} are not possible.", fix="Use 0 or more, and 0.95, say."
        )
    edges = tally.graph.to_frame()
    if scored.kept is not None:
        columns["kept"] = scored.kept[0]
    for name, column in columns.items():
        edges = edges.append_column(name, [column])
    ranking = GraphRanking(
        rule=found.name,
        context=context if context is not None else case,
        ids=tally.graph.ids,
        titles=tally.graph.titles,
        scores=scores,
        component=component,
        votes=votes,
        edges=edges,
        details=details,
        notes=_notes(found, tally, component, scores),
    )
    if not draws:
        return ranking
    uncertainty = bootstrap_ranking(
        found,
        tally,
        scores,
        component,
        n_draws=draws,
        level=level,
        rng=as_generator(rng, "bootstrap of a graph"),
        options=options,
    )
    if uncertainty.edge_inclusion is not None:
        ranking = replace(ranking, edges=edges.append_column("inclusion", [uncertainty.edge_inclusion]))
    return replace(ranking, uncertainty=uncertainty)


def _chosen(graph: MoralGraph | CountedGraph, context: str | None, case: str | None) -> tuple[str, ...] | None:
    if isinstance(graph, MoralGraph):
        return graph.chosen_contexts(context=context, case=case)
    if case is not None:
        raise UsageError("Counts know no cases.", fix="Name a context, or use a MoralGraph.")
    return None if context is None else (context,)


def _notes(rule: Aggregator, tally: Tally, component: np.ndarray, scores: np.ndarray) -> tuple[str, ...]:
    notes = []
    parts = int(component.max(initial=-1)) + 1
    if parts > 1:
        notes.append(f"No answers join the {parts:,} parts of the graph: values of different parts are not comparable.")
    unranked = int(np.isnan(scores).sum())
    if unranked:
        notes.append(f"Insufficient evidence on {unranked:,} of {len(scores):,} values: the rule does not rank them.")
    if rule.name == "reference":
        notes.append("The original's rule with its known defects; rule='corrected' has none of them.")
    if tally.answers is None:
        notes.append("Counts without the votes behind them: how sure the order is cannot be said.")
    return tuple(notes)
