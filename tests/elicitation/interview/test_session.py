"""A whole interview without a model: its steps, retries, two windows, leaving and coming back, and what is refused."""

from __future__ import annotations

import json

import pytest
from interviews import ANSWERS, POLICIES, SURVEY, SetClock, begin, changed, play, pool_with, step, twin

from pluralism.elicitation.interview import (
    Interview,
    JsonlStore,
    MemoryStore,
    StaticPool,
    contribute,
    fold,
    read_case,
)
from pluralism.elicitation.interview.state import PHASES
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.errors import ConflictError, InterviewError, StorageError, UsageError


def again(interview, **options):
    """The interview as another process would open it."""
    return Interview(interview.store, interview.protocol, interview.case, clock=interview._clock, **options)


def test_an_interview_ends_in_a_card_and_votes():
    interview = begin()
    phases = []
    while step(interview):
        phases.append(interview.state.phase)
    assert list(dict.fromkeys(phases)) == [
        "consented",
        "context_chosen",
        "interviewing",
        "card_confirmed",
        "voting",
        "exit_survey",
        "done",
    ]
    state = interview.state
    assert state.card.title == ANSWERS["name"] and state.card.policies == POLICIES
    assert state.card.description == ANSWERS["meaning"]
    assert state.card.context == "When a child shows by what it does what it cannot say"
    assert [turn.stage for turn in state.turns] == list(ANSWERS)
    assert len(state.votes) == 4 and state.survey == SURVEY
    assert state.usage.calls == 0 and state.fallbacks == 0
    document = json.loads(state.to_json())
    assert (
        document["phase"] == "done" and len(document["votes"]) == 4 and document["card"]["id"] == state.card.card().id
    )


def test_each_phase_that_is_stated_can_be_reached():
    interview = begin(pool=pool_with(twin()))
    seen = {interview.state.phase}
    while step(interview):
        seen.add(interview.state.phase)
        seen.add(interview.advance().phase)
    kinds = [fold(interview.events[: n + 1]).phase for n in range(len(interview.events))]
    left, gone, late = begin(), begin(), begin()
    left.pause()
    gone.withdraw()
    late._clock.wait(days=99)
    late.advance()
    assert seen | set(kinds) | {left.state.phase, gone.state.phase, late.state.phase} == set(PHASES)


def test_it_goes_in_german_too():
    interview = begin(language="de", case="abortion")
    interview.consent(["card", "chat"])
    interview.choose_context("nobody-knows-yet")
    assert interview.advance().turns[0].question.startswith("Denken Sie an eine Zeit")
    assert interview.state.context_text.startswith("Wenn jemand eine Entscheidung trägt")
    with pytest.raises(UsageError, match="not there in 'fr'"):
        begin(language="fr")


def test_what_is_said_is_in_the_store_before_anybody_reacts():
    class Slow:
        name, revises = "slow", False

        def ask(self, conversation, show):
            raise KeyboardInterrupt

    interview = begin(interviewer=Slow())
    interview.consent(["card", "chat"])
    interview.choose_context("a-child-cannot-say-it")
    with pytest.raises(KeyboardInterrupt):
        interview.advance()
    reopened = again(interview)
    reopened.advance()
    reopened.answer("All that I have to say.", key="k1")
    killed = again(interview, interviewer=Slow())
    with pytest.raises(KeyboardInterrupt):
        killed.advance()
    assert again(interview).state.turns[0].answer == "All that I have to say."


@pytest.mark.parametrize("kind", ["memory", "jsonl"])
def test_it_can_be_opened_again_after_every_step(kind, tmp_path):
    store = MemoryStore() if kind == "memory" else JsonlStore(tmp_path / "a.jsonl")
    interview = begin(store)
    while True:
        reopened = again(interview)
        assert reopened.state == interview.state
        advanced = again(interview)
        advanced.advance()
        assert again(interview).state == advanced.state
        interview = advanced
        if not step(interview):
            break
    assert interview.state.phase == "done" and fold(store.read()) == interview.state


def test_resuming_draws_the_same_ballot():
    interview = begin()
    play(interview, until="vote")
    kept = interview.state.ballot
    assert again(interview).advance().ballot == kept
    other = begin()
    play(other, until="vote")
    assert other.state.ballot == kept
    third = begin(rng=1)
    play(third, until="vote")
    assert third.state.ballot != kept


