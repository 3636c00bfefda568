"""What the script of a graph page shows when a value or an edge is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.page_words import PAGE_WORDS
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.uncertainty.edge_posterior import EdgePosteriors
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.printable import printable

__all__ = ["VERDICT_WORDS", "page_data"]

VERDICT_WORDS = {
    "wiser": "verdict_wiser",
    "not wiser": "verdict_not_wiser",
    "insufficient evidence": "verdict_open",
}
"""The keys of words for the verdicts on pairs."""
_OF_THE_SCRIPT = (
    "is_wiser", "half", "by_context", "context", "answer_yes", "answer_no", "answer_unsure", "story", "n_votes",
    "person", "answer", "time", "comment", "replaced", "judged_with", "other_wiser", "wiser_than", "shown",
)  # fmt: skip


def page_data(
    graph: MoralGraph | CountedGraph,
    ranking: GraphRanking,
    posteriors: EdgePosteriors,
    *,
    votes: bool,
    words: Mapping[str, str] = PAGE_WORDS,
) -> dict[str, Any]:
    """Values, contexts and edges as plain types.

    Parameters
    ----------
    ranking : GraphRanking
    posteriors : EdgePosteriors
        Of the pooled graph.
    votes : bool
        Whether the votes are among them; participants are numbers.
    words : mapping of str to str
        Those of the page.
    """
    counted = posteriors.graph
    by_context = graph.counted() if isinstance(graph, MoralGraph) else graph
    rows: list[list[Any]] = [[] for _ in range(counted.n_edges)]
    for edge, context, counts in zip(
        by_context.pooling.tolist(), by_context.context.tolist(), by_context.counts.tolist(), strict=True
    ):
        rows[edge].append([context, [int(n) for n in counts]])
    listed: list[list[Any]] = [[] for _ in range(counted.n_edges)]
    stories: list[list[str]] = [[] for _ in range(counted.n_edges)]
    if isinstance(graph, MoralGraph):
        _add_stories(graph, counted, stories)
        if votes:
            _add_votes(graph, counted, listed)
    frame = {row["id"]: row for row in ranking.to_frame().to_pylist()}
    values = []
    for name, card in counted.cards.items():
        policies = [printable(policy) for policy in card.policies]
        title = " ".join(printable(card.title).split())
        text = " ".join([title, printable(card.description), *policies]).lower()
        found = frame[name]
        place = words["not_ranked"]
        if found["rank"] is not None and ranking.uncertainty is None:
            place = words["place_alone"].format(rank=found["rank"])
        elif found["rank"] is not None:
            low, high, p = f"{found['rank_low']:g}", f"{found['rank_high']:g}", f"{found['p_top']:.2f}"
            place = words["place"].format(rank=found["rank"], low=low, high=high, p=p)
        values.append(
            {
                "id": printable(name),
                "title": title,
                "description": printable(card.description),
                "when": printable(card.context or ""),
                "policies": policies,
                "place": place,
                "text": text,
            }
        )
    edges = [
        {
            "source": int(counted.source[e]),
            "wiser": int(counted.wiser[e]),
            "p": round(float(posteriors.p_wiser[e]), 4),
            "verdict": words[VERDICT_WORDS[verdict]],
            "wiser_sure": verdict == "wiser",
            "rows": rows[e],
            "votes": listed[e],
            "stories": stories[e],
        }
        for e, verdict in enumerate(posteriors.verdicts)
    ]
    return {
        "values": values,
        "contexts": [printable(name) for name in graph.contexts],
        "edges": edges,
        "words": {name: words[name] for name in _OF_THE_SCRIPT},
    }


def _add_votes(graph: MoralGraph, counted: CountedGraph, listed: list[list[Any]]) -> None:
    """The votes of every edge, people as numbers in the order of their first vote."""
    counts = set(graph.ballots().row.tolist())
    places = {name: i for i, name in enumerate(counted.ids)}
    edge_of = {pair: e for e, pair in enumerate(zip(counted.source.tolist(), counted.wiser.tolist(), strict=True))}
    value_of = {name: places[graph.value_of(name)] for name in graph.votes.value_ids}
    context_of = {
        name: graph.contexts.index((graph.chosen_contexts(context=name) or ("",))[0]) for name in graph.votes.contexts
    }
    people: dict[str, int] = {}
    for row, vote in enumerate(graph.votes.table.drop_columns(["salt", "digest"]).to_pylist()):
        if vote["participant"] is None:
            continue
        person = people.setdefault(vote["participant"], len(people) + 1)
        edge = edge_of.get((value_of[vote["source"]], value_of[vote["wiser"]]))
        if edge is not None:
            listed[edge].append(
                {
                    "person": person,
                    "answer": ANSWERS.index(vote["answer"]),
                    "context": context_of[vote["context"]],
                    "time": "" if vote["time"] is None else vote["time"].isoformat(sep=" ", timespec="minutes"),
                    "comment": printable(vote["comment"] or ""),
                    "counts": row in counts,
                }
            )


def _add_stories(graph: MoralGraph, counted: CountedGraph, stories: list[list[str]]) -> None:
    places = {name: i for i, name in enumerate(counted.ids)}
    edge_of = {pair: e for e, pair in enumerate(zip(counted.source.tolist(), counted.wiser.tolist(), strict=True))}
    for hypothesis in graph.hypotheses:
        pair = (places[graph.value_of(hypothesis.source)], places[graph.value_of(hypothesis.wiser)])
        if hypothesis.story and pair in edge_of:
            stories[edge_of[pair]].append(printable(hypothesis.story))
