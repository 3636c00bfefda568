"""Values and edges as flat attributes, as graph programs know them, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.whole_graph import placed
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.errors import DataError, PluralismError
from pluralism.printable import printable

__all__ = ["as_counted", "counted_from", "edge_attributes", "node_attributes"]


def as_counted(graph: MoralGraph | CountedGraph) -> CountedGraph:
    """The counts of a graph by context."""
    return graph.counted() if isinstance(graph, MoralGraph) else graph


def node_attributes(graph: CountedGraph) -> dict[str, dict[str, str]]:
    """For each id: `title, description, policies` (a JSON list) and `context`, without what XML cannot hold."""
    return {
        printable(name): {
            "title": printable(card.title),
            "label": printable(card.title),
            "description": printable(card.description),
            "policies": json.dumps([printable(policy) for policy in card.policies], ensure_ascii=False),
            "when": printable(card.context or ""),
        }
        for name, card in graph.cards.items()
    }


def edge_attributes(graph: CountedGraph) -> list[tuple[str, str, dict[str, Any]]]:
    """Triples (source, wiser, attributes) with `context` and the counts."""
    return [
        (
            printable(graph.ids[a]),
            printable(graph.ids[b]),
            {
                "context": printable(graph.contexts[c]),
                **dict(zip(ANSWERS, (_plain(n) for n in counts), strict=True)),
            },
        )
        for a, b, c, counts in zip(
            graph.source.tolist(), graph.wiser.tolist(), graph.context.tolist(), graph.counts.tolist(), strict=True
        )
    ]


def counted_from(
    nodes: Mapping[str, Mapping[str, Any]], edges: Sequence[tuple[str, str, Mapping[str, Any]]], where: str
) -> CountedGraph:
    """Inverse of the two.

    Raises
    ------
    DataError
        If an attribute is missing or does not fit.
    """
    try:
        cards = {str(name): _card(name, found) for name, found in nodes.items()}
        ids = {name: i for i, name in enumerate(cards)}
        contexts = tuple(dict.fromkeys(str(found.get("context", "")) for _, _, found in edges)) or ("",)
        place = {name: i for i, name in enumerate(contexts)}
        counts = np.array([[_count(found[name]) for name in ANSWERS] for _, _, found in edges], dtype=np.int64)
        return CountedGraph(
            cards,
            contexts,
            np.array([ids[str(a)] for a, _, _ in edges], dtype=np.int32),
            np.array([ids[str(b)] for _, b, _ in edges], dtype=np.int32),
            np.array([place[str(found.get("context", ""))] for _, _, found in edges], dtype=np.int32),
            counts.reshape(-1, len(ANSWERS)),
        )
    except PluralismError as error:
        raise placed(error, where) from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"The graph cannot be read: {type(error).__name__}: {error}.",
            where=where,
            fix="Nodes need a title, edges the counts upgrade, no_upgrade and not_sure.",
        ) from error


def _card(name: str, found: Mapping[str, Any]) -> ValuesCard:
    title = str(found.get("title") or found.get("label") or name)
    policies = json.loads(found["policies"]) if found.get("policies") else [title]
    return ValuesCard(title, str(found.get("description") or ""), policies, found.get("when") or None)


def _count(value: Any) -> int:
    number = float(value)
    if not 0 <= number < 2**53 or number != int(number):
        raise ValueError(f"{value!r} is no count")
    return int(number)


def _plain(value: float) -> int | float:
    return int(value) if value == int(value) else value
