"""Moderation: cards and their merges, the pairs that people are asked about, and the log of all that was done."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, Response

from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.pages.messages import card_finding
from pluralism.elicitation.web.pages.organising import back_to, by, study_page
from pluralism.elicitation.web.rendering import translator
from pluralism.errors import PluralismError, StorageError

__all__ = ["router"]

router = APIRouter(prefix="/organise/studies/{study_id}", route_class=GuardedRoute, default_response_class=HTMLResponse)
Reason = Annotated[str, Form(max_length=2_000)]
Id = Annotated[str, Form(max_length=64)]
_ENTRIES = 50


@router.get("/cards")
@allow(Role.MODERATOR)
def cards(request: Request, study_id: str) -> Response:
    """All cards, with what the rules of good cards say about them."""
    t = translator(request)
    rows = request.app.state.service.moderation.cards(study_id)
    findings = {row.id: [card_finding(finding, t) for finding in row.findings] for row in rows}
    return study_page(request, study_id, "cards", cards=rows, findings=findings)


@router.post("/cards/{card_id}/hide")
@allow(Role.MODERATOR)
def hide_card(request: Request, study_id: str, card_id: str, reason: Reason = "") -> Response:
    """Show a card to nobody any more."""
    request.app.state.service.moderation.hide_card(study_id, card_id, reason=reason, by=by(request))
    return back_to(study_id, "/cards")


@router.post("/cards/{card_id}/restore")
@allow(Role.MODERATOR)
def restore_card(request: Request, study_id: str, card_id: str, reason: Reason = "") -> Response:
    """Show it again."""
    request.app.state.service.moderation.restore_card(study_id, card_id, reason=reason, by=by(request))
    return back_to(study_id, "/cards")


@router.get("/merges")
@allow(Role.MODERATOR, rate=Rate.HEAVY)
def merges(request: Request, study_id: str) -> Response:
    """Cards that say the same: those merged, and those that may be."""
    return _merges(request, study_id)


@router.post("/merges")
@allow(Role.MODERATOR)
def merge(request: Request, study_id: str, source: Id, into: Id) -> Response:
    """Merge a card into another; both stay, and their votes are counted together."""
    try:
        request.app.state.service.merges.make(study_id, source, into, by=by(request))
    except StorageError:
        raise
    except PluralismError as error:
        return _merges(request, study_id, problem=f"{error.what} {error.fix or ''}", status=422)
    return back_to(study_id, "/merges")


@router.post("/merges/{number}/undo")
@allow(Role.MODERATOR)
def undo_merge(
    request: Request, study_id: str, number: int, kind: Annotated[str, Form(pattern="^(card|context)$")] = "card"
) -> Response:
    """Take a merge back."""
    request.app.state.service.merges.undo(study_id, number, by=by(request), kind=kind)
    return back_to(study_id, "/merges")


@router.get("/hypotheses")
@allow(Role.MODERATOR)
def hypotheses(request: Request, study_id: str) -> Response:
    """The pairs that people are asked about."""
    return _hypotheses(request, study_id)


@router.post("/hypotheses")
@allow(Role.ORGANISER)
def add_hypothesis(
    request: Request,
    study_id: str,
    source: Id,
    wiser: Id,
    context: Annotated[str, Form(max_length=2_000)],
    story: Annotated[str, Form(max_length=10_000)] = "",
) -> Response:
    """Ask people about a pair."""
    try:
        request.app.state.service.hypotheses.add(study_id, source, wiser, context, story=story, by=by(request))
    except StorageError:
        raise
    except PluralismError as error:
        return _hypotheses(request, study_id, problem=f"{error.what} {error.fix or ''}", status=422)
    return back_to(study_id, "/hypotheses")


@router.post("/hypotheses/{hypothesis_id}/retire")
@allow(Role.ORGANISER)
def retire_hypothesis(request: Request, study_id: str, hypothesis_id: str) -> Response:
    """Ask nobody about it any more."""
    request.app.state.service.hypotheses.retire(study_id, hypothesis_id, by=by(request))
    return back_to(study_id, "/hypotheses")


@router.post("/hypotheses/{hypothesis_id}/revive")
@allow(Role.ORGANISER)
def revive_hypothesis(request: Request, study_id: str, hypothesis_id: str) -> Response:
    """Ask about it again."""
    request.app.state.service.hypotheses.revive(study_id, hypothesis_id, by=by(request))
    return back_to(study_id, "/hypotheses")


@router.get("/log")
@allow(Role.MODERATOR)
def log(request: Request, study_id: str, before: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None) -> Response:
    """What was done, the newest first."""
    entries = request.app.state.service.moderation.log(study_id, limit=_ENTRIES, before=before)
    links = {link.id: link.label or link.role for link in request.app.state.service.links.of_study(study_id)}
    older = entries[-1].number if len(entries) == _ENTRIES else None
    return study_page(request, study_id, "log", entries=entries, actors=links, older=older)


def _merges(request: Request, study_id: str, problem: str = "", status: int = 200) -> Response:
    service = request.app.state.service
    rows = service.moderation.cards(study_id)
    return study_page(
        request,
        study_id,
        "merges",
        problem=problem,
        status=status,
        merges=[one for kind in ("card", "context") for one in service.merges.of_study(study_id, kind)],
        proposals=_proposals(service.merges.proposals(study_id), rows),
        cards=rows,
        titles={row.id: row.card.title for row in rows},
    )


def _proposals(found: Any, rows: Any) -> list[tuple[Any, Any, float]]:
    """The cards of each proposal, side by side."""
    by_id = {row.id: row for row in rows}
    pairs = ((by_id.get(one.card), by_id.get(one.other), one.similarity) for one in found)
    return [(source, into, similarity) for source, into, similarity in pairs if source and into]


def _hypotheses(request: Request, study_id: str, problem: str = "", status: int = 200) -> Response:
    service = request.app.state.service
    study = service.studies.get(study_id)
    language = study.languages[0]
    rows = service.moderation.cards(study_id)
    return study_page(
        request,
        study_id,
        "hypotheses",
        problem=problem,
        status=status,
        hypotheses=service.hypotheses.of_study(study_id),
        cards=[row for row in rows if not row.hidden],
        titles={row.id: row.card.title for row in rows},
        contexts=[context.text[language] for context in study.case.contexts],
    )
