"""How organisers come in and leave: by a link, or with the password of the settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.organiser_password import password_mark, right_password
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.links import Link
from pluralism.elicitation.web.rendering import page, translator
from pluralism.errors import AccessError

__all__ = ["router"]

router = APIRouter(prefix="/organise", route_class=GuardedRoute, default_response_class=HTMLResponse)
_BY_PASSWORD = "password"


@router.get("/enter")
@allow(Role.ANYBODY)
def entrance(request: Request) -> Response:
    """Where to come in."""
    return _entrance(request)


@router.post("/enter")
@allow(Role.ANYBODY, rate=Rate.LOGIN)
def enter_by_password(request: Request, password: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """Come in with the password of the settings, where they have one."""
    if not right_password(request, password):
        return _entrance(request, problem=translator(request)("enter.wrong"), status=403)
    return _in(request, _password_link(request), password_mark(request))


@router.get("/enter/{token}")
@allow(Role.ANYBODY, rate=Rate.LINK)
def open_link(request: Request, token: str) -> Response:
    """A button that leads in: a link alone, opened from elsewhere or by a preview, changes nothing."""
    link = _organiser_link(request, token)
    return page(request, "organiser/enter", link=link, problem="", with_password=False)


@router.post("/enter/{token}")
@allow(Role.ANYBODY, rate=Rate.LINK)
def enter(request: Request, token: str) -> Response:
    """Come in by a link."""
    return _in(request, _organiser_link(request, token))


@router.post("/leave")
@allow(Role.ANYBODY)
def leave(request: Request) -> Response:
    """Leave."""
    request.state.session = session_of(request).organising("")
    return RedirectResponse("/organise/enter", 303)


def _entrance(request: Request, problem: str = "", status: int = 200) -> Response:
    with_password = bool(request.app.state.settings.password.get_secret_value())
    return page(request, "organiser/enter", status=status, link=None, problem=problem, with_password=with_password)


def _in(request: Request, link: Link, password_mark: str = "") -> Response:
    request.state.session = session_of(request).organising(link.id, password_mark)
    return RedirectResponse(f"/organise/studies/{link.study_id}" if link.study_id else "/organise", 303)


def _organiser_link(request: Request, token: str) -> Link:
    link: Link = request.app.state.service.links.open(token)
    if link.role == "participant":
        raise AccessError("This link is for participants.", fix="Open it as /join/...")
    return link


def _password_link(request: Request) -> Link:
    """The link that stands for the password in the log: one for all who come in with it."""
    links = request.app.state.service.links
    for link in links.of_study(None):
        if link.label == _BY_PASSWORD and link.role == "admin" and link.revoked_at is None and link.expires_at is None:
            return link
    made: Link = links.create(study_id=None, role="admin", by="settings", label=_BY_PASSWORD).link
    return made
