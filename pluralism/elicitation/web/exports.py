"""What organisers take away from a study, and which of it has become stale since."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection, insert, select

from pluralism.elicitation.exports.comparisons import to_comparisons
from pluralism.elicitation.exports.graph_files import write_graph
from pluralism.elicitation.exports.markdown import markdown_report
from pluralism.elicitation.exports.page import graph_page
from pluralism.elicitation.exports.published_json import to_published
from pluralism.elicitation.exports.tables import write_csv_folder
from pluralism.elicitation.exports.whole_graph import graph_to_dict
from pluralism.elicitation.interview.fold import fold
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.audit_export import audit_graph
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.event_rows import events_of
from pluralism.elicitation.web.graphs import Graphs, purges_of
from pluralism.elicitation.web.people import RESEARCH
from pluralism.elicitation.web.studies import load_study
from pluralism.elicitation.web.study_transaction import Clock, new_id, study_transaction
from pluralism.errors import UsageError

__all__ = ["FORMATS", "Export", "ExportFormat", "ExportRow", "Exports"]


@dataclass(frozen=True)
class ExportFormat:
    """A kind of file.

    Attributes
    ----------
    name, title, suffix, media_type : str
    holds_speech : bool
        Whether it holds what participants said in interviews, of those who consent to research.
    """

    name: str
    title: str
    suffix: str
    media_type: str
    holds_speech: bool = False


FORMATS: Mapping[str, ExportFormat] = {
    one.name: one
    for one in (
        ExportFormat("json", "Whole graph, with its history", ".json", "application/json"),
        ExportFormat("parquet", "Whole graph, with its history", ".parquet", "application/vnd.apache.parquet"),
        ExportFormat("graphml", "Values and counts", ".graphml", "application/graphml+xml"),
        ExportFormat("gexf", "Values and counts", ".gexf", "application/gexf+xml"),
        ExportFormat("dot", "Values and counts", ".dot", "text/vnd.graphviz"),
        ExportFormat("csv", "Tables for spreadsheets", ".zip", "application/zip"),
        ExportFormat("published", "Values and edges as the original publishes them", ".json", "application/json"),
        ExportFormat("markdown", "Report", ".md", "text/markdown; charset=utf-8"),
        ExportFormat("page", "Interactive page", ".html", "text/html; charset=utf-8"),
        ExportFormat("comparisons", "Comparisons, for preference models", ".zip", "application/zip"),
        ExportFormat("audit", "Sealed votes, for `pluralism graph verify`", ".json", "application/json"),
        ExportFormat("transcripts", "Interviews of those who allow it", ".jsonl", "application/jsonl", True),
    )
}


@dataclass(frozen=True, repr=False)
class Export:
    """A file.

    Attributes
    ----------
    id, filename, media_type : str
    content : bytes
    version : int
        Of the study.
    made_at : datetime
    """

    id: str
    filename: str
    media_type: str
    content: bytes
    version: int
    made_at: datetime

    def __repr__(self) -> str:
        return f"Export({self.filename!r}, {len(self.content):,} bytes)"


@dataclass(frozen=True)
class ExportRow:
    """That a file was made.

    Attributes
    ----------
    id, format, by : str
    made_at : datetime
    version : int
    stale : bool
        Whether the study has changed since.
    reason : {"deletion", "changed"} or None
        "deletion": somebody who was in it has been deleted, so it should be thrown away.
    """

    id: str
    format: str
    by: str
    made_at: datetime
    version: int
    stale: bool
    reason: Literal["deletion", "changed"] | None


class Exports:
    """The exports of a database.

    Parameters
    ----------
    database : Database
    clock : callable
    graphs : Graphs
    """

    def __init__(self, database: Database, clock: Clock, graphs: Graphs) -> None:
        self._database, self._clock, self._graphs = database, clock, graphs

    def make(self, study_id: str, format: str, *, by: str) -> Export:
        """Make a file of what the study has now; that it was made is written to the log.

        Parameters
        ----------
        study_id : str
        format : str
            A name of `FORMATS`.
        by : str
            The id of the organiser's link.

        Raises
        ------
        UsageError
            There is no such format.
        NotFoundError
            There is no such study.
        """
        if format not in FORMATS:
            raise UsageError(f"There is no export {format!r}.", fix=f"There is {', '.join(FORMATS)}.")
        name, chosen = new_id(), FORMATS[format]
        while True:
            with self._database.read() as connection:
                purges = purges_of(connection, study_id)
            content, version = self._content(study_id, format)
            with study_transaction(self._database, study_id, self._clock()) as transaction:
                # What was deleted meanwhile is not given away.
                if transaction.purges != purges:
                    continue
                transaction.connection.execute(
                    insert(tables.derived).values(
                        id=name,
                        study_id=study_id,
                        kind=_kind(format),
                        version=version,
                        made_at=transaction.at,
                        made_by=by,
                        outdated_by_deletion=False,
                    )
                )
                transaction.log(by, "exported", name, {"format": format, "version": version})
                made_at = transaction.at
            break
        filename = f"{made_at:%Y-%m-%d-%H%M%S}-{format}{chosen.suffix}"
        return Export(name, filename, chosen.media_type, content, version, made_at)

    def _content(self, study_id: str, format: str) -> tuple[bytes, int]:
        """The file, and the version of the study that it is of."""
        with self._database.read() as connection:
            study = load_study(connection, study_id)
            if format == "audit":
                return (json.dumps(graph_to_dict(audit_graph(connection, study))) + "\n").encode(), study.version
            if format == "transcripts":
                return _transcripts(connection, study_id), study.version
        stored = self._graphs.get(study_id, fresh=True)
        return _CONTENT[format](stored.graph, study.title), stored.version

    def made(self, study_id: str) -> tuple[ExportRow, ...]:
        """The files that were made, the newest first.

        Raises
        ------
        NotFoundError
            There is no such study.
        """
        kept, rows = tables.derived.c, []
        with self._database.read() as connection:
            version = load_study(connection, study_id).version
            found = connection.execute(
                select(kept.id, kept.kind, kept.made_by, kept.made_at, kept.version, kept.outdated_by_deletion)
                .where(kept.study_id == study_id, kept.kind.like(_kind("%")))
                .order_by(kept.made_at.desc(), kept.id)
            )
            for row in found:
                stale = row.version != version
                reason: Literal["deletion", "changed"] | None = (
                    "deletion" if row.outdated_by_deletion else "changed" if stale else None
                )
                format = row.kind.removeprefix(_kind(""))
                rows.append(ExportRow(row.id, format, row.made_by, row.made_at, row.version, stale, reason))
        return tuple(rows)


def _kind(format: str) -> str:
    return f"export:{format}"


def _transcripts(connection: Connection, study_id: str) -> bytes:
    people = tables.participants.c
    rows = connection.execute(
        select(people.id, people.scopes)
        .where(people.study_id == study_id, people.deleted_at.is_(None))
        .order_by(people.joined_at, people.id)
    )
    allowed = [row.id for row in rows if RESEARCH in json.loads(row.scopes)]
    lines = [fold(events_of(connection, name)).to_json() + "\n" for name in allowed]
    return "".join(lines).encode()


def _file(graph: MoralGraph, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / f"graph{suffix}"
        write_graph(graph, place)
        return place.read_bytes()


def _zipped(write: Callable[[Path], None]) -> bytes:
    packed = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for place in sorted(Path(folder).iterdir()):
                archive.write(place, place.name)
    return packed.getvalue()


def _write_comparisons(graph: MoralGraph, folder: Path) -> None:
    # By ids, as two people may have confirmed the same words.
    found = to_comparisons(graph)
    found.write(folder / "comparisons.parquet", as_ids=True)
    found.items.write(folder / "items.parquet")


_CONTENT: Mapping[str, Callable[[MoralGraph, str], bytes]] = {
    "json": lambda graph, title: _file(graph, ".json"),
    "parquet": lambda graph, title: _file(graph, ".parquet"),
    "graphml": lambda graph, title: _file(graph, ".graphml"),
    "gexf": lambda graph, title: _file(graph, ".gexf"),
    "dot": lambda graph, title: _file(graph, ".dot"),
    "csv": lambda graph, title: _zipped(lambda folder: write_csv_folder(graph, folder)),
    "published": lambda graph, title: json.dumps(to_published(graph, kept=False), ensure_ascii=False).encode(),
    "markdown": lambda graph, title: markdown_report(graph, title=title).encode(),
    "page": lambda graph, title: graph_page(graph, title=title).encode(),
    "comparisons": lambda graph, title: _zipped(lambda folder: _write_comparisons(graph, folder)),
}