def test_every_action_can_be_sent_twice():
    plain, doubled = begin(), begin()
    play(plain)
    number = 0
    while step(doubled, key=f"k{number}"):
        before = doubled.state
        last = doubled.events[-1]
        # The answer got lost, and the browser sends it again, to another process.
        elsewhere = again(doubled)
        if last.kind == "answered":
            elsewhere.answer(last.body.text, key=last.key)
        elif last.kind == "voted":
            elsewhere.vote(last.body.item, last.body.answer, key=last.key)
        elif last.kind == "card_confirmed":
            elsewhere.confirm_card(version=last.body.version, key=last.key)
        elif last.kind == "survey_answered":
            elsewhere.answer_survey(SURVEY, key=last.key)
        assert elsewhere.state == before
        number += 1
    assert [event.kind for event in doubled.events] == [event.kind for event in plain.events]
    with pytest.raises(ConflictError, match="used for something else"):
        again(doubled).answer("Something else", key=doubled.events[4].key or "k2")


def test_a_second_click_without_a_key_is_refused():
    interview = begin()
    play(interview, until="answer")
    interview.answer("Once.")
    with pytest.raises(InterviewError, match="No question is open"):
        interview.answer("Once.")
    with pytest.raises(InterviewError, match="No question is open"):
        again(interview).answer("Once.")


def test_a_store_that_fails_leaves_the_interview_where_it_was(monkeypatch):
    interview = begin()
    play(interview, until="answer")
    before = interview.state

    def full(event):
        raise StorageError("The disk is full.", fix="Free some space.")

    with monkeypatch.context() as patched:
        patched.setattr(interview.store, "append", full)
        with pytest.raises(StorageError):
            interview.answer("Kept by the participant.", key="k")
        assert interview.state == before and len(interview.events) == before.version
    assert interview.answer("Kept by the participant.", key="k").turns[0].answer == "Kept by the participant."
    assert play(interview).phase == "done"


def test_two_windows_do_not_disturb_each_other():
    first = begin()
    play(first, until="answer")
    second = again(first)
    seen = second.state.version
    first.answer("From the first window.")
    first.advance()
    with pytest.raises(ConflictError, match="Another window"):
        second.answer("From the second.", expected=seen)
    assert second.state.turns[0].answer == "From the first window."
    # Without `expected` the second window answers what it now sees.
    stale = again(first)
    first.answer("To the second question.")
    first.advance()
    with pytest.raises(InterviewError, match="Question 2 is not the open one"):
        stale.answer("For the second question too.")
    assert [turn.answer for turn in first.reload().turns[:2]] == ["From the first window.", "To the second question."]


def test_two_that_advance_at_once_ask_once():
    class Racing:
        """While it thinks, another process asks."""

        name, revises = "racing", False

        def __init__(self):
            self.scripted, self.others = None, []

        def ask(self, conversation, show):
            from pluralism.elicitation.interview import ScriptedInterviewer

            if self.others:
                self.others.pop().advance()
            return ScriptedInterviewer().ask(conversation, show)

    racing = Racing()
    interview = begin(interviewer=racing)
    interview.consent(["card", "chat"])
    interview.choose_context("a-child-cannot-say-it")
    racing.others.append(again(interview))
    interview.advance()
    assert [event.kind for event in interview.store.read()][-1:] == ["asked"]
    assert len(interview.state.turns) == 1 and interview.state == again(interview).state


def test_leaving_and_coming_back():
    interview = begin()
    play(interview, until="answer")
    interview.pause()
    assert interview.state.phase == "paused" and interview.advance().awaits == "return"
    for action in (lambda: interview.answer("x"), interview.pause, lambda: interview.consent(["card"])):
        with pytest.raises(InterviewError, match="is paused") as caught:
            action()
        assert caught.value.fix == "Resume it first."
    back = again(interview)
    back.resume()
    assert back.state.phase == "interviewing" and back.state.awaits == "answer"
    with pytest.raises(InterviewError, match="not paused"):
        back.resume()
    assert play(back).phase == "done"
    with pytest.raises(InterviewError, match="is done"):
        back.pause()


def test_silence_closes_an_interview():
    clock = SetClock()
    interview = begin(clock=clock)
    play(interview, until="answer")
    clock.wait(days=13)
    interview.answer("Just in time.")
    interview.advance()
    clock.wait(days=15)
    with pytest.raises(InterviewError, match="is expired"):
        interview.answer("Too late.")
    assert again(interview).state.phase == "expired" and interview.advance().awaits is None
    assert interview.state.turns[0].answer == "Just in time."
    interview.withdraw()
    assert interview.state.phase == "withdrawn"
    done = begin(clock=clock)
    play(done)
    clock.wait(days=99)
    assert done.advance().phase == "done"


