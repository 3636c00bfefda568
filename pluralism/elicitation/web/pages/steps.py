"""The steps of an interview: each form of a participant, and the page of where the interview stands."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response

from pluralism.elicitation.interview import Interview
from pluralism.elicitation.interview.events import Verdict, VoteAnswer
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.pages.conduct import Expected, Here, Key, act, fitting, show

__all__ = ["router"]

router = APIRouter(prefix="/interview", route_class=GuardedRoute, default_response_class=HTMLResponse)

Text = Annotated[str, Form(max_length=400_000)]
Short = Annotated[str, Form(max_length=64)]
Number = Annotated[int, Form(ge=0, le=1_000)]


@router.get("")
@allow(Role.PARTICIPANT)
def where_it_stands(request: Request, item: Annotated[int | None, Query(ge=0, le=1_000)] = None) -> Response:
    """The page of the step that is due."""
    return show(Here(request), item=item)


@router.post("/consent")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def consent(
    request: Request, key: Key, expected: Expected = None, scopes: Annotated[list[Short] | None, Form()] = None
) -> Response:
    """Consent to scopes."""
    return act(
        request,
        lambda interview: interview.consent(scopes or (), key=key, expected=expected),
        typed={"for": "consent", "scopes": scopes or []},
    )


@router.post("/context")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def context(request: Request, context: Short, key: Key, expected: Expected = None) -> Response:
    """Choose a context."""
    return act(request, lambda interview: interview.choose_context(context, key=key, expected=expected))


@router.post("/answer")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def answer(request: Request, key: Key, text: Text = "", expected: Expected = None) -> Response:
    """Answer the open question."""

    def do(interview: Interview) -> None:
        most = interview.state.begun.limits.answer_characters
        interview.answer(fitting(text, most), key=key, expected=expected)

    return act(request, do, typed={"for": "answer", "text": text})


@router.post("/see-card")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def see_card(request: Request, key: Key, expected: Expected = None) -> Response:
    """End the conversation and see the card."""
    return act(request, lambda interview: interview.request_card(key=key, expected=expected))


@router.post("/go-on")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def go_on(request: Request) -> Response:
    """Let the interviewer do what is due, where it was interrupted."""
    return act(request, lambda interview: None)


@router.post("/card")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def card(
    request: Request,
    key: Key,
    version: Number,
    title: Text = "",
    description: Text = "",
    policies: Text = "",
    then: Annotated[Literal["look", "confirm"], Form()] = "look",
    expected: Expected = None,
) -> Response:
    """Write the next version of the card, and confirm it where that is asked for."""

    def do(interview: Interview) -> None:
        limits = interview.state.begun.limits
        lines = [fitting(line, limits.policy_characters) for line in policies.splitlines()]
        interview.edit_card(
            fitting(title, limits.title_characters),
            fitting(description, limits.description_characters),
            lines,
            version=version,
            key=key,
            expected=expected,
        )
        if then == "confirm":
            interview.confirm_card(version=version + 1, key=f"{key}-confirm")

    typed = {"for": "card", "title": title, "description": description, "policies": policies}
    return act(request, do, typed=typed)


@router.post("/revision")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def revision(request: Request, key: Key, version: Number, text: Text = "", expected: Expected = None) -> Response:
    """Say in words what to change in the card."""

    def do(interview: Interview) -> None:
        most = interview.state.begun.limits.answer_characters
        interview.ask_revision(fitting(text, most), version=version, key=key, expected=expected)

    return act(request, do, typed={"for": "card", "text": text})


@router.post("/confirm")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def confirm(request: Request, key: Key, version: Number, expected: Expected = None) -> Response:
    """Say that the card is one's own."""
    return act(request, lambda interview: interview.confirm_card(version=version, key=key, expected=expected))


@router.post("/duplicate")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def duplicate(
    request: Request, card: Short, verdict: Annotated[Verdict, Form()], key: Key, expected: Expected = None
) -> Response:
    """Judge whether another card is the same as one's own."""
    return act(request, lambda interview: interview.judge_duplicate(card, verdict, key=key, expected=expected))


@router.post("/vote")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def vote(
    request: Request,
    item: Number,
    answer: Annotated[VoteAnswer, Form()],
    key: Key,
    comment: Text = "",
    expected: Expected = None,
) -> Response:
    """Vote on an item of the ballot."""

    def do(interview: Interview) -> None:
        said = fitting(comment, interview.state.begun.limits.answer_characters)
        interview.vote(item, answer, comment=said, key=key, expected=expected)

    return act(request, do, typed={"for": "vote", "answer": answer, "comment": comment})


@router.post("/survey")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
async def survey(request: Request, key: Key, expected: Expected = None) -> Response:
    """Answer the exit survey, and the questions about oneself."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    about = {name[6:]: value or None for name, value in form.items() if name.startswith("about.")}
    given = {name[7:]: value for name, value in form.items() if name.startswith("survey.")}

    demographics = request.app.state.service.demographics

    def check(place: Here) -> None:
        if about:
            demographics.check(place.participant_id, about)

    def do(interview: Interview) -> None:
        most = interview.state.begun.limits.answer_characters
        kinds = {question.id: question.kind for question in interview.protocol.survey}
        answers: dict[str, Any] = {
            name: int(value) if kinds.get(name) == "scale" and value in set("12345") else fitting(value, most)
            for name, value in given.items()
        }
        interview.answer_survey(answers, key=key, expected=expected)
        # Kept only with the answers that they were sent with.
        if about:
            demographics.answer(session_of(request).participant, about)

    typed = {"for": "survey", **{f"survey.{name}": value for name, value in given.items()}}
    return await run_in_threadpool(act, request, do, typed=typed, step=check)


@router.post("/resume")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def resume(request: Request, key: Key) -> Response:
    """Come back."""
    return act(request, lambda interview: interview.resume(key=key))
