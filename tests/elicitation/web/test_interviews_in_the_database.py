"""Interviews on the database: the same as in memory, resumed anywhere, each step recorded once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import interviews
import pytest
from interviews import SURVEY, SetClock, step
from sqlalchemy import func, select
from web_studies import join, play, take_part

from pluralism.elicitation.interview import Interview, MemoryStore, StaticPool, fold
from pluralism.elicitation.interview.events import Event
from pluralism.elicitation.web import tables
from pluralism.elicitation.web.database_store import DatabaseStore
from pluralism.errors import AccessError, ConflictError, InterviewError, NotFoundError, UsageError


def stored_votes(service, study):
    with service.database.read() as connection:
        rows = connection.execute(select(tables.votes).where(tables.votes.c.study_id == study.id)).all()
    return [(row.participant_id, row.source_id, row.wiser_id, row.context, row.answer) for row in rows]


def test_a_whole_interview_is_read_as_it_was_written(service, study) -> None:
    participant = join(service, study)
    interview = play(service, participant.id, vote_comment="A child said so to me.")
    assert interview.state.phase == "done"
    again = service.people.interview(participant.id)
    assert again.events == interview.events
    assert again.state == interview.state
    assert all(item.source.policies and item.wiser.title and item.story for item in again.state.ballot)


def test_the_engine_does_on_the_database_what_it_does_in_memory(service, study) -> None:
    """The same words by the same clock lead to the same texts; ids of cards and stories are the database's own."""
    participant = join(service, study)
    store = DatabaseStore(service.database, study.id, participant.id)
    ends = []
    for kept in (store, MemoryStore()):
        pool = StaticPool({})
        interview = Interview.begin(
            kept, study.protocol, study.case, participant=participant.id, pool=pool, clock=SetClock(), rng=5
        )
        while step(interview):
            pass
        ends.append(interview)
    stored, remembered = ends
    assert [event.at for event in stored.events] == [event.at for event in remembered.events]
    assert [event.body for event in stored.events[1:]] == [event.body for event in remembered.events[1:]]


def test_votes_and_counts_follow_from_the_events(service, study) -> None:
    people = [take_part(service, study, answer=answer) for answer in ("upgrade", "no_upgrade", "not_sure")]
    expected = []
    for name in people:
        state = service.people.interview(name).state
        expected += [(name, row["source"], row["wiser"], row["context"], row["answer"]) for row in state.vote_rows()]
    assert stored_votes(service, study) == expected
    counts = service.studies.counts(study.id)
    assert (counts.joined, counts.by_phase, counts.voters, counts.votes) == (3, {"done": 3}, 3, len(expected))
    assert counts.cards == 2 * len(study.case.cards) + 3
    assert counts.to_frame()["count"].to_pylist()[0] == 3


def test_a_vote_changed_before_the_end_replaces_the_earlier_one_in_the_graph(service, study) -> None:
    participant = join(service, study)
    interview = play(service, participant.id, until="survey")
    interview.vote(0, "no_upgrade", key="changed")
    interview.answer_survey(SURVEY)
    item = interview.state.ballot[0]
    graph = service.graphs.get(study.id).graph
    behind = graph.votes_on(item.source_id, item.wiser_id, context=item.context)
    assert behind["answer"].to_pylist() == ["upgrade", "no_upgrade"]
    assert behind["counts"].to_pylist() == [False, True]


def test_a_step_sent_twice_is_recorded_once(service, study) -> None:
    participant = join(service, study)
    play(service, participant.id, until="vote")
    for _ in range(3):
        service.people.interview(participant.id).vote(0, "upgrade", key="one click")
    assert len(stored_votes(service, study)) == 1
    with pytest.raises(ConflictError):
        service.people.interview(participant.id).vote(0, "not_sure", key="one click")


def test_of_two_windows_the_one_that_saw_less_is_refused(service, study) -> None:
    participant = join(service, study)
    play(service, participant.id, until="vote")
    first, second = (service.people.interview(participant.id) for _ in range(2))
    seen = second.state.version
    first.vote(0, "upgrade", expected=seen)
    with pytest.raises(ConflictError):
        second.vote(0, "no_upgrade", expected=seen)
    assert [row[-1] for row in stored_votes(service, study)] == ["upgrade"]


def test_the_same_vote_from_many_threads_is_recorded_once(service, study) -> None:
    participant = join(service, study)
    play(service, participant.id, until="vote")

    def vote(_):
        return service.people.interview(participant.id).vote(0, "upgrade", key="retry").version

    with ThreadPoolExecutor(8) as pool:
        versions = set(pool.map(vote, range(8)))
    assert len(versions) == 1 and len(stored_votes(service, study)) == 1


