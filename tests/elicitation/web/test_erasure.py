"""Deletion: no text and no person is left anywhere, the chains hold, and what was derived is stale."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select, text
from web_studies import age, join, play, take_part

from pluralism.elicitation.interview import ScriptedInterviewer
from pluralism.elicitation.web import database, erasure, graphs, people, tables
from pluralism.elicitation.web.event_rows import ERASED
from pluralism.elicitation.web.service import Service
from pluralism.elicitation.web.tables import METADATA

WORD = "zyxwvut"
SAID = f"The {WORD} keeper of the lighthouse"


@pytest.fixture
def left(service, study):
    """Somebody who spoke, voted and said who they are; somebody who saw their card; ids of both."""
    service.studies.change(study.id, by="organiser", demographics=(age(),))
    ann = join(service, study).id
    play(service, ann, until="context")
    service.demographics.answer(ann, {"age": "old"})
    play(service, ann, say=SAID, vote_comment=f"My {WORD} says so.")
    bob = take_part(service, study)
    shown = service.people.interview(bob).state
    assert WORD in shown.to_json() or any(WORD in item.story for item in shown.ballot)
    return ann, bob


def everything(service):
    """All that the tables hold, as one text."""
    with service.database.read() as connection:
        return "\n".join(str(row) for table in METADATA.sorted_tables for row in connection.execute(select(table)))


def bytes_on_disk(service):
    """All that the files of the database hold; on PostgreSQL, those of its tables."""
    if service.database.is_sqlite:
        place = Path(service.database.url.database)
        return b"".join(path.read_bytes() for path in place.parent.glob(f"{place.name}*"))
    with service.database.write() as connection:
        connection.execute(text("CHECKPOINT"))
        data = Path(connection.execute(text("SHOW data_directory")).scalar_one())
        paths = connection.execute(
            text("SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 't', 'i') AND relfilenode <> 0")
        ).scalars()
        return b"".join(path.read_bytes() for name in paths for path in data.glob(f"{name}*"))


def test_deleted_words_are_in_no_table_and_in_no_file(service, study, left) -> None:
    ann, bob = left
    service.graphs.get(study.id)
    service.exports.make(study.id, "json", by="organiser")
    assert WORD in everything(service) and WORD.encode() in bytes_on_disk(service)
    service.people.delete(ann, by=ann)
    assert WORD not in everything(service)
    assert WORD.encode() not in bytes_on_disk(service)
    for format in ("json", "csv", "page", "markdown", "audit", "transcripts", "published"):
        assert WORD.encode() not in service.exports.make(study.id, format, by="organiser").content
    state = service.people.interview(bob).state
    assert WORD not in state.to_json() and state.phase == "done"


def test_nothing_ties_what_is_left_to_the_person(service, study, left) -> None:
    ann, _ = left
    service.people.delete(ann, by="organiser link")
    with service.database.read() as connection:
        for table, column in (
            (tables.votes, "participant_id"),
            (tables.audit, "actor"),
            (tables.audit, "subject"),
            (tables.merges, "made_by"),
            (tables.demographics, "participant_id"),
        ):
            assert connection.execute(select(table).where(table.c[column] == ann)).all() == []
        erased = connection.execute(select(tables.audit).where(tables.audit.c.salt.is_(None))).all()
        assert erased and all(row.details is row.actor is row.subject is None for row in erased)
        assert all(
            row.salt is row.answer is row.source_id is None
            for row in connection.execute(select(tables.votes).where(tables.votes.c.participant_id.is_(None)))
        )
    person = service.people.get(ann)
    assert (person.phase, person.scopes, person.consent_version, person.link_id) == ("withdrawn", (), None, None)
    assert service.demographics.get(ann) == {}
    entry = service.audit.entries(study.id)[0]
    assert (entry.actor, entry.action, entry.details["votes"]) == ("organiser link", "deleted", 4)
    assert entry.details.keys() == {"votes", "events", "entries"}


def test_a_link_for_one_person_does_not_tell_their_name(service, study) -> None:
    for uses, kept in ((1, False), (None, True)):
        label = f"{WORD.title()} {uses}"
        link = service.links.create(study_id=study.id, role="participant", by="anna", label=label, max_uses=uses)
        joined = service.people.join(link.token, language="en", key="0123456789")
        service.people.delete(joined.participant.id, by="anna")
        assert service.people.by_link(link.link.id) == () and service.people.get(joined.participant.id).deleted_at
        assert (label in everything(service)) == (label.encode() in bytes_on_disk(service)) == kept
    assert service.audit.verify(study.id).ok


def test_the_chains_hold_and_continue_what_was_published_before(service, study, left) -> None:
    ann, bob = left
    before = service.audit.head(study.id)
    service.people.delete(ann, by=ann)
    audit = service.audit.verify(study.id, votes_head=before.votes, entries_head=before.entries)
    assert audit.ok and audit.votes.n_erased == 4
    assert audit.heads.votes == before.votes and audit.n_erased > 20
    service.people.delete(bob, by=bob)
    assert service.audit.verify(study.id, votes_head=before.votes, entries_head=before.entries).ok


def test_others_see_a_dash_where_the_card_was(service, study) -> None:
    ann = take_part(service, study, say=SAID)
    bob = join(service, study).id
    interview = play(service, bob, until="vote")
    mine = {
        number for number, item in enumerate(interview.state.ballot) if WORD in f"{item.source}{item.wiser}{item.story}"
    }
    assert mine
    service.people.delete(ann, by=ann)
    ballot = service.people.interview(bob).state.ballot
    for number, item in enumerate(ballot):
        assert (ERASED in (item.source.title, item.wiser.title)) == (item.story == ERASED) == (number in mine)
    assert play(service, bob).state.phase == "done"
    graph = service.graphs.get(study.id, fresh=True)
    assert graph.withheld_votes == len(mine) and graph.withheld_cards == 1
    assert service.audit.verify(study.id).ok


def test_withdrawing_by_the_interview_deletes_in_the_same_way(service, study, left) -> None:
    ann, _ = left
    service.people.interview(ann).withdraw(key="sure")
    assert WORD not in everything(service) and WORD.encode() not in bytes_on_disk(service)
    assert service.people.get(ann).deleted_at is not None
    service.people.interview(ann).withdraw()
    service.people.delete(ann, by=ann)
    assert [entry.action for entry in service.audit.entries(study.id)].count("deleted") == 1
    assert service.audit.verify(study.id).ok


def test_graphs_and_exports_from_before_are_stale(service, study, left) -> None:
    ann, _ = left
    kept = service.graphs.get(study.id)
    assert not kept.stale
    service.exports.make(study.id, "json", by="organiser")
    assert service.exports.made(study.id)[0].reason is None
    service.people.delete(ann, by=ann)
    assert [(row.stale, row.reason) for row in service.exports.made(study.id)] == [(True, "deletion")]
    rebuilt = service.graphs.get(study.id)
    assert rebuilt.version > kept.version and len(rebuilt.graph.participants) < len(kept.graph.participants) == 2
    assert ann not in json.dumps(rebuilt.graph.to_dict()) and len(rebuilt.graph.tombstones) == 1


def test_an_export_from_before_somebody_joined_is_not_outdated_by_their_deletion(service, study) -> None:
    service.exports.make(study.id, "json", by="organiser")
    ann = take_part(service, study)
    service.people.delete(ann, by=ann)
    assert service.exports.made(study.id)[0].reason == "changed"


def test_what_is_deleted_while_a_graph_is_built_does_not_come_back(service, study, left, monkeypatch) -> None:
    ann, _ = left
    build, builds = graphs.build_graph, []

    def slow(connection, of):
        found = build(connection, of)
        if not builds:
            service.people.delete(ann, by=ann)
        builds.append(found)
        return found

    monkeypatch.setattr(graphs, "build_graph", slow)
    monkeypatch.setattr(database, "_PATIENCE", 0.1)
    stored = service.graphs.get(study.id)
    assert len(builds) == 2 and WORD.encode() not in bytes_on_disk(service)
    assert WORD in str(builds[0].graph.cards) and WORD not in json.dumps(stored.graph.to_dict())


def test_what_is_deleted_while_an_export_is_made_is_not_in_it(service, study, left, monkeypatch) -> None:
    ann, _ = left
    content, contents = service.exports._content, []

    def slow(*given):
        contents.append(content(*given)[0])
        service.people.delete(ann, by=ann)
        return contents[-1], 0

    monkeypatch.setattr(service.exports, "_content", slow)
    made = service.exports.make(study.id, "json", by="organiser")
    assert len(contents) == 2 and WORD.encode() in contents[0]
    assert WORD.encode() not in made.content


def test_what_is_deleted_while_a_story_about_it_is_written_does_not_come_back(service, study) -> None:
    ann = take_part(service, study, say=SAID)
    bob = join(service, study).id

    class Slow(ScriptedInterviewer):
        def story(self, *given):
            service.people.delete(ann, by=ann)
            return super().story(*given)

    play(service, bob, until="card")
    interview = service.people.interview(bob, interviewer=Slow())
    interview.confirm_card(version=1)
    while interview.advance().awaits == "duplicate":
        interview.judge_duplicate(interview.state.next_proposal.card_id, "different")
    assert any(WORD in item.story for item in interview.state.ballot)
    assert WORD not in everything(service)
    assert any(item.story == ERASED for item in service.people.interview(bob).state.ballot)
    assert play(service, bob).state.phase == "done" and service.audit.verify(study.id).ok


def test_a_process_killed_after_a_deletion_leaves_the_rest_to_the_next_start(service, study, left, monkeypatch) -> None:
    ann, _ = left
    with monkeypatch.context() as killed:
        killed.setattr(people, "forget_deleted", lambda database: None)
        service.people.delete(ann, by=ann)
    assert erasure.unforgotten(service.database) and WORD not in everything(service)
    with closing(Service.open(service.database.url.render_as_string(hide_password=False))) as again:
        assert not erasure.unforgotten(again.database)
        assert WORD.encode() not in bytes_on_disk(again)


def test_somebody_who_has_only_joined_can_be_deleted(service, study) -> None:
    ann = join(service, study).id
    service.people.delete(ann, by=ann)
    assert service.people.get(ann).phase == "withdrawn"
    assert service.studies.counts(study.id).joined == 0
    assert service.studies.counts(study.id).deleted == 1


def test_the_same_card_of_somebody_else_stays(service, study) -> None:
    ann, bob = (take_part(service, study, say=SAID) for _ in range(2))
    service.people.delete(ann, by=ann)
    cards = [row for row in service.moderation.cards(study.id) if row.card.title.startswith(SAID[:40])]
    assert [row.participant_id for row in cards] == [bob]
