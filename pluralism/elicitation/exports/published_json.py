"""The graph format that the original published: values, and edges with counts.

An edge has ``sourceValueId, wiserValueId, contexts``, ``counts`` (markedWiser w, markedNotWiser n, markedLessWise l:
upgrade votes on the way back, markedUnsure u, impressions: answers either way) and ``summary`` (wiserLikelihood,
entropy). There are no votes in it, so that people cannot be drawn again from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from pluralism.elicitation.aggregators.aggregate import aggregate
from pluralism.elicitation.aggregators.edge_statistics import original_entropy, wiser_likelihood
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.whole_graph import placed
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import DataError, PluralismError

__all__ = ["from_published", "is_published", "to_published"]

_COUNTS = ("markedWiser", "markedNotWiser", "markedLessWise", "markedUnsure", "impressions")


def is_published(document: Any) -> bool:
    """Whether parsed JSON looks like this format."""
    return isinstance(document, Mapping) and "values" in document and "edges" in document


def to_published(graph: MoralGraph | CountedGraph, *, kept: bool = True) -> dict[str, Any]:
    """The graph in the published format.

    Parameters
    ----------
    kept : bool
        Whether only the edges and values that the reference rule keeps are written, as the original does; else all
        that were judged.
    """
    ranking = aggregate(graph, "reference", n_bootstrap=0)
    counted = graph.counted(unit="pair").pooled() if isinstance(graph, MoralGraph) else graph.pooled()
    w, n, u = (counted.counts[:, k].astype(np.float64) for k in range(3))
    back = counted.backwards().astype(np.float64)
    impressions = w + n + u + sum(counted.backwards(k) for k in range(3))
    likelihood, entropy = wiser_likelihood(w, n, u, back), original_entropy(w, n, u, back, impressions)
    keep = np.asarray(ranking.edges["kept"].to_pylist(), dtype=bool) if kept else w + n + u > 0
    used = set(counted.source[keep].tolist()) | set(counted.wiser[keep].tolist())
    judged_in = counted.judged_in or tuple(() for _ in w)
    values = []
    for i, (name, card) in enumerate(counted.cards.items()):
        if i in used or not kept:
            value: dict[str, Any] = {"id": name, **card.to_dict()}
            if not np.isnan(ranking.scores[i]):
                value["pageRank"] = float(ranking.scores[i])
            values.append(value)
    edges = [
        {
            "sourceValueId": counted.ids[counted.source[e]],
            "wiserValueId": counted.ids[counted.wiser[e]],
            "contexts": [context for context in judged_in[e] if context],
            "counts": dict(zip(_COUNTS, (int(c[e]) for c in (w, n, back, u, impressions)), strict=True)),
            "summary": {"wiserLikelihood": float(likelihood[e]), "entropy": float(entropy[e])},
        }
        for e in np.flatnonzero(keep)
    ]
    return {"values": values, "edges": edges}


def from_published(document: Any, *, where: str = "the document") -> CountedGraph:
    """Counts from the published format.

    Upgrade votes on a reversed edge that is not listed itself are known (markedLessWise), and how many other answers it
    has (by the impressions), but not which: these count as not sure. Statistics of the listed edges come out as they
    were published; contexts are kept with the pairs, and not told apart in the counts.

    Raises
    ------
    DataError
        If fields are missing or do not fit each other.
    """
    if not is_published(document):
        raise DataError("This is no published moral graph.", where=where, fix="It has the fields values and edges.")
    for field in ("values", "edges"):
        _refuse_others(document[field], field, where)
    for number, edge in enumerate(document["edges"], 1):
        if not isinstance(edge.get("counts"), Mapping):
            raise DataError(
                f"Edge {number} has counts that are no object: {edge.get('counts')!r:.40}.",
                where=where,
                fix=f"Write them as an object with {', '.join(_COUNTS)}.",
            )
    try:
        cards = {str(value["id"]): _card(value) for value in document["values"]}
        if len(cards) < len(document["values"]):
            raise DataError("Two values have the same id.", where=where, fix="Give each an id of its own.")
        counts, contexts = _edges(document, cards, where)
    except PluralismError as error:
        raise placed(error, where) from error
    except KeyError as error:
        raise DataError(f"The field {error} is missing.", where=where, fix="Add it to every value or edge.") from error
    except (TypeError, ValueError) as error:
        raise DataError(
            f"The published graph cannot be read: {error}.", where=where, fix="Check its fields."
        ) from error
    place = {name: i for i, name in enumerate(cards)}
    pairs = list(counts)
    return CountedGraph(
        cards,
        ("",),
        np.array([place[a] for a, _ in pairs], dtype=np.int32),
        np.array([place[b] for _, b in pairs], dtype=np.int32),
        np.zeros(len(pairs), dtype=np.int32),
        np.array(list(counts.values()), dtype=np.int64).reshape(-1, 3),
        tuple(contexts.get(pair, ()) for pair in pairs),
    )


def _refuse_others(listed: Any, field: str, where: str) -> None:
    """Refuse what is no list of objects."""
    if not isinstance(listed, list):
        raise DataError(f"The field {field} is no list.", where=where, fix="Write a list of objects.")
    for number, one in enumerate(listed, 1):
        if not isinstance(one, Mapping):
            raise DataError(
                f"Number {number} of {field} is no object: {one!r:.40}.", where=where, fix="Write a list of objects."
            )


def _card(value: Mapping[str, Any]) -> ValuesCard:
    listed = value.get("policies", value.get("evaluationCriteria"))
    # a value published by its title alone still is one
    return ValuesCard.from_dict({**value, "policies": listed or [value["title"]]})


def _edges(
    document: Mapping[str, Any], cards: Mapping[str, ValuesCard], where: str
) -> tuple[dict[tuple[str, str], Int64[np.ndarray, " answers"]], dict[tuple[str, str], tuple[str, ...]]]:
    listed: dict[tuple[str, str], Mapping[str, Any]] = {}
    for number, edge in enumerate(document["edges"], 1):
        pair = (str(edge["sourceValueId"]), str(edge["wiserValueId"]))
        unknown = [name for name in pair if name not in cards]
        if unknown or pair[0] == pair[1] or pair in listed:
            what = f"names {unknown[0]!r}, which is no value" if unknown else "leads to itself or is listed twice"
            raise DataError(f"Edge {number} {what}.", where=where, fix="Correct the edge.")
        listed[pair] = edge
    counts: dict[tuple[str, str], Any] = {}
    for pair, edge in listed.items():
        w, n, less, u, shown = (_whole(edge["counts"].get(name, 0), name, where) for name in _COUNTS)
        counts[pair] = np.array([w, n, u])
        if pair[::-1] not in listed:
            rest = max(shown - (w + n + u), less)
            if rest:
                counts[pair[::-1]] = np.array([less, 0, rest - less])
    contexts = {pair: tuple(dict.fromkeys(map(str, edge.get("contexts") or ()))) for pair, edge in listed.items()}
    return counts, contexts


def _whole(value: Any, name: str, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53 or value != int(value):
        raise DataError(f"{name}={value!r} is no count.", where=where, fix="Counts are whole numbers of at least 0.")
    return int(value)
