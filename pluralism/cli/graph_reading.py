"""Cards and groups of participants from files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pluralism.errors import DataError

if TYPE_CHECKING:
    from pluralism.elicitation.values_card import ValuesCard

__all__ = ["read_cards", "read_groups"]


def read_cards(path: Path) -> dict[str, ValuesCard]:
    """Values cards from a JSON list, or a table with the columns title, policies, and perhaps id, description, context.

    Policies are a list or, in a table, a JSON list. A card without an id has that of its content.

    Raises
    ------
    DataError
        Naming file and card of what is wrong.
    """
    from pluralism.elicitation.exports.graph_files import graph_text
    from pluralism.elicitation.exports.whole_graph import parsed, placed
    from pluralism.elicitation.values_card import ValuesCard

    if path.suffix.lower() == ".json":
        if not path.exists():
            raise DataError("There is no such file.", where=str(path), fix="Check the path.")
        document = parsed(graph_text(path), str(path))
        listed = document.get("values", document.get("cards")) if isinstance(document, Mapping) else document
        if not isinstance(listed, list):
            raise DataError("The file holds no list of cards.", where=str(path), fix="Write a JSON list of objects.")
    else:
        listed = _rows(path)
    cards: dict[str, ValuesCard] = {}
    for place, one in enumerate(listed, 1):
        where = f"{path}, card {place}"
        try:
            card = ValuesCard.from_dict(_with_policies(one, where))
        except DataError as error:
            raise placed(error, where) from error
        name = str(one["id"]) if one.get("id") is not None else card.id
        if cards.get(name, card) != card:
            raise DataError(f"Two cards have the id {name!r}.", where=where, fix="Give each an id of its own.")
        cards[name] = card
    return cards


def read_groups(path: Path) -> dict[str, str]:
    """Groups of participants from a table with the columns participant and group.

    Raises
    ------
    DataError
        If a column is missing.
    """
    found = {}
    for place, row in enumerate(_rows(path), 1):
        if "participant" not in row or "group" not in row:
            raise DataError(
                "The table lacks participant or group.", where=str(path), fix="Give both columns, one row a person."
            )
        if row["participant"] is None:
            raise DataError("A participant is missing.", where=f"{path}, row {place}", fix="Fill it in.")
        if row["group"] is not None:
            found[str(row["participant"])] = str(row["group"])
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa

    from pluralism.data.columns import plain_column
    from pluralism.data.files_io import read_source

    columns = read_source(path).columns
    plain = {name: plain_column(column) if isinstance(column, list) else column for name, column in columns.items()}
    rows: list[dict[str, Any]] = pa.table(plain).to_pylist()
    return rows


def _with_policies(one: Any, where: str) -> Mapping[str, Any]:
    """A card whose policies may be a JSON list in a cell."""
    if not isinstance(one, Mapping):
        raise DataError("A card is an object with title and policies.", where=where, fix="Write one object a card.")
    policies = one.get("policies")
    if not isinstance(policies, str):
        return one
    try:
        return {**one, "policies": json.loads(policies)}
    except json.JSONDecodeError:
        raise DataError(
            "The policies are no JSON list.", where=where, fix='Write ["MOMENTS ...", "SIGNS ..."] in the cell.'
        ) from None
