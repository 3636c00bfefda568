"""GraphML and GEXF, by networkx: values with their cards, one edge a pair and context with its counts."""

from __future__ import annotations

import io
import re
from typing import Any
from xml.etree.ElementTree import ParseError

import networkx as nx

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.counted_nodes import as_counted, counted_from, edge_attributes, node_attributes
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.errors import DataError

__all__ = ["from_gexf", "from_graphml", "to_gexf", "to_graphml"]

_DECLARATION = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def to_graphml(graph: MoralGraph | CountedGraph) -> str:
    """The graph as GraphML."""
    return "\n".join(nx.generate_graphml(_networkx(graph), named_key_ids=True)) + "\n"


def from_graphml(text: str, where: str = "the document") -> CountedGraph:
    """Inverse of `to_graphml`.

    Raises
    ------
    DataError
        If it is no GraphML with the attributes that `to_graphml` writes, or declares entities.
    """
    return _read(text, where, lambda file: nx.read_graphml(file, force_multigraph=True), "GraphML")


def to_gexf(graph: MoralGraph | CountedGraph) -> str:
    """The graph as GEXF 1.2."""
    text = "\n".join(nx.generate_gexf(_networkx(graph), version="1.2draft")) + "\n"
    # the date of writing would make two exports of one graph differ
    return re.sub(r' lastmodifieddate="[^"]*"', "", text)


def from_gexf(text: str, where: str = "the document") -> CountedGraph:
    """Inverse of `to_gexf`; errors as in `from_graphml`."""
    return _read(text, where, lambda file: nx.read_gexf(file, version="1.2draft"), "GEXF")


def _networkx(graph: MoralGraph | CountedGraph) -> nx.MultiDiGraph:
    counted = as_counted(graph)
    made = nx.MultiDiGraph()
    made.add_nodes_from(node_attributes(counted).items())
    for number, (source, wiser, attributes) in enumerate(edge_attributes(counted)):
        made.add_edge(source, wiser, key=f"e{number}", **attributes)
    return made


def _read(text: str, where: str, reader: Any, kind: str) -> CountedGraph:
    if _DECLARATION.search(text):
        raise DataError(f"The {kind} file declares entities.", where=where, fix="Remove its DOCTYPE.")
    try:
        made = reader(io.BytesIO(text.encode()))
    except (ParseError, nx.NetworkXException, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"The file is no valid {kind}: {error}.", where=where, fix="Export it again.") from error
    return counted_from(dict(made.nodes(data=True)), list(made.edges(data=True)), where)
