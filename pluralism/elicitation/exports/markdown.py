"""A moral graph as a report in Markdown: what may be said, how sure it is, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.aggregator import Aggregator
from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.structure.agreement import aggregator_agreement
from pluralism.elicitation.structure.feedback_arcs import feedback_arcs
from pluralism.elicitation.structure.response_styles import response_styles
from pluralism.elicitation.structure.shape import graph_shape
from pluralism.elicitation.structure.transitivity import transitivity
from pluralism.elicitation.structure.votes_needed import votes_needed
from pluralism.printable import printable
from pluralism.random import RNG

__all__ = ["markdown_report"]

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+!|~&-])")


def markdown_report(
    graph: MoralGraph | CountedGraph,
    *,
    rule: str | Aggregator = "bradley-terry",
    title: str = "Moral graph",
    n_bootstrap: int = 500,
    most: int = 20,
    rng: RNG = 0,
) -> str:
    """Write a report.

    Parameters
    ----------
    rule : str or Aggregator
        That ranks the values.
    title : str
    n_bootstrap : int
        Resamples of the participants; counts alone have none.
    most : int
        Values and edges that a table lists.
    rng : int, Generator or None

    Returns
    -------
    str
        Words of participants are escaped: nothing in them becomes markup.
    """
    draws = n_bootstrap if isinstance(graph, MoralGraph) and len(graph.participants) > 1 else 0
    contexts = [context for context in graph.contexts if context]
    pooled = aggregate(graph, rule, n_bootstrap=draws, rng=rng)
    parts = [f"# {_escaped(title)}", _overview(graph)]
    parts += ["## Which values are wiser", _ranking(pooled, most)]
    if len(contexts) > 1:
        parts.append("## By context")
        for context in contexts:
            ranking = aggregate(graph, rule, context=context, n_bootstrap=draws, rng=rng)
            parts += [f"### {_escaped(context)}", _ranking(ranking, min(most, 5))]
    parts += ["## How sure the edges are", _edges(graph, most)]
    parts += ["## Do the answers fit together", _consistency(graph, n_bootstrap, rng)]
    parts += ["## Do other ways to count agree", _agreement(graph)]
    if isinstance(graph, MoralGraph):
        parts += ["## How people answered", _styles(graph)]
    return "\n\n".join(parts) + "\n"


def _overview(graph: MoralGraph | CountedGraph) -> str:
    if isinstance(graph, CountedGraph):
        return f"{len(graph.cards):,} values, {graph.n_edges:,} pairs judged, {int(graph.counts.sum()):,} answers."
    ballots = graph.ballots()
    lines = [
        f"{len(graph.values):,} values; {ballots.n_votes:,} votes by {len(graph.participants):,} people, of which "
        f"{len(ballots):,} count; {len([c for c in graph.contexts if c]):,} contexts."
    ]
    if ballots.n_superseded:
        lines.append(f"{ballots.n_superseded:,} votes were replaced by a later one of the same person.")
    if ballots.n_self_loops or ballots.n_contradictions:
        lines.append(
            f"Merges of cards or contexts turned {ballots.n_self_loops:,} votes into a value against itself, and "
            f"brought {ballots.n_contradictions:,} differing answers together (policy: {graph.contradiction})."
        )
    if graph.tombstones:
        lines.append(f"{len(graph.tombstones):,} participants had their votes deleted.")
    return " ".join(lines)


def _ranking(ranking: GraphRanking, most: int) -> str:
    sure = ranking.uncertainty is not None
    header = ["rank", "value", "score", *(["ranks", "P(top)", "tier"] if sure else []), "answers"]
    header += ["part"] if ranking.n_components > 1 else []
    rows = []
    for row in ranking.to_frame().to_pylist():
        if row["rank"] is None:
            continue
        cells = [row["rank"], _escaped(row["title"]), f"{row['score']:.3g}"]
        if sure:
            span = f"{row['rank_low']:g} to {row['rank_high']:g}"
            cells += [span, f"{row['p_top']:.2f}", row["tier"]]
        cells += [row["votes"], *([row["component"] + 1] if ranking.n_components > 1 else [])]
        rows.append(cells)
    lines = [f"**{_escaped(ranking.answer)}**", f"Rule: {ranking.rule}."]
    lines += [_table(header, rows[:most])] if rows else []
    lines += [f"And {len(rows) - most:,} more."] if len(rows) > most else []
    return "\n\n".join([*lines, *(_escaped(note) for note in ranking.notes)])


def _edges(graph: MoralGraph | CountedGraph, most: int) -> str:
    needed = votes_needed(graph)
    posteriors = needed.posteriors
    verdicts = posteriors.verdicts
    counts = {word: verdicts.count(word) for word in ("wiser", "not wiser", "insufficient evidence")}
    titles = posteriors.graph.titles
    order = np.argsort(-posteriors.p_wiser, kind="stable")[:most]
    rows = [
        [
            _escaped(titles[posteriors.graph.source[e]]),
            _escaped(titles[posteriors.graph.wiser[e]]),
            *(int(n) for n in posteriors.graph.counts[e]),
            f"{posteriors.p_wiser[e]:.2f}",
            verdicts[e],
            needed.needed[e] if needed.needed[e] >= 0 else f"more than {needed.most:,}",
        ]
        for e in order
    ]
    header = ["value", "wiser?", "yes", "no", "not sure", "P(wiser)", "verdict at 95 %", "votes still needed"]
    said = ", ".join(f"{n:,} {word}" for word, n in counts.items())
    return f"{posteriors.graph.n_edges:,} pairs, contexts pooled: {said}.\n\n{_table(header, rows)}"


def _consistency(graph: MoralGraph | CountedGraph, n_bootstrap: int, rng: RNG) -> str:
    shape, arcs = graph_shape(graph), feedback_arcs(graph)
    step = transitivity(graph, n_bootstrap=n_bootstrap, rng=rng)
    names = dict(zip(shape.ids, shape.titles, strict=True))
    more = "" if shape.circles_complete else " or more"
    lines = [
        f"The answers join the values into {len(shape.components):,} part{'s' * (len(shape.components) != 1)}; "
        f"{len(shape.silent):,} values have no answer. Majorities form {len(shape.circles):,}{more} circles; setting "
        f"aside {arcs.votes:,} of {arcs.total_votes:,} net votes leaves none.",
        _escaped(step.answer),
    ]
    for circle in shape.circles[:5]:
        way = " → ".join(_escaped(names[name]) for name in (*circle, circle[0]))
        lines.append(f"- {way}")
    return "\n\n".join(lines[:2]) + ("\n\n" + "\n".join(lines[2:]) if len(lines) > 2 else "")


def _agreement(graph: MoralGraph | CountedGraph) -> str:
    found = aggregator_agreement(graph)
    rows = [
        [rule, *("–" if np.isnan(t) else f"{t:.2f}" for t in row)]
        for rule, row in zip(found.rules, found.tau, strict=True)
    ]
    return "Kendall's tau-b between the rankings.\n\n" + _table(["", *found.rules], rows)


def _styles(graph: MoralGraph) -> str:
    found = response_styles(graph)
    yes, no, unsure = (f"{rate:.0%}" for rate in found.base_rates)
    return (
        f"{yes} of the ballots say wiser, {no} not wiser, {unsure} not sure. {len(found.straight_liners):,} people "
        f"gave three ballots or more, all alike; {found.expected_straight:.1f} would by chance. "
        f"{int(found.both_ways.sum()):,} pairs were called wiser both ways by one person."
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)])


def _escaped(text: str) -> str:
    """The text on one line, with every character that Markdown or HTML might take for markup escaped."""
    return _MARKUP.sub(r"\\\1", " ".join(printable(text).split()))
