"""The sealed votes of a study for everybody: the content of what counts, and digests alone of the rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from pluralism.elicitation.moral_graph import MoralGraph, Tombstone
from pluralism.elicitation.web.built_graph import counted_people, study_cards
from pluralism.elicitation.web.sealed_votes import ERASED_VALUE, sealed_graph, vote_rows, vote_table
from pluralism.elicitation.web.study import Study

__all__ = ["audit_graph"]


def audit_graph(connection: Connection, study: Study) -> MoralGraph:
    """Every vote with its digest, and with its content and salt where it counts in the moral graph.

    Rows of other votes (of unfinished interviews, of people who are excluded, on cards that cannot be shown) are empty
    but for their digests, and cards that cannot be shown are without their text. One tombstone more, without a time,
    accounts for these rows, so that `pluralism graph verify` follows the whole chain.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        On which everything is read at one moment.
    study : Study
    """
    sealed = sealed_graph(connection, study.id)
    shown, _ = study_cards(connection, study.id)
    finished, excluded = counted_people(connection, study)
    rows, withheld = [], 0
    for row in vote_rows(connection, study.id):
        counts = row["participant_id"] in finished - excluded and {row["source_id"], row["wiser_id"]} <= shown.keys()
        if counts or row["participant_id"] is None:
            rows.append(row)
        else:
            rows.append(_emptied(row))
            withheld += 1
    return replace(
        sealed,
        cards={name: shown.get(name, ERASED_VALUE) for name in sealed.cards},
        votes=vote_table(rows),
        tombstones=(*sealed.tombstones, *([Tombstone(withheld)] if withheld else [])),
    )


def _emptied(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value if name == "digest" else None for name, value in row.items()}
