"""Who may do what: each route names the roles that may use it, and one that names none is closed to everybody."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from fastapi.routing import APIRoute

from pluralism.elicitation.web.guards.forged_requests import refuse_forged
from pluralism.elicitation.web.guards.form_encoding import refuse_other_encodings
from pluralism.elicitation.web.guards.organiser_password import password_mark
from pluralism.elicitation.web.guards.rate_limit import Rate, refuse_too_many
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.errors import AccessError

if TYPE_CHECKING:
    from pluralism.elicitation.web.links import Link

__all__ = ["GuardedRoute", "Role", "allow", "link_of"]

F = TypeVar("F", bound=Callable[..., Any])
_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Role(StrEnum):
    """Who somebody is; each role among the organisers may do what the one before may."""

    ANYBODY = "anybody"
    PARTICIPANT = "participant"
    VIEWER = "viewer"
    MODERATOR = "moderator"
    ORGANISER = "organiser"
    ADMIN = "admin"


_ORGANISERS = (Role.VIEWER, Role.MODERATOR, Role.ORGANISER, Role.ADMIN)


def allow(role: Role, *, rate: Rate = Rate.PAGE) -> Callable[[F], F]:
    """Let a role use an endpoint, so often; with a role among the organisers, those who may more."""

    def mark(endpoint: F) -> F:
        for name, value in (("needed_role", role), ("rate", rate)):
            setattr(endpoint, name, value)
        return endpoint

    return mark


def link_of(request: Request) -> Link:
    """The link by which the organiser who sends a request came."""
    link: Link = request.state.link
    return link


class GuardedRoute(APIRoute):
    """A route that refuses whoever is not allowed, before anything else of the request is looked at.

    Where its path names a study, an organiser of another study is told that there is none.
    """

    @property
    def needed(self) -> Role | None:
        """The role that it takes; None where it is closed."""
        return getattr(self.endpoint, "needed_role", None)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler behind the guards."""
        handle = super().get_route_handler()
        needed, rate = self.needed, getattr(self.endpoint, "rate", Rate.PAGE)

        async def guarded(request: Request) -> Response:
            request.state.route = self.path
            refuse_too_many(request, rate)
            if needed is None:
                raise HTTPException(403, "closed")
            if needed is Role.PARTICIPANT and not session_of(request).participant:
                raise HTTPException(403, "no participant")
            if needed in _ORGANISERS:
                await _check_organiser(request, needed)
            if request.method in _CHANGES:
                refuse_other_encodings(request)
                await refuse_forged(request)
            return await handle(request)

        return guarded


async def _check_organiser(request: Request, needed: Role) -> None:
    session = session_of(request)
    hours = request.app.state.settings.organiser_hours
    if not session.organiser or time.time() - session.entered > hours * 3600:
        raise HTTPException(401, "no organiser")
    try:
        link = await run_in_threadpool(request.app.state.service.links.get, session.organiser)
    except AccessError:
        raise HTTPException(401, "no organiser") from None
    if session.password_mark and session.password_mark != password_mark(request):
        raise HTTPException(401, "another password")
    request.state.link = link
    study = request.path_params.get("study_id")
    if link.study_id is not None and study is not None and link.study_id != study:
        raise HTTPException(404, "no study")
    if link.role not in _ORGANISERS or _ORGANISERS.index(Role(link.role)) < _ORGANISERS.index(needed):
        raise HTTPException(403, "no access")
