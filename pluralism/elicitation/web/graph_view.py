"""The picture of a stored graph as a part of a page, made once for each version and language."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from pluralism.elicitation.aggregators.ranking import GraphRanking
from pluralism.elicitation.exports.page import graph_body
from pluralism.elicitation.exports.page_words import PAGE_WORDS
from pluralism.elicitation.web.graphs import StoredGraph
from pluralism.elicitation.web.keyed_locks import KeyedLocks
from pluralism.elicitation.web.translation import Translator

__all__ = ["Pictures", "graph_values"]

_RESAMPLES, _SHOWN = 200, 5


class Pictures:
    """Keeps the pictures that were made last.

    Parameters
    ----------
    most : int
    """

    def __init__(self, most: int = 16) -> None:
        self._most, self._lock, self._making = most, threading.Lock(), KeyedLocks()
        self._kept: OrderedDict[tuple[Any, ...], dict[str, Any]] = OrderedDict()

    def get(self, key: tuple[Any, ...], make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The picture of a key, made where it is not there."""
        # Two who ask at once wait for one that makes it: resampling is the most costly thing that a page does.
        with self._making.of(key):
            with self._lock:
                found = self._kept.pop(key, None)
            found = make() if found is None else found
            with self._lock:
                self._kept[key] = found
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
        return found


def graph_values(
    pictures: Pictures, stored: StoredGraph, study_id: str, language: str, *, votes: bool
) -> dict[str, Any]:
    """What the template of the picture shows.

    Parameters
    ----------
    pictures : Pictures
    stored : StoredGraph
    study_id : str
    language : str
        Of the words around it.
    votes : bool
        Whether single votes are in it: for organisers, never for participants.
    """
    t = Translator(language)
    words = {name: t(f"graph_page.{name}") for name in PAGE_WORDS}
    key = (study_id, stored.version, stored.made_at, language, votes)

    def make() -> dict[str, Any]:
        body = graph_body(stored.graph, n_bootstrap=_RESAMPLES, votes=votes, words=words)
        return {**body, **_found(body["ranking"], t)}

    return pictures.get(key, make)


def _found(ranking: GraphRanking, t: Translator) -> dict[str, Any]:
    """What may be said of the wisest values, in the language of the page."""
    frame = ranking.to_frame().to_pylist()
    ranked = [row for row in frame if row["rank"] is not None]
    first = [row["title"] for row in ranked if row.get("tier") == 1]
    if not ranked:
        answer = t("found.nothing")
    elif not first or len(first) == len(ranked):
        answer = t("found.none", n=len(ranked))
    else:
        shown = ", ".join(f"„{title}“" if t.language == "de" else f"“{title}”" for title in first[:_SHOWN])
        answer = t("found.first", n=len(first), of=len(ranked), titles=shown + (" …" if len(first) > _SHOWN else ""))
    unranked = len(frame) - len(ranked)
    return {"answer": answer, "notes": [t("found.unranked", n=unranked)] if unranked else []}
