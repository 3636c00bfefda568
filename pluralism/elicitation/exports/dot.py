"""DOT, the language of Graphviz: values with their cards, one edge a pair and context with its counts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.counted_nodes import as_counted, counted_from, edge_attributes, node_attributes
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.errors import DataError

__all__ = ["from_dot", "to_dot"]

_TOKEN = re.compile(
    r'\s+|//[^\n]*|#[^\n]*|/\*.*?\*/|(?P<quoted>"(?:\\.|[^"\\])*")|(?P<mark>->|--|[\[\]{};,=])|(?P<word>[\w.+-]+)',
    re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_SPECIAL = ("graph", "node", "edge")


def to_dot(graph: MoralGraph | CountedGraph) -> str:
    """The graph as DOT; every name is quoted."""
    counted = as_counted(graph)
    lines = ["digraph moral_graph {"]
    lines += [f"  {_quoted(name)} {_listed(found)};" for name, found in node_attributes(counted).items()]
    for source, wiser, found in edge_attributes(counted):
        lines.append(f"  {_quoted(source)} -> {_quoted(wiser)} {_listed(found)};")
    return "\n".join([*lines, "}"]) + "\n"


def from_dot(text: str, where: str = "the document") -> CountedGraph:
    """Inverse of `to_dot`: statements of nodes and of edges with attribute lists, without subgraphs and ports.

    Raises
    ------
    DataError
        If it is something else.
    """
    tokens = list(_tokens(text, where))
    nodes: dict[str, dict[str, str]] = {}
    edges: list[tuple[str, str, dict[str, str]]] = []
    try:
        start = tokens.index(("mark", "{"))
        if ("word", "digraph") not in tokens[:start] or tokens[-1] != ("mark", "}"):
            raise ValueError("it is not of the form digraph { ... }")
        for statement in _statements(tokens[start + 1 : -1]):
            names, found = _statement(statement)
            if len(names) == 2:
                edges.append((names[0], names[1], found))
            elif names[0] not in _SPECIAL:
                nodes.setdefault(names[0], {}).update(found)
    except (ValueError, IndexError) as error:
        raise DataError(
            f"The file is no DOT that can be read: {error}.", where=where, fix="Export it again."
        ) from error
    for source, wiser, _ in edges:
        nodes.setdefault(source, {})
        nodes.setdefault(wiser, {})
    return counted_from(nodes, edges, where)


def _listed(found: Mapping[str, Any]) -> str:
    return "[" + ", ".join(f"{name}={_quoted(str(value))}" for name, value in found.items()) + "]"


def _quoted(text: str) -> str:
    # Graphviz reads \n as a line end, and a backslash before anything else as itself.
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _tokens(text: str, where: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            line = text.count("\n", 0, place) + 1
            raise DataError(
                f"The file is no DOT that can be read: {text[place]!r}.", where=f"{where}, line {line}", fix="Check it."
            )
        place = match.end()
        if match["quoted"] is not None:
            yield (
                "name",
                re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], match["quoted"][1:-1], flags=re.DOTALL),
            )
        elif match["mark"] is not None:
            yield "mark", match["mark"]
        elif match["word"] is not None:
            yield "word", match["word"]


def _statements(tokens: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Statements, which end with a semicolon or with a list of attributes."""
    current: list[tuple[str, str]] = []
    for token in tokens:
        if token != ("mark", ";"):
            current.append(token)
        if current and token in (("mark", ";"), ("mark", "]")):
            yield current
            current = []
    if current:
        yield current


def _statement(tokens: list[tuple[str, str]]) -> tuple[list[str], dict[str, str]]:
    opening = tokens.index(("mark", "[")) if ("mark", "[") in tokens else len(tokens)
    head, inside = tokens[:opening], [token for token in tokens[opening + 1 :] if token[1] not in (",", "]", ";")]
    names = [text for kind, text in head if kind != "mark"]
    arrows = [text for kind, text in head if kind == "mark"]
    if arrows not in ([], ["->"]) or len(names) != len(arrows) + 1:
        raise ValueError(f"a statement near {names[:1]} is neither a node nor an edge")
    if len(inside) % 3 or any(equals != ("mark", "=") for equals in inside[1::3]):
        raise ValueError(f"the attributes near {names[0]!r} are not of the form name=value")
    return names, {inside[i][1]: inside[i + 2][1] for i in range(0, len(inside), 3)}
