"""How people come in: by a link of the study, and back by their own."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from pluralism.elicitation.interview.content import fill
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.links import Link
from pluralism.elicitation.web.pages.conduct import Here, Key
from pluralism.elicitation.web.pages.messages import failed
from pluralism.elicitation.web.rendering import page, static_file, translator
from pluralism.elicitation.web.study import Study
from pluralism.elicitation.web.translation import languages
from pluralism.errors import AccessError, NotFoundError, UsageError

__all__ = ["router"]

router = APIRouter(route_class=GuardedRoute, default_response_class=HTMLResponse)


@router.get("/")
@allow(Role.ANYBODY)
def home(request: Request) -> Response:
    """What this is, to somebody who comes without a link."""
    session = session_of(request)
    if session.participant or session.organiser:
        return RedirectResponse("/interview" if session.participant else "/organise", 303)
    return page(request, "home")


@router.get("/static/{version}/{name}")
@allow(Role.ANYBODY, rate=Rate.STATIC)
def static(version: str, name: str) -> Response:
    """A file of the pages; its version is in its address, so that it may be kept."""
    try:
        content, kind, digest = static_file(name)
    except KeyError:
        raise NotFoundError("There is no such file.") from None
    kept = "public, max-age=31536000, immutable" if version == digest else "no-store"
    return Response(content, media_type=kind, headers={"Cache-Control": kept})


@router.get("/health")
@allow(Role.ANYBODY, rate=Rate.STATIC)
def health(request: Request) -> Response:
    """Whether the service and its database answer."""
    request.app.state.service.ping()
    return Response("ok\n", media_type="text/plain")


@router.post("/language")
@allow(Role.ANYBODY)
def choose_language(
    request: Request,
    language: Annotated[str, Form(max_length=16)],
    back: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Choose the language of the pages by hand."""
    if language in languages():
        request.state.session = session_of(request).speaking(language)
    # Only within this site: anything with a host in it leads home.
    inside = back.startswith("/") and not back.startswith(("//", "/\\")) and back.isprintable()
    return RedirectResponse(back if inside else "/", 303)


@router.get("/join/{token}")
@allow(Role.ANYBODY, rate=Rate.JOIN)
def welcome(request: Request, token: str) -> Response:
    """What the study is about, and the button that begins."""
    link, study = _open(request, token)
    going_on = _takes_part_in(request, study)
    if link.max_uses is not None and link.uses >= link.max_uses and not going_on:
        return failed(request, 404, "used_up")
    return _welcome(request, study, going_on)


@router.post("/join/{token}")
@allow(Role.ANYBODY, rate=Rate.JOIN)
def join(request: Request, token: str, language: Annotated[str, Form(max_length=16)], key: Key) -> Response:
    """Begin, and go to where the participant's own link is shown."""
    _, study = _open(request, token)
    if language not in study.languages:
        raise UsageError("The study is not there in this language.", fix="Choose one that is offered.")
    if study.status != "open":
        return failed(request, 409, "closed")
    joined = request.app.state.service.people.join(token, language=language, key=key)
    request.state.session = session_of(request).taking_part(joined.participant.id, joined.token)
    # Another page, as its form is of a session that has ended: it may be loaded again.
    return RedirectResponse("/interview/joined", 303)


@router.get("/interview/joined")
@allow(Role.PARTICIPANT)
def joined(request: Request) -> Response:
    """The participant's own link, by which they come back."""
    place = Here(request)
    return page(
        request,
        "participant/joined",
        language=place.language,
        spoken=place.language,
        title=place.title,
        way_out=False,
        link=place.way_back,
    )


@router.get("/return/{token}")
@allow(Role.ANYBODY, rate=Rate.JOIN)
def come_back(request: Request, token: str) -> Response:
    """A button that leads back: a link alone, opened from elsewhere, changes nothing in this browser."""
    participant = request.app.state.service.people.by_token(token)
    study = request.app.state.service.studies.get(participant.study_id)
    language = participant.language
    title = study.protocol.title.get(language) or study.title
    return page(request, "participant/enter", language=language, spoken=language, title=title, way_out=False)


@router.post("/return/{token}")
@allow(Role.ANYBODY, rate=Rate.JOIN)
def enter(request: Request, token: str) -> Response:
    """Go on with an interview in this browser."""
    participant = request.app.state.service.people.by_token(token)
    request.state.session = session_of(request).taking_part(participant.id, token)
    return RedirectResponse("/interview", 303)


def _open(request: Request, token: str) -> tuple[Link, Study]:
    service = request.app.state.service
    link = service.links.open(token)
    if link.role != "participant" or link.study_id is None:
        raise AccessError("This link is for organisers.", fix="Open it as /organise/enter/...")
    return link, service.studies.get(link.study_id)


def _takes_part_in(request: Request, study: Study) -> bool:
    known = session_of(request).participant
    if not known:
        return False
    try:
        participant = request.app.state.service.people.get(known)
    except NotFoundError:
        return False
    return participant.study_id == study.id and participant.deleted_at is None


def _welcome(request: Request, study: Study, going_on: bool) -> Response:
    t = translator(request)
    choices = study.languages
    chosen = t.language if t.language in choices else choices[0]
    protocol, model = study.protocol, request.app.state.interviewer
    notice = ""
    if study.interviewer == "llm" and model is not None:
        notice = fill(protocol.text("model_notice", chosen), model=model.name)
    return page(
        request,
        "participant/join",
        language=chosen,
        spoken=chosen,
        title=protocol.title[chosen],
        way_out=False,
        problem="",
        welcome=protocol.text("welcome", chosen),
        asks=protocol.text("question", chosen),
        question=study.case.question[chosen],
        model_notice=notice,
        going_on=going_on,
        open=study.status == "open",
        choices=choices,
        chosen=chosen,
    )
