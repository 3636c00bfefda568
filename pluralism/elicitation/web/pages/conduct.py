"""One step of an interview over HTTP: what the participant sent is durable first, then the interviewer goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Annotated, Any

import anyio.to_thread
from fastapi import Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from pluralism.elicitation.interview import Interview, Interviewer
from pluralism.elicitation.interview.card_form import advice, must_mend
from pluralism.elicitation.interview.participant_text import seen
from pluralism.elicitation.web.event_rows import ERASED
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.pages.messages import card_finding, problem_of, unavailable, words_of
from pluralism.elicitation.web.pages.streaming import streamed, wants_stream
from pluralism.elicitation.web.people import People
from pluralism.elicitation.web.rendering import page, translator
from pluralism.elicitation.web.study import Study
from pluralism.errors import ConflictError, InterviewError, PluralismError, StorageError, UsageError

__all__ = ["Expected", "Here", "Key", "TooLong", "act", "fitting", "show"]

Key = Annotated[str, Form(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
"""By which a form that is sent twice counts once."""
Expected = Annotated[int | None, Form(ge=0, le=1_000_000)]
"""How many events of the interview its sender had seen."""

_STEPS = {
    "consent": ("consent", 0),
    "context": ("context", 1),
    "answer": ("answer", 2),
    "card": ("card", 3),
    "duplicate": ("duplicate", 3),
    "vote": ("vote", 4),
    "survey": ("survey", 5),
}
_THINKING = {"context_chosen": 2, "interviewing": 2, "card_draft": 3, "card_confirmed": 3, "dedup_confirmed": 4}


class TooLong(InterviewError):
    """A text is longer than its field; `most` says how long it may be."""

    def __init__(self, most: int) -> None:
        super().__init__("The text is too long.", fix=f"Use at most {most:,} characters.")
        self.most = most


class Here:
    """Where a participant is.

    Parameters
    ----------
    request : Request
        Of a participant.

    Raises
    ------
    NotFoundError
        There is no such participant (any more).
    """

    def __init__(self, request: Request) -> None:
        self.request, self.participant_id = request, session_of(request).participant
        self.model = self._model()
        self.interview: Interview = self._people.interview(self.participant_id, interviewer=self.model)

    @cached_property
    def study(self) -> Study:
        """The study."""
        service = self.request.app.state.service
        found: Study = service.studies.get(self._people.get(self.participant_id).study_id)
        return found

    @property
    def _people(self) -> People:
        people: People = self.request.app.state.service.people
        return people

    def _model(self) -> Interviewer | None:
        model: Interviewer | None = self.request.app.state.interviewer
        return model if model is not None and self.study.interviewer == "llm" else None

    @property
    def language(self) -> str:
        """The language of the interview."""
        return self.interview.state.begun.language

    @property
    def way_back(self) -> str:
        """The participant's own link; empty where this browser does not know it."""
        token = session_of(self.request).way_back
        return f"{self.request.app.state.base_url(self.request)}/return/{token}" if token else ""

    @property
    def title(self) -> str:
        """What the study is called, to participants."""
        return self.interview.protocol.title[self.language]

    @property
    def busy(self) -> bool:
        """Whether the interviewer is at work for somebody who asked before."""
        locked: bool = self.request.app.state.one_at_a_time.of(self.participant_id).locked()
        return locked

    async def go_on(self, tell: Callable[[str | None], None] | None = None) -> None:
        """Let the interviewer do what is due: a model in threads of its own, so that pages never wait for it."""
        app = self.request.app.state
        async with app.one_at_a_time.of(self.participant_id):
            limiter = None if self.model is None else app.model_threads
            await anyio.to_thread.run_sync(self.advance, tell, limiter=limiter)

    def advance(self, tell: Callable[[str | None], None] | None = None) -> None:
        """Do what is due, in this thread."""
        self.interview.reload()
        self.interview.advance(tell)


