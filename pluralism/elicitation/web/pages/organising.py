"""What the pages of organisers have in common."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from pluralism.elicitation.web.guards.access import Role, link_of
from pluralism.elicitation.web.rendering import page
from pluralism.errors import NotFoundError

__all__ = ["back_to", "by", "may", "of_this_study", "study_page"]

_ORDER = (Role.VIEWER, Role.MODERATOR, Role.ORGANISER, Role.ADMIN)


def by(request: Request) -> str:
    """Who acts, as the log names them."""
    return link_of(request).id


def may(request: Request, role: Role) -> bool:
    """Whether whoever asks has a role, or more."""
    return _ORDER.index(Role(link_of(request).role)) >= _ORDER.index(role)


def study_page(
    request: Request, study_id: str, name: str, *, tab: str = "", problem: str = "", status: int = 200, **values: Any
) -> Response:
    """A page of a study, with the tabs that whoever asks may open."""
    study = request.app.state.service.studies.get(study_id)
    return page(
        request,
        f"organiser/{name}",
        status=status,
        study=study,
        tab=tab or name,
        problem=problem,
        role=link_of(request).role,
        may=lambda role: may(request, Role(role)),
        **values,
    )


def back_to(study_id: str, place: str = "") -> Response:
    """Back to a page of a study, after a form."""
    return RedirectResponse(f"/organise/studies/{study_id}{place}", 303)


def of_this_study(study_id: str, found: str | None, what: str) -> None:
    """Refuse what belongs to another study, as if it were not there.

    Raises
    ------
    NotFoundError
        It does.
    """
    if found != study_id:
        raise NotFoundError(f"There is no such {what} in this study.", fix="Go back to the list.")
