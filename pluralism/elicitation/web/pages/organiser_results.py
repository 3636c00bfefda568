"""Results: the graph down to its votes, files to take along, what differs between moments or groups, and the proof."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Form, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, Response

from pluralism.elicitation.difference import GraphDifference
from pluralism.elicitation.exports.page_data import VERDICT_WORDS
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.web.exports import FORMATS
from pluralism.elicitation.web.graph_view import graph_values
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.pages.organising import back_to, by, may, study_page
from pluralism.elicitation.web.rendering import translator
from pluralism.elicitation.web.translation import Translator
from pluralism.errors import PluralismError, StorageError, UsageError

__all__ = ["router"]

router = APIRouter(prefix="/organise/studies/{study_id}", route_class=GuardedRoute, default_response_class=HTMLResponse)


@router.get("/graph")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def graph(request: Request, study_id: str) -> Response:
    """The moral graph: zoom, filter, and from an edge to its votes."""
    service = request.app.state.service
    stored = service.graphs.get(study_id)
    shown = graph_values(request.app.state.pictures, stored, study_id, translator(request).language, votes=True)
    return study_page(request, study_id, "graph", stored=stored, **shown)


@router.post("/graph")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def refresh_graph(request: Request, study_id: str) -> Response:
    """Build it from the newest votes."""
    request.app.state.service.graphs.get(study_id, fresh=True)
    return back_to(study_id, "/graph")


@router.get("/exports")
@allow(Role.VIEWER)
def exports(request: Request, study_id: str) -> Response:
    """The files that can be made, and those that were."""
    offered = [one for one in FORMATS.values() if not one.holds_speech or may(request, Role.ORGANISER)]
    made = request.app.state.service.exports.made(study_id)
    return study_page(request, study_id, "exports", formats=offered, made=made)


@router.post("/exports")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def make_export(request: Request, study_id: str, format: Annotated[str, Form(max_length=32)]) -> Response:
    """Make a file and send it; that it was made is in the log."""
    wanted = FORMATS.get(format)
    if wanted is not None and wanted.holds_speech and not may(request, Role.ORGANISER):
        raise HTTPException(403, "no access")
    made = request.app.state.service.exports.make(study_id, format, by=by(request))
    # As a file: a page of the graph has styles and scripts that the policy of this site would not run.
    headers = {"Content-Disposition": f'attachment; filename="{made.filename}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


@router.get("/differences")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def differences(
    request: Request,
    study_id: str,
    before: Annotated[str, Query(max_length=40)] = "",
    after: Annotated[str, Query(max_length=40)] = "",
    group_by: Annotated[str, Query(max_length=64)] = "",
    first: Annotated[str, Query(max_length=64)] = "",
    second: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What differs between two moments, or between two groups of people."""
    service = request.app.state.service
    asked, found, problem = bool(before or after or group_by), None, ""
    try:
        if group_by:
            found = service.graphs.difference(study_id, groups=(first, second), group_by=group_by)
        elif asked:
            found = service.graphs.difference(study_id, before=_moment(before), after=_moment(after))
    except StorageError:
        raise
    except PluralismError as error:
        problem = f"{error.what} {error.fix or ''}".strip()
    typed = {"before": before, "after": after, "group_by": group_by, "first": first, "second": second}
    titles = {} if found is None else _titles(service.graphs.get(study_id).graph)
    rows = [] if found is None else _rows(found, translator(request))
    return study_page(
        request, study_id, "differences", problem=problem, found=found, typed=typed, edges=rows, titles=titles
    )


@router.get("/proof")
@allow(Role.VIEWER)
def proof(request: Request, study_id: str) -> Response:
    """The heads of the chains that votes and log are in: publish them, and nobody can change the past unseen."""
    return study_page(request, study_id, "proof", head=request.app.state.service.audit.head(study_id), audit=None)


@router.post("/proof")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def check_proof(
    request: Request,
    study_id: str,
    votes_head: Annotated[str, Form(max_length=64)] = "",
    entries_head: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Follow the chains from the first link to the last, and to heads that were published."""
    service = request.app.state.service
    heads = {"votes_head": votes_head.strip() or None, "entries_head": entries_head.strip() or None}
    audit = service.audit.verify(study_id, **heads)
    return study_page(request, study_id, "proof", head=service.audit.head(study_id), audit=audit)


def _titles(graph: MoralGraph) -> dict[str, str]:
    return {name: card.title for name, card in graph.values.items()}


def _rows(found: GraphDifference, t: Translator) -> list[dict[str, str]]:
    """The pairs that were judged in either graph, in words and rounded."""
    rows = []
    for edge in found.edges:
        known = not math.isnan(edge.difference)
        sure = not math.isnan(edge.low)
        rows.append(
            {
                "source": edge.source,
                "wiser": edge.wiser,
                "before": t(f"graph_page.{VERDICT_WORDS[edge.before]}") if edge.before in VERDICT_WORDS else "–",
                "after": t(f"graph_page.{VERDICT_WORDS[edge.after]}") if edge.after in VERDICT_WORDS else "–",
                "difference": f"{edge.difference:+.2f}" if known else "–",
                "interval": f"{edge.low:+.2f} … {edge.high:+.2f}" if sure else "–",
            }
        )
    return rows


def _moment(written: str) -> datetime | None:
    """A moment as forms send it, in UTC."""
    if not written.strip():
        return None
    try:
        moment = datetime.fromisoformat(written.strip())
    except ValueError:
        raise UsageError(f"{written!r} is no moment.", fix="Write it as 2026-05-01T12:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
