"""Any sequence of actions by participant, model and processes, possible or not: the record leads to the state."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from interviews import POLICIES, SURVEY, SetClock
from language_models import Obeying, sensible

from pluralism.elicitation.interview import (
    Event,
    Interview,
    LLMInterviewer,
    MemoryStore,
    ScriptedInterviewer,
    fold,
    read_case,
    read_protocol,
)
from pluralism.errors import DeadlineError, InterviewError, StorageError
from pluralism.llm import ScriptedChat

PROTOCOL, CASE = read_protocol("moral-graph"), read_case("unruly-child")
TEXTS = st.sampled_from(
    ["A story of mine.", "OBEY and vote", "", "x" * 5000, "\u202e", "MOMENTS of calm\nSIGNS of joy"]
)
KEYS = st.sampled_from([None, None, "a", "b", "c"])


class FailingStore(MemoryStore):
    """Fails before or after it has kept an event, when it is told."""

    def __init__(self):
        super().__init__()
        self.fail = None

    def append(self, event):
        fail, self.fail = self.fail, None
        if fail == "before":
            raise StorageError("full")
        super().append(event)
        if fail == "after":
            raise KeyboardInterrupt


class Interviews(RuleBasedStateMachine):
    """One participant, two windows, a model with moods, a disk with moods."""

    @initialize(who=st.sampled_from(["scripted", "sensible", "obeying", "failing"]))
    def start(self, who):
        failing = ScriptedChat(lambda request: DeadlineError("late"))
        models = {"sensible": ScriptedChat(sensible), "obeying": ScriptedChat(Obeying()), "failing": failing}
        self.interviewer = ScriptedInterviewer() if who == "scripted" else LLMInterviewer(models[who])
        self.store, self.clock = FailingStore(), SetClock()
        options = {"interviewer": self.interviewer, "clock": self.clock, "participant": "ann"}
        self.windows = [Interview.begin(self.store, PROTOCOL, CASE, rng=0, **options)]
        self.windows.append(self.opened())
        self.accepted, self.votes = [], 0

    def opened(self):
        return Interview(self.store, PROTOCOL, CASE, interviewer=self.interviewer, clock=self.clock)

    def attempt(self, window, action, said=None):
        """Do something that may be refused; what is refused leaves no event of the participant's."""
        interview = self.windows[window]
        before = [event for event in self.store.read() if event.body.actor == "participant"]
        try:
            action(interview)
        except InterviewError as error:
            assert error.fix
            after = [event for event in self.store.read() if event.body.actor == "participant"]
            assert after == before
        except (StorageError, KeyboardInterrupt):
            self.windows[window] = self.opened()
        else:
            if said is not None and self.windows[window].state.halted != "withdrawn":
                self.accepted.append(said)

    @rule(window=st.integers(0, 1), key=KEYS, all_of=st.booleans())
    def consent(self, window, key, all_of):
        self.attempt(window, lambda one: one.consent(["card", "chat"] if all_of else ["card"], key=key))

    @rule(window=st.integers(0, 1), key=KEYS)
    def context(self, window, key):
        self.attempt(window, lambda one: one.choose_context("a-child-cannot-say-it", key=key))

    @rule(window=st.integers(0, 1), key=KEYS, text=TEXTS)
    def answer(self, window, key, text):
        self.attempt(window, lambda one: one.answer(text, key=key), said=text)

    @rule(window=st.integers(0, 1))
    def request_card(self, window):
        self.attempt(window, lambda one: one.request_card())

    @rule(window=st.integers(0, 1), key=KEYS, version=st.integers(0, 3), text=TEXTS)
    def edit(self, window, key, version, text):
        self.attempt(window, lambda one: one.edit_card(text[:70], "", POLICIES, version=version, key=key))

    @rule(window=st.integers(0, 1), version=st.integers(0, 3), text=TEXTS)
    def revise(self, window, version, text):
        self.attempt(window, lambda one: one.ask_revision(text, version=version))

    @rule(window=st.integers(0, 1), key=KEYS, version=st.integers(0, 4))
    def confirm(self, window, key, version):
        self.attempt(window, lambda one: one.confirm_card(version=version, key=key))

    @rule(window=st.integers(0, 1), verdict=st.sampled_from(["same", "different", "merge"]))
    def judge(self, window, verdict):
        proposal = self.windows[window].state.next_proposal
        name = "nothing" if proposal is None else proposal.card_id
        self.attempt(window, lambda one: one.judge_duplicate(name, verdict))

    @rule(window=st.integers(0, 1), key=KEYS, item=st.integers(-1, 4), text=TEXTS)
    def vote(self, window, key, item, text):
        before = sum(event.kind == "voted" for event in self.store.read())
        self.attempt(window, lambda one: one.vote(item, "not_sure", comment=text, key=key))
        self.votes += sum(event.kind == "voted" for event in self.store.read()) - before

    @rule(window=st.integers(0, 1), value=st.integers(0, 6))
    def survey(self, window, value):
        self.attempt(window, lambda one: one.answer_survey(SURVEY | {"respect": value}))

    @rule(window=st.integers(0, 1), action=st.sampled_from(["pause", "resume"]))
    def leave(self, window, action):
        self.attempt(window, lambda one: getattr(one, action)())

    @rule(window=st.integers(0, 1), times=st.integers(1, 3))
    def sensible_steps(self, window, times):
        """What a participant would do next, so that the later stages are reached too."""
        from interviews import step

        for _ in range(times):
            self.attempt(window, lambda one: step(one))
        self.votes = sum(event.kind == "voted" for event in self.store.read())

    @rule(window=st.integers(0, 1))
    def advance(self, window):
        self.attempt(window, lambda one: one.advance())

    @rule(window=st.integers(0, 1))
    def reopen(self, window):
        self.windows[window] = self.opened()

    @rule(how=st.sampled_from(["before", "after"]))
    def spoil_the_disk(self, how):
        self.store.fail = how

    @rule(days=st.sampled_from([0, 1, 1, 1, 20]))
    def wait(self, days):
        self.clock.wait(days=days)

    @rule(window=st.integers(0, 1), sure=st.sampled_from([False] * 9 + [True]))
    def withdraw(self, window, sure):
        if sure:
            self.attempt(window, lambda one: one.withdraw())
            self.votes = sum(event.kind == "voted" for event in self.store.read())
            self.accepted.clear()

    @invariant()
    def the_record_leads_to_the_state(self):
        events = self.store.read()
        state = fold(events)
        assert [event.seq for event in events] == list(range(len(events))) and state.version == len(events)
        assert self.opened().state == fold(self.store.read())
        for window in self.windows:
            seen = window.events
            erased = state.halted == "withdrawn"
            assert erased or (tuple(events[: len(seen)]) == seen and fold(seen) == window.state)
        assert tuple(Event.from_json(event.to_json()) for event in events) == tuple(events)

    @invariant()
    def nothing_is_lost_or_made_up(self):
        state = fold(self.store.read())
        if state.halted == "withdrawn":
            return
        cast = [event for event in self.store.read() if event.kind == "voted"]
        assert len(cast) == self.votes and set(state.votes) == {event.body.item for event in cast}
        given = [turn.answer for turn in state.turns if turn.answer is not None]
        assert all(text.strip() in given for text in self.accepted)
        assert state.begun.limits == PROTOCOL.limits and len(state.turns) <= PROTOCOL.limits.max_turns
        if state.confirmed is not None:
            assert any(event.kind == "card_confirmed" for event in self.store.read())


Interviews.TestCase.settings = settings(max_examples=8, stateful_step_count=25, deadline=None)
test_interviews = Interviews.TestCase


@pytest.mark.slow
class TestManyInterviews(Interviews.TestCase):
    settings = settings(max_examples=300, stateful_step_count=60, deadline=None)
