"""The counts of a graph from its page, so that a page that was sent on can be read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.counted_nodes import counted_from
from pluralism.elicitation.exports.whole_graph import parsed
from pluralism.elicitation.vote_log import ANSWERS
from pluralism.errors import DataError

__all__ = ["from_page"]


class _Data(HTMLParser):
    """The text of the script with the id "data"."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = False
        self.text: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "script" and dict(attrs).get("id") == "data" and self.text is None

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.text = (self.text or "") + data


def from_page(text: str, where: str = "the page") -> CountedGraph:
    """The counts by context that `graph_page` has put into a page; titles are as they are shown there.

    Raises
    ------
    DataError
        If it is no such page, or damaged.
    """
    reader = _Data()
    reader.feed(text)
    document = None if reader.text is None else parsed(reader.text, where)
    if not isinstance(document, Mapping):
        raise DataError("This is no page of a moral graph.", where=where, fix="Pages are made with graph_page.")
    try:
        nodes: dict[str, Mapping[str, Any]] = {}
        for value in document["values"]:
            title, description, when = (str(value[name]) for name in ("title", "description", "when"))
            nodes[str(value["id"])] = {
                "title": title,
                "description": description,
                "when": when,
                "policies": json.dumps([str(policy) for policy in value["policies"]]),
            }
        if len(nodes) < len(document["values"]):
            raise ValueError("two values have the same id")
        names = list(nodes)
        edges = [
            (
                names[_place(edge["source"], len(names))],
                names[_place(edge["wiser"], len(names))],
                {
                    "context": str(document["contexts"][_place(context, len(document["contexts"]))]),
                    **dict(zip(ANSWERS, counts, strict=True)),
                },
            )
            for edge in document["edges"]
            for context, counts in edge["rows"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"The data in the page are damaged: {type(error).__name__}: {error}.", where=where, fix="Make it again."
        ) from error
    return counted_from(nodes, edges, where)


def _place(number: Any, n: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < n:
        raise ValueError(f"{number!r} is no place among {n}")
    return number
