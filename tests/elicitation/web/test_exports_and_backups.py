"""What is taken out of a study can be read again, and a copy of a database is a database."""

from __future__ import annotations

import io
import json
import stat
import threading
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from web_studies import join, play, take_part

from pluralism.data import Comparisons
from pluralism.elicitation import hash_chain
from pluralism.elicitation.exports.graph_files import read_any_graph
from pluralism.elicitation.exports.tables import read_csv_folder
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.web import schema
from pluralism.elicitation.web.backup import backup, restore
from pluralism.elicitation.web.database import Database
from pluralism.elicitation.web.exports import FORMATS
from pluralism.elicitation.web.service import Service
from pluralism.errors import NotFoundError, UsageError

FORMULA = "=HYPERLINK(1)"


@pytest.fixture
def voted(service, study):
    """A study in which three have voted, one of whom writes formulas; their ids."""
    people = [take_part(service, study), take_part(service, study, say=FORMULA, vote_comment=FORMULA)]
    return [*people, take_part(service, study)]


def test_graphs_are_read_as_they_were_exported(service, study, voted, folder: Path) -> None:
    graph = service.graphs.get(study.id).graph
    for format in ("json", "parquet", "graphml", "gexf", "dot", "published"):
        made = service.exports.make(study.id, format, by="organiser")
        assert made.media_type == FORMATS[format].media_type and made.filename.endswith(FORMATS[format].suffix)
        place = folder / made.filename
        place.write_bytes(made.content)
        read = read_any_graph(place)
        if format in ("json", "parquet"):
            assert read.to_dict() == graph.to_dict()
        else:
            assert set(read.cards) == set(graph.values)
            assert read.pooled().counts.sum() == graph.counted().counts.sum() == 12


def test_spreadsheets_run_nothing_and_lose_nothing(service, study, voted, folder: Path) -> None:
    made = service.exports.make(study.id, "csv", by="organiser")
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(folder / "tables")
    raw = (folder / "tables" / "votes.csv").read_text()
    assert f"'{FORMULA}" in raw and f",{FORMULA}" not in raw and f'"{FORMULA}' not in raw
    read, graph = read_csv_folder(folder / "tables"), service.graphs.get(study.id).graph
    assert read.votes.to_frame()["comment"].to_pylist() == graph.votes.to_frame()["comment"].to_pylist()
    assert FORMULA in read.votes.to_frame()["comment"].to_pylist()


def test_comparisons_are_what_models_read(service, study, voted, folder: Path) -> None:
    made = service.exports.make(study.id, "comparisons", by="organiser")
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        archive.extractall(folder)
    read = Comparisons.read(folder / "comparisons.parquet", items=folder / "items.parquet")
    assert read.n_users == 3 and len(read) == 12


def test_documents_hold_no_markup_of_participants(service, study, voted) -> None:
    attacker = join(service, study)
    service.people.interview(attacker.id).consent(("card", "chat", "research"))
    play(service, attacker.id, vote_comment="<img src=x onerror=alert(1)></script>")
    for format in ("page", "markdown"):
        content = service.exports.make(study.id, format, by="organiser").content.decode()
        assert "<img src=x" not in content
    lines = service.exports.make(study.id, "transcripts", by="organiser").content.decode().splitlines()
    assert [json.loads(line)["participant"] for line in lines] == [attacker.id]


def test_the_audit_holds_no_words_that_do_not_count(service, study, folder: Path) -> None:
    hidden, excluded = (
        take_part(service, study, say=f"The {word} keeper", vote_comment=f"{word} comment")
        for word in ("lighthouse", "excluded")
    )
    begun = join(service, study).id
    play(service, begun, until="survey", vote_comment="unfinished comment")
    card = next(row for row in service.moderation.cards(study.id) if row.participant_id == hidden)
    service.moderation.hide_card(study.id, card.id, reason="It names somebody.", by="anna")
    service.moderation.exclude(excluded, reason="A machine.", by="anna")
    take_part(service, study, vote_comment="counted comment")
    made = service.exports.make(study.id, "audit", by="anna")
    (folder / made.filename).write_bytes(made.content)
    read = MoralGraph.read(folder / made.filename)
    for text in (card.card.title, card.card.description, "excluded comment", excluded, "unfinished comment", begun):
        assert text not in made.content.decode()
    assert "counted comment" in made.content.decode()
    counted = service.graphs.get(study.id).graph.votes.to_frame().drop_columns(["story"])
    assert read.votes.to_frame().drop_columns(["story"]).equals(counted)
    found = hash_chain.audit(read, head=service.audit.head(study.id).votes)
    assert found.ok and found.since == 0 and found.n_votes + found.n_erased == service.studies.counts(study.id).votes


def test_exports_are_listed_with_what_became_of_them(service, study, voted) -> None:
    first = service.exports.make(study.id, "json", by="anna")
    take_part(service, study)
    second = service.exports.make(study.id, "dot", by="ben")
    rows = service.exports.made(study.id)
    assert [(row.id, row.format, row.by, row.reason) for row in rows] == [
        (second.id, "dot", "ben", None),
        (first.id, "json", "anna", "changed"),
    ]
    with pytest.raises(UsageError, match="no export"):
        service.exports.make(study.id, "exe", by="anna")
    with pytest.raises(NotFoundError):
        service.exports.made("0" * 32)


def test_an_empty_study_can_be_exported_in_every_format(service, study) -> None:
    for format in FORMATS:
        if format != "comparisons":
            service.exports.make(study.id, format, by="anna")


def test_a_backup_made_while_others_write_is_whole(service, study, folder: Path) -> None:
    stop = threading.Event()

    def write():
        while not stop.is_set():
            take_part(service, study)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copies = [backup(service.database, folder / f"copy {number}.db") for number in range(3)]
    finally:
        stop.set()
        writer.join()
    for place in copies:
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        with closing(Service.open(place)) as copy:
            assert copy.audit.verify(study.id).ok
            assert copy.studies.counts(study.id).joined <= service.studies.counts(study.id).joined
    assert not list(folder.glob("*.tmp*"))
    with pytest.raises(UsageError, match="already"):
        backup(service.database, copies[0])


def test_a_copy_is_restored_into_an_empty_database_of_either_kind(service, study, voted, folder: Path, request) -> None:
    place = backup(service.database, folder / "copy.db")
    addresses = [str(folder / "new.db")]
    if not service.database.is_sqlite:
        addresses.append(request.getfixturevalue("postgres")())
    for address in addresses:
        with closing(Database(address)) as empty:
            restore(place, empty)
            with pytest.raises(UsageError, match="not empty"):
                restore(place, empty)
        with closing(Service.open(address)) as restored:
            assert restored.audit.verify(study.id).heads == service.audit.head(study.id)
            assert restored.studies.counts(study.id) == service.studies.counts(study.id)
            assert counts_of(restored, study) == counts_of(service, study)
            assert restored.people.interview(voted[0]).events == service.people.interview(voted[0]).events
            take_part(restored, study)
            assert restored.audit.verify(study.id).ok


def counts_of(service, study):
    return service.graphs.get(study.id, fresh=True).graph.counted().counts.tolist()


def test_an_old_copy_is_brought_up_to_date(service, study, voted, folder: Path) -> None:
    place = backup(service.database, folder / "copy.db")
    with closing(Database(place)) as copy:
        schema.downgrade(copy, "0001")
    with closing(Database(folder / "new.db")) as empty:
        restore(place, empty)
        assert schema.revision_of(empty) == "0002"
    with pytest.raises(UsageError, match="no such file"):
        restore(folder / "none.db", service.database)
