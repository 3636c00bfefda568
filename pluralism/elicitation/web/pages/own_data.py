"""What is the participant's own: to leave and come back, to see the graph, to take data along, to delete them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from pluralism.elicitation.web.graph_view import graph_values
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.pages.conduct import Here, Key
from pluralism.elicitation.web.pages.messages import failed
from pluralism.elicitation.web.rendering import page, translator

__all__ = ["router"]

router = APIRouter(prefix="/interview", route_class=GuardedRoute, default_response_class=HTMLResponse)


@router.get("/leave")
@allow(Role.PARTICIPANT)
def leaving(request: Request) -> Response:
    """How to come back."""
    return _own_page(Here(request), "leave")


@router.post("/leave")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def leave(request: Request, key: Key) -> Response:
    """Leave for now: this browser forgets the interview, as it may be used by others."""
    place = Here(request)
    if place.interview.state.halted is None and place.interview.state.stage != "done":
        place.interview.pause(key=key)
    request.state.session = session_of(request).taking_part("", "")
    return _own_page(place, "left", way_out=False)


@router.get("/delete")
@allow(Role.PARTICIPANT)
def deleting(request: Request) -> Response:
    """What deleting means."""
    return _own_page(Here(request), "delete")


@router.post("/delete")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def delete(request: Request) -> Response:
    """Delete everything that the participant said."""
    place = Here(request)
    request.app.state.service.people.delete(place.participant_id, by=place.participant_id)
    request.state.session = session_of(request).taking_part("", "")
    return _own_page(place, "deleted", way_out=False)


@router.get("/my-data.json")
@allow(Role.PARTICIPANT, rate=Rate.ACTION)
def my_data(request: Request) -> Response:
    """Everything that the participant said, to take along."""
    state = Here(request).interview.state
    headers = {"Content-Disposition": 'attachment; filename="my-data.json"'}
    return Response(state.to_json(), media_type="application/json", headers=headers)


@router.get("/graph")
@allow(Role.PARTICIPANT, rate=Rate.HEAVY)
def graph(request: Request) -> Response:
    """The values of all and how they were judged; never while one's own votes can be changed."""
    place = Here(request)
    service = request.app.state.service
    if not service.people.may_see_graph(place.participant_id):
        return failed(request, 403, "graph")
    stored = service.graphs.get(place.study.id)
    language = translator(request, place.language).language
    shown = graph_values(request.app.state.pictures, stored, place.study.id, language, votes=False)
    return _own_page(place, "graph", stored=stored, **shown)


def _own_page(place: Here, name: str, *, way_out: bool = True, **values: Any) -> Response:
    return page(
        place.request,
        f"participant/{name}",
        language=place.language,
        spoken=place.language,
        title=place.title,
        way_out=way_out,
        link=place.way_back,
        **values,
    )
