"""A whole moral graph as one document, history included: the format that everything can be computed from again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluralism.elicitation.ballots import Contradiction
from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.merges import MergeLog
from pluralism.elicitation.moral_graph import MoralGraph, Tombstone
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS, SCHEMA, VoteLog
from pluralism.errors import DataError, PluralismError

__all__ = [
    "FORMAT",
    "VERSION",
    "check_votes",
    "graph_from_dict",
    "graph_to_dict",
    "graph_without_votes",
    "parsed",
    "placed",
]

FORMAT, VERSION = "pluralism.moral-graph", 1

_BINARY = ("salt", "digest")


def graph_to_dict(graph: MoralGraph) -> dict[str, Any]:
    """The graph as plain types: cards, merges, cases, hypotheses, groups, tombstones, and votes column by column."""
    return {**graph_without_votes(graph), "votes": _columns(graph.votes.table)}


def graph_without_votes(graph: MoralGraph) -> dict[str, Any]:
    """All of `graph_to_dict` but the votes."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "cards": [{"id": name, **card.to_dict()} for name, card in graph.cards.items()],
        "card_merges": graph.card_merges.to_list(),
        "context_merges": graph.context_merges.to_list(),
        "cases": {case: list(contexts) for case, contexts in graph.cases.items()},
        "hypotheses": [hypothesis.to_dict() for hypothesis in graph.hypotheses],
        "groups": dict(graph.groups),
        "tombstones": [{"n_votes": stone.n_votes, "time": stone.time} for stone in graph.tombstones],
        "contradiction": graph.contradiction,
    }


def graph_from_dict(document: Any, *, where: str = "the document", votes: pa.Table | None = None) -> MoralGraph:
    """Inverse of `graph_to_dict`.

    Parameters
    ----------
    document : mapping
        Parsed JSON.
    where : str
        What to call it in messages.
    votes : pyarrow.Table, optional
        Of the schema of votes; left out, they are in the document.

    Raises
    ------
    DataError
        If it is no moral graph, of a version that is not known, or damaged.
    """
    if not isinstance(document, Mapping) or document.get("format") != FORMAT:
        raise DataError(
            "This is no moral graph of this package.",
            where=where,
            fix=f"A moral graph has format={FORMAT!r}; see pluralism.elicitation.exports for other formats.",
        )
    if document.get("version") != VERSION:
        raise DataError(
            f"The moral graph has version {document.get('version')!r}, and this package reads {VERSION}.",
            where=where,
            fix="Upgrade pluralism, or export the graph again.",
        )
    try:
        contradiction: Contradiction = document["contradiction"]
        return MoralGraph(
            cards={_text(card["id"]): ValuesCard.from_dict(card) for card in document["cards"]},
            votes=VoteLog(_table(document["votes"]) if votes is None else votes),
            card_merges=MergeLog.from_list(document["card_merges"]),
            context_merges=MergeLog.from_list(document["context_merges"]),
            cases={_text(case): tuple(map(_text, contexts)) for case, contexts in document["cases"].items()},
            hypotheses=tuple(UpgradeHypothesis.from_dict(one) for one in document["hypotheses"]),
            groups={_text(name): _text(group) for name, group in document["groups"].items()},
            tombstones=tuple(Tombstone(int(one["n_votes"]), _text(one["time"])) for one in document["tombstones"]),
            contradiction=contradiction,
        )
    except PluralismError as error:
        raise placed(error, where) from error
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, pa.ArrowException) as error:
        raise DataError(
            f"The moral graph is damaged: {type(error).__name__}: {error}.", where=where, fix="Export it again."
        ) from error


def placed(error: PluralismError, where: str) -> DataError:
    """The same error, with the name of the file before what is wrong in it."""
    if error.where is not None and error.where.startswith(where):
        return DataError(error.what, where=error.where, fix=error.fix)
    return DataError(error.what, where=where if error.where is None else f"{where}: {error.where}", fix=error.fix)


def _columns(table: pa.Table) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {}
    for field in SCHEMA:
        column = table[field.name].combine_chunks()
        if field.name == "time":
            stamps = np.datetime_as_string(np.asarray(column.to_numpy(zero_copy_only=False), dtype="datetime64[us]"))
            columns["time"] = [None if word == "NaT" else word + "Z" for word in stamps.tolist()]
        elif field.name in _BINARY:
            columns[field.name] = [None if raw is None else raw.hex() for raw in column.to_pylist()]
        else:
            columns[field.name] = column.to_pylist()
    # columns that nothing fills are left out
    return {name: column for name, column in columns.items() if not column or any(v is not None for v in column)}


def _table(columns: Mapping[str, Sequence[Any]]) -> pa.Table:
    n = max(map(len, columns.values()), default=0)
    unknown = columns.keys() - set(SCHEMA.names)
    if unknown:
        raise ValueError(f"votes have no column {sorted(unknown)[0]!r}")
    read = {}
    for field in SCHEMA:
        values = columns.get(field.name, [None] * n)
        if field.name == "time":
            words = ["NaT" if word is None else _text(word).removesuffix("Z") for word in values]
            read["time"] = pa.array(np.array(words, dtype="datetime64[us]"), field.type)
        elif field.name in _BINARY:
            read[field.name] = pa.array([None if text is None else bytes.fromhex(text) for text in values], field.type)
        else:
            read[field.name] = pa.array(values, field.type)
    table = pa.table(read, SCHEMA)
    check_votes(table)
    return table


def check_votes(table: pa.Table) -> None:
    """Refuse votes that `VoteLog.from_frame` would have refused: unknown answers, gaps, a value against itself."""
    kept = table.filter(table["participant"].is_valid())
    for name in ("source", "wiser", "context", "answer"):
        if kept[name].null_count:
            raise DataError(f"A vote has no {name}.", fix="Export the graph again.")
    if not pc.all(pc.is_in(kept["answer"], value_set=pa.array(ANSWERS, pa.large_string()))).as_py() and len(kept):
        raise DataError("A vote has an unknown answer.", fix=f"Answers are {', '.join(ANSWERS)}.")
    if pc.any(pc.equal(kept["source"], kept["wiser"])).as_py():
        raise DataError("A vote judges a value against itself.", fix="Remove it.")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a text is needed, not {value!r}")
    return value


def parsed(text: str | bytes, where: str) -> Any:
    """JSON from a file.

    Raises
    ------
    DataError
        Naming the line of what cannot be read.
    """
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        place = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(
            f"The file is not valid JSON: {error}.", where=f"{where}{place}", fix="Check the file."
        ) from error