def test_votes_of_many_people_at_once_are_all_there(service, study) -> None:
    people = [join(service, study).id for _ in range(4)]
    for name in people:
        play(service, name, until="vote")

    def vote(name):
        for item in range(4):
            service.people.interview(name).vote(item, "upgrade", key=f"{item}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(vote, people))
    cast = stored_votes(service, study)
    assert len(cast) == 16 and {row[0] for row in cast} == set(people)
    assert service.audit.verify(study.id).ok


def test_two_who_begin_an_interview_at_once_begin_one(service, study) -> None:
    participant = join(service, study)
    with ThreadPoolExecutor(4) as pool:
        sessions = {
            found.state.begun.session
            for found in pool.map(lambda _: service.people.interview(participant.id), range(4))
        }
    assert len(sessions) == 1


def test_an_event_at_a_place_that_is_taken_is_refused(service, study) -> None:
    participant = join(service, study)
    interview = service.people.interview(participant.id)
    with pytest.raises(ConflictError):
        interview.store.append(Event(0, interview.events[0].at, interview.events[0].body))
    with pytest.raises(InterviewError, match="key"):
        interview.pause(key="k" * 201)
    assert len(interview.store.read()) == 1


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_step_after_a_deletion_in_another_window_leaves_nothing(service, study, steps) -> None:
    participant = join(service, study)
    interview = service.people.interview(participant.id)
    for _ in range(steps):
        step(interview)
    service.people.delete(participant.id, by=participant.id)
    with suppress(ConflictError):
        assert not step(interview)
    assert interview.state.phase == "withdrawn"
    assert [event.kind for event in service.people.interview(participant.id).events] == ["started", "withdrawn"]


def test_another_protocol_holds_for_those_who_join_later(service, study) -> None:
    first = join(service, study)
    service.people.interview(first.id)
    shorter = interviews.changed(votes=2)
    service.studies.change(study.id, by="organiser", protocol=shorter)
    second = join(service, study)
    assert len(play(service, first.id).state.ballot) == 4
    assert len(play(service, second.id).state.ballot) == 2


def test_participants_are_asked_about_cards_in_their_language(service, study) -> None:
    take_part(service, study, language="en", say="Waiting until the storm is over")
    german = take_part(service, study, language="de")
    ballot = service.people.interview(german).state.ballot
    texts = {card.title for item in ballot for card in (item.source, item.wiser)}
    assert texts <= {card.title for card in study.case.starting_cards("de")} | {interviews.ANSWERS["name"]}


@pytest.mark.slow
def test_pairs_come_up_again_so_that_several_people_judge_them(service, study) -> None:
    for _ in range(6):
        take_part(service, study)
    votes = service.graphs.get(study.id).graph.counted().pooled().counts.sum(axis=1)
    assert votes.max() >= 3


def test_a_card_that_somebody_calls_the_same_is_merged_with_theirs(service, study) -> None:
    take_part(service, study)
    participant = join(service, study)
    interview = play(service, participant.id, until="duplicate")
    proposal = interview.state.next_proposal
    interview.judge_duplicate(proposal.card_id, "same")
    merge = service.merges.of_study(study.id)[-1]
    assert merge.by == participant.id and merge.into == proposal.card_id and merge.active
    graph = service.graphs.get(study.id, fresh=True).graph
    assert graph.value_of(merge.source) == graph.value_of(merge.into)


def test_people_join_by_links_and_come_back(service, study) -> None:
    made = service.links.create(study_id=study.id, role="participant", by="organiser", label="Ann", max_uses=1)
    assert made.token not in repr(made) and len(made.token) >= 43
    assert service.links.open(made.token) == made.link
    joined = service.people.join(made.token, language="en", key="form")
    again = service.people.join(made.token, language="en", key="form")
    assert again.participant == joined.participant and again.token != joined.token
    assert service.people.by_token(again.token) == joined.participant
    with pytest.raises(AccessError):
        service.people.by_token(joined.token)
    with pytest.raises(AccessError):
        service.people.join(made.token, language="en", key="another form")
    assert service.people.by_link(made.link.id) == (joined.participant,)
    assert service.people.by_token(service.people.renew_token(joined.participant.id)).id == joined.participant.id


def test_links_close(service, study, clock) -> None:
    def link(**options):
        return service.links.create(study_id=study.id, role="participant", by="organiser", **options)

    revoked, expiring = link(), link(expires_at=clock().replace(year=2027))
    service.links.revoke(revoked.link.id, by="organiser")
    clock.wait(days=800)
    organiser = service.links.create(study_id=study.id, role="organiser", by="organiser")
    for token in (revoked.token, expiring.token, "guess", ""):
        with pytest.raises(AccessError, match="opens nothing"):
            service.links.open(token)
    for token in (revoked.token, organiser.token):
        with pytest.raises(AccessError):
            service.people.join(token, language="en", key="form")
    with pytest.raises(AccessError):
        service.links.get(revoked.link.id)
    with pytest.raises(NotFoundError):
        service.links.revoke("0" * 32, by="organiser")


@pytest.mark.parametrize(
    ("study_id", "role", "options"),
    [(None, "organiser", {}), ("own", "admin", {}), ("own", "king", {}), ("own", "viewer", {"max_uses": 3})],
)
def test_links_that_cannot_be_are_refused(service, study, study_id, role, options) -> None:
    with pytest.raises(UsageError):
        service.links.create(study_id=study_id and study.id, role=role, by="organiser", **options)


def test_a_link_for_many_lets_no_more_in_than_it_says(service, study) -> None:
    made = service.links.create(study_id=study.id, role="participant", by="organiser", max_uses=3)

    def enter(number):
        try:
            return service.people.join(made.token, language="en", key=f"form {number}").participant.id
        except AccessError:
            return None

    with ThreadPoolExecutor(6) as pool:
        entered = [name for name in pool.map(enter, range(6)) if name is not None]
    assert len(entered) == 3 == service.links.get(made.link.id).uses


def test_a_study_that_is_closed_full_or_in_another_language_lets_nobody_in(service, study) -> None:
    service.studies.change(study.id, by="organiser", max_participants=1)
    first = join(service, study)
    with pytest.raises(UsageError, match="room"):
        join(service, study)
    service.studies.change(study.id, by="organiser", max_participants=None, status="closed")
    with pytest.raises(UsageError, match="not open"):
        join(service, study)
    service.studies.change(study.id, by="organiser", status="open")
    with pytest.raises(UsageError, match="'fr'"):
        join(service, study, language="fr")
    assert play(service, first.id).state.phase == "done"


@pytest.mark.parametrize("odd", ["\x00", "\ud800", "a" * 5000, "'; DROP TABLE votes; --", ""], ids=ascii)
def test_odd_ids_and_tokens_are_refused_by_name(service, study, odd) -> None:
    for ask in (
        service.studies.get,
        service.people.get,
        service.people.by_token,
        service.links.open,
        service.links.get,
    ):
        with pytest.raises((NotFoundError, AccessError, UsageError)):
            ask(odd)
    participant = join(service, study)
    with pytest.raises((NotFoundError, UsageError)):
        service.moderation.hide_card(study.id, odd, reason="Why not.", by="anna")
    if odd in ("\x00", "\ud800"):
        with suppress(UsageError):
            service.people.interview(participant.id).consent(("card", "chat"), key=odd)
    assert service.audit.verify(study.id).ok


def test_nobody_sees_the_graph_while_they_can_change_their_votes(service, study) -> None:
    participant = join(service, study)
    for awaited in ("consent", "answer", "card", "vote", "survey"):
        interview = play(service, participant.id, until=awaited)
        assert not service.people.may_see_graph(participant.id)
    interview.vote(0, "not_sure")
    assert not service.people.may_see_graph(participant.id)
    interview = play(service, participant.id)
    assert service.people.may_see_graph(participant.id)
    with pytest.raises(InterviewError):
        interview.vote(0, "upgrade")
    service.studies.change(study.id, by="organiser", show_graph=False)
    assert not service.people.may_see_graph(participant.id)


def test_organisers_read_what_was_said_only_where_somebody_allows_it(service, study) -> None:
    silent, open_one = join(service, study), join(service, study)
    service.people.interview(open_one.id).consent(("card", "chat", "research"))
    for name in (silent.id, open_one.id):
        play(service, name)
    with pytest.raises(AccessError, match="does not allow"):
        service.people.transcript(silent.id, by="organiser")
    assert service.people.transcript(open_one.id, by="organiser").turns[0].answer
    assert service.audit.entries(study.id)[0].action == "transcript read"
    found = service.people.get(open_one.id)
    assert found.scopes == ("card", "chat", "research") and found.consent_version == study.protocol.consent_version
    exported = service.exports.make(study.id, "transcripts", by="organiser").content.decode()
    assert open_one.id in exported and silent.id not in exported


def test_surveys_are_read_without_ids(service, study) -> None:
    for _ in range(2):
        take_part(service, study)
    table = service.people.survey(study.id)
    assert table.column_names == ["question", "value", "text"]
    assert table["value"].to_pylist().count(5) == 2
    assert [text for text in table["text"].to_pylist() if text] == ["Thank you."] * 2


def test_what_is_kept_says_nothing_in_its_repr(service, study) -> None:
    participant = join(service, study)
    interview = play(service, participant.id)
    for thing in (interview, interview.store, interview.events, service.graphs.get(study.id), service, study):
        assert "grandmother" not in repr(thing)


def test_events_name_texts_of_others_and_hold_only_ones_own(service, study) -> None:
    first = take_part(service, study, say="The lighthouse keeper")
    second = take_part(service, study)
    with service.database.read() as connection:
        past = tables.events.c
        payloads = "".join(connection.scalars(select(past.payload).where(past.participant_id == second)))
        n = connection.scalar(select(func.count()).where(past.participant_id == second))
    shown = service.people.interview(second).state
    titles = {card.title for item in shown.ballot for card in (item.source, item.wiser)}
    titles |= {proposal.card.title for proposal in shown.proposals}
    assert "lighthouse" not in payloads and n == shown.version
    assert "The lighthouse keeper" in titles
    assert fold(service.people.interview(first).events).phase == "done"
