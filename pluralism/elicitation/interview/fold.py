"""The transitions of an interview: which event is possible in which state, and what it leads to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from pluralism.elicitation.interview.events import (
    Answered,
    Asked,
    BallotDrawn,
    CardConfirmed,
    CardDrafted,
    CardEdited,
    CardRequested,
    CardText,
    Consented,
    ContextChosen,
    DuplicateJudged,
    DuplicatesProposed,
    Event,
    Expired,
    FellBack,
    Guessed,
    Paused,
    Resumed,
    RevisionAsked,
    Started,
    SurveyAnswered,
    Voted,
    Withdrawn,
)
from pluralism.elicitation.interview.state import CastVote, InterviewState, Turn
from pluralism.errors import DataError, InterviewError

__all__ = ["apply", "fold"]

_NEXT = {
    "consent": "consent",
    "context": "choose a context",
    "answer": "answer the question",
    "card": "look at the card: edit, revise or confirm it",
    "duplicate": "judge whether the next card is the same",
    "vote": "vote on the next pair",
    "survey": "answer the survey",
    "return": "resume the interview",
}


def fold(events: Iterable[Event]) -> InterviewState:
    """The state that events lead to.

    Raises
    ------
    DataError
        If there are none, one is missing, or one is not possible after those before it.
    """
    state: InterviewState | None = None
    for event in events:
        try:
            state = apply(state, event)
        except InterviewError as error:
            raise DataError(
                f"The record of the interview is damaged: {error.what}",
                where=f"event {event.seq}",
                fix="Restore it from a copy.",
            ) from None
    if state is None:
        raise DataError("The record of the interview is empty.", fix="Begin a new interview.")
    return state


def apply(state: InterviewState | None, event: Event) -> InterviewState:
    """The state after one more event.

    Raises
    ------
    InterviewError
        The event is not possible now.
    """
    body = event.body
    if state is None:
        if not isinstance(body, Started) or event.seq != 0:
            raise InterviewError("An interview begins by being started.", fix="Begin a new one.")
        return InterviewState(body, last_at=event.at, last_word_at=event.at)
    if event.seq != state.version:
        raise InterviewError(f"Event {state.version} is missing.", fix="Restore the record from a copy.")
    if state.last_at is not None and event.at < state.last_at:
        raise InterviewError("The time goes backwards.", fix="Restore the record from a copy.")
    _not_halted(state, body)
    if isinstance(body, Started):
        raise InterviewError("The interview is started already.", fix="Go on with it.")
    changed = _STEPS[type(body)](state, body, event.at)
    word = event.at if body.actor == "participant" else state.last_word_at
    usage = state.usage + event.usage
    return replace(changed, version=state.version + 1, last_at=event.at, last_word_at=word, usage=usage)


def _not_halted(state: InterviewState, body: Any) -> None:
    allowed: dict[str, tuple[type, ...]] = {
        "paused": (Resumed, Withdrawn, Expired),
        "expired": (Withdrawn,),
        "withdrawn": (),
    }
    if state.halted is not None and not isinstance(body, allowed[state.halted]):
        fix = "Resume it first." if state.halted == "paused" else "Begin a new one."
        raise InterviewError(f"The interview is {state.halted}.", fix=fix)


def _refuse(state: InterviewState, what: str) -> InterviewError:
    step = state.awaits
    fix = f"The next step is to {_NEXT[step]}." if step is not None else "Let the interviewer go on first."
    return InterviewError(what, fix="The interview has ended." if state.stage == "done" else fix)


def _require(state: InterviewState, condition: object, what: str) -> None:
    if not condition:
        raise _refuse(state, what)


def _consented(state: InterviewState, body: Consented, at: datetime) -> InterviewState:
    _require(state, state.stage == "started", "Consent was given already.")
    known = {*state.begun.required_scopes, *state.begun.optional_scopes}
    unknown = sorted(set(body.scopes) - known)
    _require(state, not unknown, f"There is no scope {unknown[0] if unknown else ''!r} to consent to.")
    missing = [scope for scope in state.begun.required_scopes if scope not in body.scopes]
    _require(state, not missing, f"Without consent to {', '.join(missing)} there is no interview.")
    return replace(state, stage="consented", scopes=body.scopes)


def _context_chosen(state: InterviewState, body: ContextChosen, at: datetime) -> InterviewState:
    _require(state, state.stage == "consented", "A context cannot be chosen now.")
    _require(state, body.context in state.begun.contexts, f"There is no context {body.context!r}.")
    return replace(state, stage="context_chosen", context=body.context, context_text=body.text)


def _asked(state: InterviewState, body: Asked, at: datetime) -> InterviewState:
    _require(state, state.due == "question" and body.turn == len(state.turns) + 1, "No question is due.")
    return replace(state, stage="interviewing", turns=(*state.turns, Turn(body.turn, body.stage, body.text)))


def _answered(state: InterviewState, body: Answered, at: datetime) -> InterviewState:
    _require(state, state.awaits == "answer", "No question is open.")
    last = state.turns[-1]
    _require(state, body.turn == last.number, f"Question {body.turn} is not the open one.")
    return replace(state, turns=(*state.turns[:-1], replace(last, answer=body.text)))


def _guessed(state: InterviewState, body: Guessed, at: datetime) -> InterviewState:
    _require(state, state.due == "guess" and body.turn == state.answered, "No guess is due.")
    return _towards_card(replace(state, guess=body))


def _fell_back(state: InterviewState, body: FellBack, at: datetime) -> InterviewState:
    _require(state, state.due is not None, "Nothing is due that could fail.")
    return replace(state, fallbacks=state.fallbacks + 1)


def _card_requested(state: InterviewState, body: CardRequested, at: datetime) -> InterviewState:
    _require(state, state.awaits == "answer", "The conversation is not going on.")
    _require(state, state.answered >= 1, "There is no answer yet to make a card of.")
    return replace(state, stage="card_draft", turns=state.turns[:-1], card_wanted=True)


def _card_drafted(state: InterviewState, body: CardDrafted, at: datetime) -> InterviewState:
    _require(state, state.due == "card", "No draft is due.")
    return _with_draft(state, body.version, body.card)


def _card_edited(state: InterviewState, body: CardEdited, at: datetime) -> InterviewState:
    _require(state, state.awaits == "card", "There is no card to edit now.")
    return _with_draft(state, body.version, body.card)


def _with_draft(state: InterviewState, version: int, card: CardText) -> InterviewState:
    _require(state, version == len(state.drafts) + 1, f"Version {version} is not the next one.")
    _require(state, version <= state.begun.limits.card_versions, "The card was changed too often.")
    return replace(state, stage="card_draft", drafts=(*state.drafts, card), revision=None, card_wanted=False)


def _revision_asked(state: InterviewState, body: RevisionAsked, at: datetime) -> InterviewState:
    _require(state, state.awaits == "card" and body.version == len(state.drafts), "That version is not shown now.")
    _require(state, len(state.drafts) < state.begun.limits.card_versions - 1, "The card was changed too often.")
    return replace(state, revision=body.text, card_wanted=True)


def _card_confirmed(state: InterviewState, body: CardConfirmed, at: datetime) -> InterviewState:
    _require(state, state.awaits == "card" and body.version == len(state.drafts), "That version is not shown now.")
    return replace(state, stage="card_confirmed", confirmed=body.version)


def _duplicates_proposed(state: InterviewState, body: DuplicatesProposed, at: datetime) -> InterviewState:
    _require(state, state.due == "duplicates", "No proposals are due.")
    return _judged(replace(state, proposals=body.proposals))


def _duplicate_judged(state: InterviewState, body: DuplicateJudged, at: datetime) -> InterviewState:
    _require(state, state.awaits == "duplicate", "There is no proposal to judge now.")
    offered = [proposal.card_id for proposal in state.proposals or ()]
    _require(state, body.card_id in offered, "That card was not proposed.")
    _require(state, body.card_id not in state.verdicts, "That proposal is judged already.")
    return _judged(replace(state, verdicts={**state.verdicts, body.card_id: body.verdict}))


def _judged(state: InterviewState) -> InterviewState:
    return state if state.next_proposal is not None else replace(state, stage="dedup_confirmed")


def _ballot_drawn(state: InterviewState, body: BallotDrawn, at: datetime) -> InterviewState:
    _require(state, state.due == "ballot", "No ballot is due.")
    return _voted_on(replace(state, stage="voting", ballot=body.items))


def _voted(state: InterviewState, body: Voted, at: datetime) -> InterviewState:
    _require(state, state.stage in ("voting", "exit_survey"), "There is nothing to vote on now.")
    _require(state, 0 <= body.item < len(state.ballot or ()), f"There is no item {body.item} to vote on.")
    vote = CastVote(body.answer, body.comment, at)
    return _voted_on(replace(state, votes={**state.votes, body.item: vote}))


def _voted_on(state: InterviewState) -> InterviewState:
    if state.next_item is not None or state.stage != "voting":
        return state
    return replace(state, stage="exit_survey" if state.begun.survey else "done")


def _survey_answered(state: InterviewState, body: SurveyAnswered, at: datetime) -> InterviewState:
    _require(state, state.stage == "exit_survey", "The survey is not open.")
    questions = dict(state.begun.survey)
    unknown = sorted(set(body.answers) - set(questions))
    _require(state, not unknown, f"The survey has no question {unknown[0] if unknown else ''!r}.")
    for name, kind in questions.items():
        answer = body.answers.get(name)
        scale = isinstance(answer, int) and not isinstance(answer, bool) and 1 <= answer <= 5
        fits = scale if kind == "scale" else answer is None or isinstance(answer, str)
        _require(state, fits, f"The answer to {name!r} is not {'1 to 5' if kind == 'scale' else 'a text'}.")
    return replace(state, stage="done", survey=body.answers)


def _paused(state: InterviewState, body: Paused, at: datetime) -> InterviewState:
    _require(state, state.stage != "done", "The interview is done.")
    return replace(state, halted="paused")


def _resumed(state: InterviewState, body: Resumed, at: datetime) -> InterviewState:
    _require(state, state.halted == "paused", "The interview is not paused.")
    return replace(state, halted=None)


def _withdrawn(state: InterviewState, body: Withdrawn, at: datetime) -> InterviewState:
    """Nothing of what was said stays in the state."""
    return InterviewState(state.begun, stage=state.stage, halted="withdrawn")


def _expired(state: InterviewState, body: Expired, at: datetime) -> InterviewState:
    _require(state, state.stage != "done", "The interview is done.")
    return replace(state, halted="expired")


def _towards_card(state: InterviewState) -> InterviewState:
    """Past the last question, the stage is that of the card."""
    return replace(state, stage="card_draft", card_wanted=True) if state.due == "card" else state


_STEPS: Mapping[type, Callable[..., InterviewState]] = {
    Consented: _consented,
    ContextChosen: _context_chosen,
    Asked: _asked,
    Answered: _answered,
    Guessed: _guessed,
    FellBack: _fell_back,
    CardRequested: _card_requested,
    CardDrafted: _card_drafted,
    CardEdited: _card_edited,
    RevisionAsked: _revision_asked,
    CardConfirmed: _card_confirmed,
    DuplicatesProposed: _duplicates_proposed,
    DuplicateJudged: _duplicate_judged,
    BallotDrawn: _ballot_drawn,
    Voted: _voted,
    SurveyAnswered: _survey_answered,
    Paused: _paused,
    Resumed: _resumed,
    Withdrawn: _withdrawn,
    Expired: _expired,
}
