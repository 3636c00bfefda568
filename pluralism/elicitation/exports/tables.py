"""A moral graph as a folder of CSV files that spreadsheets open without running anything in them.

values.csv has one row a card, edges.csv one a pair and context, votes.csv one a vote. A cell that begins with a
character that a spreadsheet takes for a formula (= + - @, tab, carriage return), or with an apostrophe, gets an
apostrophe before it; reading takes it away again, so that nothing is lost.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pluralism.data.columns import plain_column, require_columns
from pluralism.data.files_io import read_source, write_table
from pluralism.data.sources import Source
from pluralism.elicitation.counted_graph import CountedGraph
from pluralism.elicitation.exports.counted_nodes import as_counted, counted_from, node_attributes
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import VoteLog
from pluralism.errors import DataError

__all__ = ["formula_safe", "from_formula_safe", "read_csv_folder", "write_csv_folder"]

_RISKY = r"^['=+\-@\t\r]"


def formula_safe(table: pa.Table) -> pa.Table:
    """The table with an apostrophe before every text that a spreadsheet might run; headers and numbers stay."""
    for i, field in enumerate(table.schema):
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = table.column(i)
            risky = pc.fill_null(pc.match_substring_regex(column, _RISKY), False)
            marked = pc.binary_join_element_wise(pa.scalar("'", field.type), column, pa.scalar("", field.type))
            table = table.set_column(i, field, pc.if_else(risky, marked, column))
    return table


def from_formula_safe(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Inverse of `formula_safe` for one column of texts."""
    return pc.replace_substring_regex(column, pattern=r"^'", replacement="")


def write_csv_folder(graph: MoralGraph | CountedGraph, folder: str | Path) -> None:
    """Write values.csv, edges.csv and, where there are votes, votes.csv into a folder, which is made if need be."""
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    counted = as_counted(graph)
    cards = graph.cards
    values = pa.table(
        {
            "id": list(cards),
            "title": [card.title for card in cards.values()],
            "description": [card.description for card in cards.values()],
            "policies": [json.dumps(list(card.policies), ensure_ascii=False) for card in cards.values()],
            "context": pa.array([card.context for card in cards.values()], pa.string()),
        }
    )
    write_table(formula_safe(values), place / "values.csv")
    write_table(formula_safe(counted.to_frame()), place / "edges.csv")
    if isinstance(graph, MoralGraph):
        write_table(formula_safe(graph.votes.to_frame()), place / "votes.csv")


def read_csv_folder(folder: str | Path) -> MoralGraph | CountedGraph:
    """Read a folder that `write_csv_folder` wrote: votes where there are some, else counts.

    Merges, groups and cases are in no table, and are not read back.

    Raises
    ------
    DataError
        Naming file, row and column of what is wrong.
    """
    place = Path(folder)
    if not (place / "values.csv").exists():
        raise DataError("There is no values.csv.", where=str(place), fix="Name the folder that the export wrote.")
    cards = _cards(_plain(place / "values.csv"), str(place / "values.csv"))
    if (place / "votes.csv").exists():
        return MoralGraph(cards, VoteLog.from_frame(_plain(place / "votes.csv").columns))
    edges = _plain(place / "edges.csv")
    require_columns(edges, ("source", "wiser", "upgrade", "no_upgrade", "not_sure"), "edges.csv has counts by pair.")
    rows = pa.table({name: plain_column(column) for name, column in edges.columns.items()}).to_pylist()
    listed = [(row["source"], row["wiser"], {**row, "context": row.get("context") or ""}) for row in rows]
    none = np.zeros(0, dtype=np.int32)
    alone = CountedGraph(cards, ("",), none, none, none, np.zeros((0, 3), dtype=np.int64))
    return counted_from(node_attributes(alone), listed, str(place / "edges.csv"))


def _plain(path: Path) -> Source:
    source = read_source(path)
    columns = {name: from_formula_safe(plain_column(column)) for name, column in source.columns.items()}
    return Source(source.name, dict(columns), source.n_rows, source.metadata, source.lines)


def _cards(source: Source, where: str) -> dict[str, ValuesCard]:
    require_columns(source, ("id", "title", "policies"), "values.csv has id, title, description, policies, context.")
    cards = {}
    rows = pa.table({name: plain_column(column) for name, column in source.columns.items()}).to_pylist()
    for number, row in enumerate(rows, 1):
        try:
            policies = json.loads(row["policies"] or "")
        except json.JSONDecodeError:
            raise DataError(
                "The policies are no JSON list.",
                where=f"{where}, row {number}",
                fix='Write ["MOMENTS ...", "SIGNS ..."].',
            ) from None
        cards[str(row["id"])] = ValuesCard.from_dict({**row, "policies": policies})
    return cards