def act(
    request: Request,
    do: Callable[[Interview], Any],
    *,
    typed: Mapping[str, Any] | None = None,
    step: Callable[[Here], None] | None = None,
) -> Response:
    """Do what a form asks for, let the interviewer go on, and send the participant to what comes next.

    Parameters
    ----------
    request : Request
    do : callable
        Gets the interview.
    typed : mapping
        What the participant typed: shown again where it could not be kept.
    step : callable, optional
        Done before, with the same manners.
    """
    typed = typed or {}
    try:
        place = Here(request)
    except StorageError as error:
        return unavailable(request, error, typed)
    try:
        if step is not None:
            step(place)
        do(place.interview)
        if wants_stream(request):
            return streamed(place.go_on, request)
        if place.interview.state.due is not None:
            if place.model is not None:
                return _WhenDone(place)
            place.advance()
    except (StorageError, ConflictError, InterviewError, UsageError) as error:
        return _refusal(place, error, typed)
    return RedirectResponse("/interview", 303)


class _WhenDone(Response):
    """Answers when the model has; at once where it is at work for this interview already."""

    def __init__(self, place: Here) -> None:
        super().__init__()
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        answer: Response = RedirectResponse("/interview", 303)
        if not self._place.busy:
            try:
                await self._place.go_on()
            except (StorageError, ConflictError, InterviewError, UsageError) as error:
                answer = await run_in_threadpool(_refusal, self._place, error, {})
        await answer(scope, receive, send)


def _refusal(place: Here, error: PluralismError, typed: Mapping[str, Any]) -> Response:
    """Where the interview stands, with what was typed, and why it could not be used."""
    if isinstance(error, StorageError):
        return unavailable(place.request, error, typed)
    place.interview.reload()
    if isinstance(error, ConflictError):
        # What was typed was for a step that is over: it is shown beside the form of the next one, not in it.
        typed = {name: value for name, value in typed.items() if name != "for"}
    t = translator(place.request, place.language)
    return show(place, problem=problem_of(error, t), typed=typed, status=409)


def show(
    place: Here,
    *,
    problem: str = "",
    typed: Mapping[str, Any] | None = None,
    item: int | None = None,
    status: int = 200,
) -> Response:
    """The page of where an interview stands.

    Parameters
    ----------
    place : Here
    problem : str
        What went wrong, where something did.
    typed : mapping
        What could not be kept: it stands in the form again, or where another form is due, beside it.
    item : int, optional
        An item of the ballot that is voted on already, to change the vote.
    status : int
    """
    state, typed = place.interview.state, dict(typed or {})
    awaited = state.awaits
    step: str
    number: int | None
    if state.halted is not None:
        step, number = state.halted, None
    elif state.due is not None:
        step, number = "thinking", _THINKING[state.stage]
    elif awaited is None:
        step, number = "done", None
    else:
        step, number = _STEPS[awaited]
    fits = typed.pop("for", None) == step
    kept = "" if fits else words_of(typed)
    service = place.request.app.state.service
    values: dict[str, Any] = {
        "state": state,
        "protocol": place.interview.protocol,
        "case": place.interview.case,
        "limits": state.begun.limits,
        "revises": place.interview.interviewer.revises,
        "say": lambda name: place.interview.protocol.text(name, place.language),
        "typed": typed if fits else {},
        "erased": ERASED,
        "may_see_graph": step == "done" and service.people.may_see_graph(place.participant_id),
        "link": place.way_back,
    }
    t = translator(place.request, place.language)
    if step == "vote":
        values["item"] = item if item in state.votes else state.next_item
    if step == "survey":
        values["demographics"] = place.study.demographics
        values["about"] = service.demographics.get(place.participant_id)
    if step == "card" and state.draft is not None:
        problem_of_card = must_mend(state.draft) if state.draft.policies else None
        values["complete"] = bool(state.draft.title and state.draft.policies)
        values["must_mend"] = t("card.must_mend") if problem_of_card else ""
        values["findings"] = [card_finding(finding, t) for finding in advice(state.draft, place.language)]
    return page(
        place.request,
        "participant/interview",
        status=status,
        language=place.language,
        spoken=place.language,
        title=place.title,
        way_out=step not in ("withdrawn", "expired", "done", "paused"),
        step=step,
        place=number,
        problem=problem,
        kept=kept,
        **values,
    )


def fitting(text: str, most: int) -> str:
    """A text that fits its field.

    Raises
    ------
    TooLong
        It does not.
    """
    if len(seen(text)) > most:
        raise TooLong(most)
    return text
