"""What recorded interviews add to a moral graph."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pluralism.errors import DataError

if TYPE_CHECKING:
    from pluralism.elicitation.moral_graph import MoralGraph

__all__ = ["with_interviews"]


def with_interviews(
    graph: MoralGraph, records: Sequence[Path], *, partial: bool
) -> tuple[MoralGraph, dict[str, list[str]]]:
    """The graph with the interviews in these files, and which files counted, were not done, or were withdrawn.

    Parameters
    ----------
    records : sequence of Path
        As `pluralism interview --out` writes them.
    partial : bool
        Whether interviews that are not done count, with what there is.

    Raises
    ------
    DataError
        If a file is missing, empty or damaged.
    """
    from pluralism.elicitation.exports.whole_graph import placed
    from pluralism.elicitation.interview import JsonlStore, contribute, fold

    found: dict[str, list[str]] = {"counted": [], "not_done": [], "withdrawn": []}
    for record in records:
        if not record.is_file():
            raise DataError("There is no such file.", where=str(record), fix="Check the path.")
        try:
            state = fold(JsonlStore(record).read())
        except DataError as error:
            raise placed(error, str(record)) from error
        if state.halted == "withdrawn":
            found["withdrawn"].append(str(record))
        elif state.phase != "done" and not partial:
            found["not_done"].append(str(record))
        else:
            graph = contribute(graph, state, partial=partial)
            found["counted"].append(str(record))
    return graph, found