def test_a_clock_that_goes_back_breaks_nothing():
    clock = SetClock()
    interview = begin(clock=clock)
    clock.wait(days=-1)
    assert play(interview).phase == "done"
    assert fold(interview.store.read()) == interview.state


@pytest.mark.parametrize("kind", ["memory", "jsonl"])
@pytest.mark.parametrize("until", ["answer", "card", "vote", None])
def test_withdrawing_erases_what_was_said(kind, until, tmp_path):
    store = MemoryStore() if kind == "memory" else JsonlStore(tmp_path / "a.jsonl")
    interview = begin(store, participant="ann-of-cleves")
    play(interview, until=until)
    if until == "answer":
        interview.answer("My secret.")
    interview.withdraw()
    left = "".join(event.to_json() for event in store.read())
    for text in ("grandmother", "secret", "Waiting", "storm", "ann-of-cleves", "Thank you"):
        assert text not in left
    assert interview.state.phase == "withdrawn" and again(interview).state == interview.state
    assert not list(tmp_path.glob("*[!l]")) and interview.withdraw().phase == "withdrawn"
    with pytest.raises(InterviewError, match="is withdrawn"):
        interview.resume()
    with pytest.raises(InterviewError, match="withdrew"):
        contribute(MoralGraph({}), interview.state, partial=True)


def test_erasing_is_taken_up_where_it_was_killed(monkeypatch):
    interview = begin()
    play(interview, until="card")
    monkeypatch.setattr(interview.store, "replace", lambda events: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        interview.withdraw()
    assert len(interview.store.read()) > 5
    monkeypatch.undo()
    assert again(interview).state.phase == "withdrawn" and len(interview.store.read()) == 2


def test_consent_comes_first_and_is_complete():
    interview = begin()
    for action in (
        lambda: interview.choose_context("a-child-cannot-say-it"),
        lambda: interview.answer("x"),
        lambda: interview.vote(0, "upgrade"),
        lambda: interview.request_card(),
        lambda: interview.consent(["card"]),
        lambda: interview.consent(["card", "chat", "everything"]),
    ):
        with pytest.raises(InterviewError) as caught:
            action()
        assert "consent" in caught.value.what or "consent" in caught.value.fix
    assert interview.consent(["card", "chat", "research"]).scopes == ("card", "chat", "research")
    assert interview.events[1].body.version == "2026-1"
    with pytest.raises(UsageError, match="no context 'nowhere'"):
        interview.choose_context("nowhere")


def test_answers_that_cannot_be_taken_record_nothing():
    interview = begin()
    play(interview, until="answer")
    version = interview.state.version
    for text in ("", " \u200b ", "x" * 4001, None):
        with pytest.raises(InterviewError):
            interview.answer(text)
    assert interview.state.version == version == len(interview.store.read())
    assert interview.answer("a\x07\u202eb\x00").turns[0].answer == "ab"


def test_the_files_must_be_those_that_it_was_begun_with():
    interview = begin()
    other = changed(votes=7)
    with pytest.raises(InterviewError, match="another protocol"):
        Interview(interview.store, other, interview.case)
    with pytest.raises(InterviewError, match="another case"):
        Interview(interview.store, interview.protocol, read_case("abortion"))
    with pytest.raises(ConflictError):
        Interview.begin(interview.store, interview.protocol, interview.case)


def test_what_an_interview_adds_to_a_graph():
    first, second = begin(participant="ann"), begin(participant="bob", rng=3)
    play(first), play(second)
    graph = contribute(contribute(MoralGraph({}), first.state), second.state)
    assert sorted(graph.participants.to_pylist()) == ["ann", "bob"]
    assert len(graph.votes) == 8 and first.state.card.card().id in graph.values
    stories = set(graph.votes.table["story"].to_pylist())
    assert stories <= {hypothesis.id for hypothesis in graph.hypotheses}
    assert len(graph.hypotheses) == len({hypothesis.id for hypothesis in graph.hypotheses})
    open_one = begin()
    play(open_one, until="vote")
    with pytest.raises(InterviewError, match="not done"):
        contribute(graph, open_one.state)
    assert len(contribute(MoralGraph({}), open_one.state, partial=True).votes) == 0
    third = begin(pool=StaticPool.of_graph(graph), participant="cy")
    play(third)
    assert {item.reason for item in third.state.ballot} & {"hypothesis", "own card", "same context"}
