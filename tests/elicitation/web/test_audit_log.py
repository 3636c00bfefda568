"""The audit log: whatever is changed, moved or left out in the database is found."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update
from web_studies import take_part

from pluralism.cli import main
from pluralism.elicitation import hash_chain
from pluralism.elicitation.interview import read_case, read_protocol
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.backup import backup
from pluralism.elicitation.web.service import Service
from pluralism.errors import UsageError


@pytest.fixture
def voted(service, study):
    """A study in which two people have voted; their ids."""
    return [take_part(service, study, vote_comment="So it was.") for _ in range(2)]


def tamper(service, statement):
    with service.database.write() as connection:
        assert connection.execute(statement).rowcount > 0


def test_a_study_that_nobody_touched_holds(service, study, voted) -> None:
    audit = service.audit.verify(study.id)
    assert audit.ok and audit.faults == () and audit.to_frame().num_rows == 0
    assert audit.heads == service.audit.head(study.id)
    assert (audit.votes.n_votes, audit.heads.n_votes) == (8, 8)
    assert audit.to_dict()["ok"] is True and "hold" in repr(audit)


vote, event, entry, card = tables.votes.c, tables.events.c, tables.audit.c, tables.cards.c
CHANGES = {
    "an answer": update(tables.votes).where(vote.number == 3).values(answer="not_sure"),
    "who voted": update(tables.votes).where(vote.number == 3).values(participant_id=None),
    "a vote that is gone": delete(tables.votes).where(vote.number == 7),
    "a vote from the middle": delete(tables.votes).where(vote.number == 2),
    "a comment": update(tables.events)
    .where(event.kind == "voted")
    .values(payload=func.replace(event.payload, "So it was.", "So it was not.")),
    "an answer in the interview": update(tables.events)
    .where(event.kind == "answered")
    .values(payload=func.replace(event.payload, "grandmother", "grandfather")),
    "the last event of somebody": delete(tables.events).where(event.kind == "survey_answered"),
    "a card of somebody": update(tables.cards)
    .where(card.participant_id.is_not(None))
    .values(document=func.replace(card.document, "storm", "sun")),
    "a card of the case": update(tables.cards)
    .where(card.participant_id.is_(None))
    .values(document=func.replace(card.document, "a", "b")),
    "a story": update(tables.hypotheses).values(story="I changed my mind."),
    "who did something": update(tables.audit).where(entry.number == 1).values(actor="nobody"),
    "what was done": update(tables.audit).where(entry.number == 1).values(action="slept"),
    "another salt and content": update(tables.audit)
    .where(entry.number == 4)
    .values(salt=b"0" * 16, details='{"seq": 0}'),
    "an entry from the middle": delete(tables.audit).where(entry.number == 4),
    "an entry made to look erased": update(tables.audit)
    .where(entry.number == 4)
    .values(actor=None, subject=None, details=None, salt=None),
    "the end of the chain": update(tables.studies).values(n_entries=5),
}


@pytest.fixture(scope="module")
def copy_of_voted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database in which two people have voted."""
    place = tmp_path_factory.mktemp("voted")
    with closing(Service.open(place / "study.db")) as service:
        made = service.studies.create(
            title="Children", protocol=read_protocol("moral-graph"), case=read_case("unruly-child"), by="organiser"
        )
        service.studies.change(made.id, by="organiser", status="open")
        for _ in range(2):
            take_part(service, made, vote_comment="So it was.")
        return backup(service.database, place / "copy.db")


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_changed_is_found(copy_of_voted: Path, folder: Path, what: str) -> None:
    place = shutil.copy(copy_of_voted, folder / "study.db")
    with closing(Service.open(place)) as service:
        (study,) = service.studies.all()
        assert service.audit.verify(study.id).ok
        tamper(service, CHANGES[what])
        audit = service.audit.verify(study.id)
    assert not audit.ok
    assert audit.to_frame().num_rows > 0 and "broken" in repr(audit)


def test_a_log_cut_at_its_end_does_not_continue_a_published_head(service, study, voted) -> None:
    published = service.audit.head(study.id)
    n = published.n_entries
    with service.database.write() as connection:
        digests = connection.scalars(select(entry.digest).where(entry.study_id == study.id).order_by(entry.number))
        heads = list(hash_chain.chain_heads(digests))
        connection.execute(delete(tables.audit).where(entry.number == n - 1))
        connection.execute(update(tables.studies).values(n_entries=n - 1, entries_head=heads[-2]))
    assert any("given" in fault for fault in service.audit.verify(study.id, entries_head=published.entries).faults)


def test_earlier_heads_are_continued(service, study, voted) -> None:
    before = service.audit.head(study.id)
    take_part(service, study)
    audit = service.audit.verify(study.id, votes_head=before.votes, entries_head=before.entries)
    assert audit.ok and audit.votes.since == 4
    with pytest.raises(UsageError):
        service.audit.verify(study.id, entries_head="abc")


def test_the_exported_log_is_what_the_command_line_checks(service, study, voted, tmp_path: Path, capsys) -> None:
    head = service.audit.head(study.id).votes
    service.people.delete(voted[0], by=voted[0])
    take_part(service, study)
    path = tmp_path / "audit.json"
    path.write_bytes(service.exports.make(study.id, "audit", by="organiser").content)
    graph = MoralGraph.read(path)
    assert hash_chain.audit(graph).head == service.audit.head(study.id).votes
    assert hash_chain.audit(graph, head=head).since == 4
    assert main(["graph", "verify", str(path), "--head", head]) == 0
    assert "holds" in capsys.readouterr().out
    path.write_text(path.read_text().replace('"upgrade"', '"not_sure"', 1))
    assert main(["graph", "verify", str(path), "--head", head]) != 0
    assert "broken" in capsys.readouterr().out


def test_everything_that_organisers_do_is_in_the_log(service, study, voted) -> None:
    made = service.links.create(study_id=study.id, role="viewer", by="anna")
    service.links.revoke(made.link.id, by="anna")
    cards = [row.id for row in service.moderation.cards(study.id)]
    service.moderation.hide_card(study.id, cards[-1], reason="It names somebody.", by="anna")
    service.moderation.restore_card(study.id, cards[-1], reason="It does not.", by="anna")
    service.moderation.exclude(voted[0], reason="A machine.", by="anna")
    service.moderation.readmit(voted[0], reason="No machine.", by="anna")
    merge = service.merges.make(study.id, cards[0], cards[1], by="anna")
    service.merges.undo(study.id, merge.number, by="anna")
    context = study.case.contexts[0].text["en"]
    added = service.hypotheses.add(study.id, cards[0], cards[1], context, story="I went on.", by="anna")
    service.hypotheses.retire(study.id, added.id, by="anna")
    service.exports.make(study.id, "json", by="anna")
    done = [item.action for item in service.moderation.log(study.id, limit=500) if item.actor == "anna"]
    assert done[::-1] == [
        "link made",
        "link revoked",
        "card hidden",
        "card restored",
        "participant excluded",
        "participant readmitted",
        "card merged",
        "merge of cards undone",
        "hypothesis added",
        "hypothesis retired",
        "exported",
    ]
    reasons = [item.details["reason"] for item in service.moderation.log(study.id) if "reason" in item.details]
    assert "It names somebody." in reasons
    first = service.moderation.log(study.id, limit=3)
    assert [item.number for item in service.moderation.log(study.id, limit=2, before=first[1].number)] == [
        first[1].number - 1,
        first[1].number - 2,
    ]
    assert service.audit.verify(study.id).ok
