"""Moral graphs in files, by suffix."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.dot import from_dot, to_dot
from pluralism.elicitation.exports.page_reading import from_page
from pluralism.elicitation.exports.published_json import from_published, is_published
from pluralism.elicitation.exports.tables import read_csv_folder
from pluralism.elicitation.exports.whole_graph import (
    check_votes,
    graph_from_dict,
    graph_to_dict,
    graph_without_votes,
    parsed,
)
from pluralism.elicitation.exports.xml_graphs import from_gexf, from_graphml, to_gexf, to_graphml
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import SCHEMA
from pluralism.errors import DataError, UsageError
from pluralism.files import atomic_path, atomic_write
from pluralism.files.atomic import storage_error

__all__ = ["graph_text", "read_any_graph", "read_graph", "write_graph"]

_METADATA = b"pluralism.moral-graph"

_WRITERS: dict[str, Callable[[MoralGraph | CountedGraph], str]] = {
    ".graphml": to_graphml,
    ".gexf": to_gexf,
    ".dot": to_dot,
    ".gv": to_dot,
}
_READERS: dict[str, Callable[[str, str], CountedGraph]] = {
    ".html": from_page,
    ".htm": from_page,
    ".graphml": from_graphml,
    ".gexf": from_gexf,
    ".dot": from_dot,
    ".gv": from_dot,
}


def write_graph(graph: MoralGraph | CountedGraph, path: str | Path) -> None:
    """Write a graph, whole or not at all.

    .json and .parquet hold a `MoralGraph` with all its history; .graphml, .gexf and .dot hold values and counts.

    Raises
    ------
    UsageError
        If the suffix is another, or the graph has no votes and the format needs them.
    """
    place = Path(path)
    suffix = place.suffix.lower()
    if suffix in _WRITERS:
        atomic_write(place, _WRITERS[suffix](graph))
    elif suffix not in (".json", ".parquet"):
        raise UsageError(
            f"A moral graph cannot be written as {place.name!r}.",
            fix=f"Use one of {', '.join(('.json', '.parquet', *_WRITERS))}.",
        )
    elif isinstance(graph, CountedGraph):
        raise UsageError(
            "These are counts without the votes behind them.",
            fix="Write them as .graphml, .gexf or .dot, or as JSON with to_published.",
        )
    elif suffix == ".json":
        atomic_write(place, json.dumps(graph_to_dict(graph), ensure_ascii=False) + "\n")
    else:
        _write_parquet(graph, place)


def read_graph(path: str | Path) -> MoralGraph:
    """Read a graph that `write_graph` wrote as .json or .parquet.

    Raises
    ------
    DataError
        If the file is missing, damaged, or holds counts alone.
    """
    graph = read_any_graph(path)
    if isinstance(graph, CountedGraph):
        raise DataError(
            "The file holds counts without the votes behind them.", where=str(path), fix="Use read_any_graph(path)."
        )
    return graph


def read_any_graph(path: str | Path) -> MoralGraph | CountedGraph:
    """Read a graph from any format.

    Whole graphs are in .json and .parquet files and in folders of CSV files; counts alone in .json as the original
    published it, .graphml, .gexf, .dot, and in the .html page of a graph.

    Raises
    ------
    DataError
        If the file is missing, damaged, or of another kind.
    """
    place = Path(path)
    if place.is_dir():
        return read_csv_folder(place)
    if not place.exists():
        raise DataError("There is no such file.", where=str(place), fix="Check the path and the working directory.")
    suffix = place.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(place)
    if suffix != ".json" and suffix not in _READERS:
        raise DataError(
            f"Files ending in {suffix or 'nothing'!r} hold no moral graph.",
            where=str(place),
            fix=f"Use one of {', '.join(('.json', '.parquet', *_READERS))}, or a folder of CSV files.",
        )
    text = graph_text(place)
    if suffix in _READERS:
        return _READERS[suffix](text, str(place))
    document = parsed(text, str(place))
    if is_published(document):
        return from_published(document, where=str(place))
    return graph_from_dict(document, where=str(place))


def graph_text(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    DataError
        If it is not UTF-8.
    StorageError
        If it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"The file is not UTF-8: {error.reason}.", where=str(path), fix="Save it in UTF-8.") from error
    except OSError as cause:
        raise storage_error("read", path, cause) from cause


def _write_parquet(graph: MoralGraph, path: Path) -> None:
    import pyarrow.parquet

    rest = json.dumps(graph_without_votes(graph), ensure_ascii=False).encode()
    table = graph.votes.table.replace_schema_metadata({_METADATA: rest})
    with atomic_path(path) as temporary:
        pyarrow.parquet.write_table(table, temporary, compression="zstd")


def _read_parquet(path: Path) -> MoralGraph:
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"The file cannot be read: {error}", where=str(path), fix="Check that it is whole.") from error
    rest: Any = (table.schema.metadata or {}).get(_METADATA)
    if rest is None:
        raise DataError(
            "The file holds no moral graph, only a table.",
            where=str(path),
            fix="Build a graph of votes with MoralGraph(cards).with_votes(VoteLog.read(path)).",
        )
    table = table.replace_schema_metadata(None)
    if not table.schema.equals(SCHEMA):
        raise DataError("The votes have other columns than they should.", where=str(path), fix="Export it again.")
    check_votes(table)
    return graph_from_dict(parsed(rest, str(path)), where=str(path), votes=table)
