"""An interview that goes on: what the participant does is durable before anybody reacts to it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from pluralism.elicitation.interview.card_form import filled_in, must_mend
from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.events import (
    Answered,
    Body,
    CardConfirmed,
    CardEdited,
    CardRequested,
    Consented,
    ContextChosen,
    DuplicateJudged,
    Event,
    Expired,
    Paused,
    Resumed,
    RevisionAsked,
    Started,
    SurveyAnswered,
    Verdict,
    VoteAnswer,
    Voted,
    Withdrawn,
)
from pluralism.elicitation.interview.fold import apply, fold
from pluralism.elicitation.interview.interviewers import Interviewer, ScriptedInterviewer
from pluralism.elicitation.interview.interviewers.interviewer import Show
from pluralism.elicitation.interview.participant_text import clean
from pluralism.elicitation.interview.pool import Pool, StaticPool
from pluralism.elicitation.interview.protocol import Protocol
from pluralism.elicitation.interview.state import InterviewState
from pluralism.elicitation.interview.steps import Steps
from pluralism.elicitation.interview.store import EventStore, conflict
from pluralism.errors import ConflictError, InterviewError, UsageError
from pluralism.random import RNG, as_seed

__all__ = ["Clock", "Interview"]

Clock = Callable[[], datetime]
_TRIES = 5


class Interview:
    """One interview of one participant.

    Everything that a participant does is a method that appends one event and returns the new state. `advance` then
    lets the interviewer do what is due: it asks, guesses, drafts, proposes duplicates or draws the ballot, until it
    is the participant's turn again. What a participant does is in the store before any model is called, so that a
    process may be killed at any point: opened again, the interview is where it was.

    Each action takes a `key`: sent again under the same key, it is recorded once. It also takes `expected`, the
    number of events that the sender has seen (`InterviewState.version`): an action that rests on less is refused.
    Use one object for each request or thread; objects on the same store do not disturb each other.

    Parameters
    ----------
    store : EventStore
        With an interview that `begin` began.
    protocol, case : Protocol, Case
        Those that it was begun with.
    interviewer : Interviewer, optional
        The scripted one by default; it may be another than before.
    pool : Pool, optional
        Cards of others; those of the case by default.
    clock : callable, optional
        Gives the time, with a time zone.

    Raises
    ------
    InterviewError
        Protocol or case are not those that it was begun with.
    DataError
        The record is damaged or empty.
    """

    def __init__(
        self,
        store: EventStore,
        protocol: Protocol,
        case: Case,
        *,
        interviewer: Interviewer | None = None,
        pool: Pool | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.store = store
        self._clock = clock or _now
        self._events: list[Event] = []
        self.reload()
        begun = self._state.begun
        for kind, given, digest in (("protocol", protocol, begun.protocol_digest), ("case", case, begun.case_digest)):
            if given.digest() != digest:
                raise InterviewError(
                    f"The interview was begun with another {kind}, or another version of it.",
                    where=f"{kind} {given.name!r}",
                    fix=f"Use the file of {kind} {getattr(begun, kind)!r} that it was begun with, or begin a new one.",
                )
        self._steps = Steps(
            protocol,
            case,
            interviewer or ScriptedInterviewer(),
            pool if pool is not None else StaticPool.of_case(case, begun.language),
        )
        if self._state.halted == "withdrawn" and self._state.version > 2:
            self._erase()

    @classmethod
    def begin(
        cls,
        store: EventStore,
        protocol: Protocol,
        case: Case,
        *,
        language: str = "en",
        participant: str | None = None,
        interviewer: Interviewer | None = None,
        pool: Pool | None = None,
        clock: Clock | None = None,
        rng: RNG = None,
    ) -> Interview:
        """Begin an interview in an empty store.

        Parameters
        ----------
        store : EventStore
        protocol, case : Protocol, Case
        language : str
            One that both have.
        participant : str, optional
            A pseudonym, by which votes are attributed; a random one by default.
        interviewer, pool, clock
            As for the class.
        rng : int, Generator or None
            Seed of the ballot, and of models that keep to one.

        Raises
        ------
        UsageError
            The language is not there.
        ConflictError
            The store has an interview already.
        """
        for kind, languages in (("protocol", protocol.languages), ("case", case.languages)):
            if language not in languages:
                raise UsageError(f"The {kind} is not there in {language!r}.", fix=f"It is in {', '.join(languages)}.")
        session = secrets.token_hex(16)
        body = Started(
            session=session,
            participant=participant or session,
            protocol=protocol.name,
            protocol_digest=protocol.digest(),
            case=case.name,
            case_digest=case.digest(),
            language=language,
            interviewer=(interviewer or ScriptedInterviewer()).name,
            limits=protocol.limits,
            required_scopes=tuple(scope.id for scope in protocol.consent if scope.required),
            optional_scopes=tuple(scope.id for scope in protocol.consent if not scope.required),
            contexts=tuple(context.id for context in case.contexts),
            survey=tuple((question.id, question.kind) for question in protocol.survey),
            seed=as_seed(rng),
        )
        store.append(Event(0, (clock or _now)(), body))
        return cls(store, protocol, case, interviewer=interviewer, pool=pool, clock=clock)

    def __repr__(self) -> str:
        return f"Interview({self._state!r})"

    @property
    def state(self) -> InterviewState:
        """Where it stands, as far as this object has seen."""
        return self._state

    @property
    def events(self) -> tuple[Event, ...]:
        """All events that this object has seen."""
        return tuple(self._events)

    @property
    def protocol(self) -> Protocol:
        """The protocol."""
        return self._steps.protocol

    @property
    def case(self) -> Case:
        """The case."""
        return self._steps.case

    @property
    def interviewer(self) -> Interviewer:
        """Who interviews."""
        return self._steps.interviewer

    def reload(self) -> InterviewState:
        """Read the events again."""
        self._events = list(self.store.read())
        self._state = fold(self._events)
        self._keys = {event.key: event for event in self._events if event.key is not None}
        return self._state

    # What the participant does.

    def consent(self, scopes: Sequence[str], *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Consent to scopes of the protocol's consent."""
        body = _body(Consented, version=self.protocol.consent_version, scopes=tuple(scopes))
        return self._act(body, key, expected)

    def choose_context(self, name: str, *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Choose one of the case's contexts, by id."""
        text = self.case.context(name, self._state.begun.language)
        return self._act(_body(ContextChosen, context=name, text=text), key, expected)

    def answer(self, text: str, *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Answer the open question."""
        said = clean(text, most=self._state.begun.limits.answer_characters, what="Your answer")
        known = self._keys.get(key) if key is not None else None
        turn = known.body.turn if known is not None and isinstance(known.body, Answered) else len(self._state.turns)
        return self._act(_body(Answered, turn=turn, text=said), key, expected)

    def request_card(self, *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """End the conversation and see the card."""
        return self._act(CardRequested(), key, expected)

    def edit_card(
        self,
        title: str,
        description: str,
        policies: Sequence[str],
        *,
        version: int,
        key: str | None = None,
        expected: int | None = None,
    ) -> InterviewState:
        """Write the next version of the card; `version` is that of the draft that was edited."""
        card = filled_in(title, description, policies, self._state.context_text, self._state.begun.limits)
        return self._act(_body(CardEdited, version=version + 1, card=card), key, expected)

    def ask_revision(
        self, text: str, *, version: int, key: str | None = None, expected: int | None = None
    ) -> InterviewState:
        """Say in words what to change in a version of the card.

        Raises
        ------
        InterviewError
            The interviewer cannot: the participant edits the card.
        """
        if not self.interviewer.revises:
            raise InterviewError("Nobody is there to rewrite the card by words.", fix="Edit the card yourself.")
        said = clean(text, most=self._state.begun.limits.answer_characters, what="What you want changed")
        return self._act(_body(RevisionAsked, version=version, text=said), key, expected)

    def confirm_card(self, *, version: int, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Say that a version of the card is one's own.

        Raises
        ------
        InterviewError
            The card is not complete, or holds what must not be shown to others.
        """
        drafts = self._state.drafts
        problem = must_mend(drafts[version - 1]) if 1 <= version <= len(drafts) else None
        if problem is not None:
            raise InterviewError(f"The card cannot be shown to others yet. {problem}", fix="Edit the card.")
        return self._act(_body(CardConfirmed, version=version), key, expected)

    def judge_duplicate(
        self, card_id: str, verdict: Verdict, *, key: str | None = None, expected: int | None = None
    ) -> InterviewState:
        """Judge whether a proposed card is the same as one's own, seeing both."""
        return self._act(_body(DuplicateJudged, card_id=card_id, verdict=verdict), key, expected)

    def vote(
        self,
        item: int,
        answer: VoteAnswer,
        *,
        comment: str = "",
        key: str | None = None,
        expected: int | None = None,
    ) -> InterviewState:
        """Vote on an item of the ballot; until the end, a later vote on it replaces an earlier one."""
        said = ""
        if not isinstance(comment, str) or comment.strip():
            said = clean(comment, most=self._state.begun.limits.answer_characters, what="Your comment")
        return self._act(_body(Voted, item=item, answer=answer, comment=said), key, expected)

    def answer_survey(
        self, answers: Mapping[str, int | str], *, key: str | None = None, expected: int | None = None
    ) -> InterviewState:
        """Answer the exit survey, by ids of its questions; texts may be left out."""
        most = self._state.begun.limits.answer_characters
        kept = {
            name: clean(value, most=most, what="Your answer") if isinstance(value, str) else value
            for name, value in answers.items()
            if not isinstance(value, str) or value.strip()
        }
        return self._act(_body(SurveyAnswered, answers=kept), key, expected)

    def pause(self, *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Leave for now."""
        return self._act(Paused(), key, expected)

    def resume(self, *, key: str | None = None, expected: int | None = None) -> InterviewState:
        """Come back."""
        return self._act(Resumed(), key, expected)

    def withdraw(self, *, key: str | None = None) -> InterviewState:
        """Withdraw: everything that was said is erased from the store, for good."""
        if self._state.halted != "withdrawn":
            self._act(Withdrawn(), key, None)
        self._erase()
        return self._state

    # What the interviewer does.

    def advance(self, show: Show | None = None) -> InterviewState:
        """Let the interviewer do what is due, until it is the participant's turn.

        May be called at any time and as often as one likes; nothing happens where nothing is due. Of two calls at
        once, one counts.

        Parameters
        ----------
        show : callable, optional
            Gets the pieces of a question as they are written, and None to take back what was shown.
        """
        self._expire_if_idle()
        while self._state.due is not None:
            bodies = self._steps.next(self._state, show or _silent)
            try:
                for body in bodies:
                    self._append(body, None)
            except ConflictError:
                self.reload()
        return self._state

    def _act(self, body: Body, key: str | None, expected: int | None) -> InterviewState:
        if not isinstance(body, Withdrawn):
            self._expire_if_idle()
        for _ in range(_TRIES):
            known = self._keys.get(key) if key is not None else None
            if known is not None:
                if known.body != body:
                    raise ConflictError("This key was used for something else.", fix="Use a new key for a new action.")
                return self._state
            try:
                if expected is not None and expected != self._state.version:
                    raise conflict()
                return self._append(body, key)
            except InterviewError:
                # Somebody else may have gone on: then look again, else it is as it says.
                seen = self._state.version
                if self.reload().version == seen:
                    raise
        raise conflict()

    def _append(self, body: Body, key: str | None) -> InterviewState:
        event = Event(self._state.version, self._time(), body, key)
        state = apply(self._state, event)
        self.store.append(event)
        self._state = state
        self._events.append(event)
        if key is not None:
            self._keys[key] = event
        return state

    def _expire_if_idle(self) -> None:
        state = self._state
        last = state.last_word_at
        if state.halted in ("withdrawn", "expired") or state.stage == "done" or last is None:
            return
        if self._time() - last > timedelta(hours=state.begun.limits.expire_hours):
            if self.reload().version != state.version:
                return
            try:
                self._append(Expired(), None)
            except ConflictError:
                self.reload()

    def _erase(self) -> None:
        begun, last = self._events[0], self._events[-1]
        nobody = begun.body.model_copy(update={"participant": ""})
        self.store.replace([Event(0, begun.at, nobody), Event(1, last.at, Withdrawn())])
        self.reload()

    def _time(self) -> datetime:
        now, last = self._clock(), self._state.last_at
        return now if last is None else max(now, last)


def _body(kind: Callable[..., Any], **fields: Any) -> Any:
    try:
        return kind(**fields)
    except ValidationError as error:
        entry = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in entry["loc"])
        raise InterviewError(f"{name} cannot be that: {entry['msg']}.", fix="Send what is offered.") from None


def _now() -> datetime:
    return datetime.now(UTC)


def _silent(piece: str | None) -> None:
    """Show nothing."""
