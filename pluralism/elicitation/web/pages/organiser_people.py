"""People: links that lead into a study, those who came, and what they let organisers read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Rate
from pluralism.elicitation.web.pages.organising import back_to, by, may, of_this_study, study_page
from pluralism.elicitation.web.rendering import translator
from pluralism.elicitation.web.study import Study
from pluralism.elicitation.web.survey_counts import scale_counts
from pluralism.elicitation.web.translation import Translator

__all__ = ["router"]

router = APIRouter(prefix="/organise/studies/{study_id}", route_class=GuardedRoute, default_response_class=HTMLResponse)
Reason = Annotated[str, Form(max_length=2_000)]
LinkRole = Literal["participant", "viewer", "moderator", "organiser"]
_AT_ONCE, _USES, _DAYS = 500, 100_000, 3_650


@router.get("/links")
@allow(Role.ORGANISER)
def links(request: Request, study_id: str) -> Response:
    """The links of a study."""
    return _links(request, study_id)


@router.post("/links")
@allow(Role.ORGANISER)
def make_links(
    request: Request,
    study_id: str,
    role: Annotated[LinkRole, Form()] = "participant",
    label: Annotated[str, Form(max_length=200)] = "",
    count: Annotated[int, Form(ge=1, le=_AT_ONCE)] = 1,
    uses: Annotated[Annotated[int, Field(ge=1, le=_USES)] | Literal[""], Form()] = "",
    days: Annotated[Annotated[int, Field(ge=1, le=_DAYS)] | Literal[""], Form()] = "",
) -> Response:
    """Make links; this answer is the only place where they can be read."""
    ends = None if days == "" else datetime.now(UTC) + timedelta(days=days)
    base, prefix = request.app.state.base_url(request), "join" if role == "participant" else "organise/enter"
    made = [
        request.app.state.service.links.create(
            study_id=study_id,
            role=role,
            by=by(request),
            label=label,
            max_uses=None if uses == "" else uses,
            expires_at=ends,
        )
        for _ in range(count)
    ]
    return _links(request, study_id, made=[f"{base}/{prefix}/{one.token}" for one in made], made_role=role)


@router.post("/links/{link_id}/revoke")
@allow(Role.ORGANISER)
def revoke_link(request: Request, study_id: str, link_id: str) -> Response:
    """Make a link lead nowhere."""
    service = request.app.state.service
    known = {link.id for link in service.links.of_study(study_id)}
    of_this_study(study_id, study_id if link_id in known else None, "link")
    service.links.revoke(link_id, by=by(request))
    return back_to(study_id, "/links")


@router.get("/people")
@allow(Role.VIEWER)
def people(request: Request, study_id: str) -> Response:
    """Who takes part, by pseudonym, and how far they are; what they say is not here."""
    return study_page(request, study_id, "people", people=request.app.state.service.people.of_study(study_id))


@router.post("/people/{participant_id}/exclude")
@allow(Role.MODERATOR)
def exclude(request: Request, study_id: str, participant_id: str, reason: Reason = "") -> Response:
    """Let somebody's votes not count."""
    _participant(request, study_id, participant_id)
    request.app.state.service.moderation.exclude(participant_id, reason=reason, by=by(request))
    return back_to(study_id, "/people")


@router.post("/people/{participant_id}/readmit")
@allow(Role.MODERATOR)
def readmit(request: Request, study_id: str, participant_id: str, reason: Reason = "") -> Response:
    """Let them count again."""
    _participant(request, study_id, participant_id)
    request.app.state.service.moderation.readmit(participant_id, reason=reason, by=by(request))
    return back_to(study_id, "/people")


@router.post("/people/{participant_id}/delete")
@allow(Role.ORGANISER)
def delete(request: Request, study_id: str, participant_id: str) -> Response:
    """Delete what somebody said, as they asked for outside of the service."""
    _participant(request, study_id, participant_id)
    request.app.state.service.people.delete(participant_id, by=by(request))
    return back_to(study_id, "/people")


@router.get("/people/{participant_id}/transcript")
@allow(Role.ORGANISER)
def transcript(request: Request, study_id: str, participant_id: str) -> Response:
    """What somebody said who agreed to that; the look is logged."""
    _participant(request, study_id, participant_id)
    state = request.app.state.service.people.transcript(participant_id, by=by(request))
    return study_page(request, study_id, "transcript", tab="people", state=state)


@router.get("/answers")
@allow(Role.VIEWER, rate=Rate.HEAVY)
def answers(request: Request, study_id: str) -> Response:
    """Counts of the exit survey, and of what people say of themselves."""
    service = request.app.state.service
    study = service.studies.get(study_id)
    rows = service.people.survey(study_id).to_pylist()
    about = _about(service.demographics.table(study_id).to_pylist(), study, translator(request))
    scales, remarks = _by_question(rows, study)
    shown = remarks if may(request, Role.MODERATOR) else []
    return study_page(request, study_id, "answers", scales=scales, remarks=shown, about=about)


def _links(request: Request, study_id: str, made: list[str] | None = None, made_role: str = "") -> Response:
    found = request.app.state.service.links.of_study(study_id)
    now = datetime.now(UTC)
    return study_page(
        request, study_id, "links", links=found, now=now, made=made or [], made_role=made_role, most=_AT_ONCE
    )


def _participant(request: Request, study_id: str, participant_id: str) -> None:
    found = request.app.state.service.people.get(participant_id)
    of_this_study(study_id, found.study_id, "participant")


def _by_question(
    rows: list[dict[str, Any]], study: Study
) -> tuple[list[tuple[str, list[int | None], float | None]], list[str]]:
    """Counts of 1 to 5 and their mean for each scale, and the texts."""
    language = study.languages[0]
    scales = []
    for question in study.protocol.survey:
        if question.kind == "scale":
            given = [row["value"] for row in rows if row["question"] == question.id and row["value"] is not None]
            scales.append((question.text[language], *scale_counts(given)))
    return scales, [row["text"] for row in rows if row["text"] is not None]


def _about(rows: list[dict[str, Any]], study: Study, t: Translator) -> list[tuple[str, str, str]]:
    """Question, option and count, in words."""

    def said(text: dict[str, str]) -> str:
        return text.get(t.language) or next(iter(text.values()))

    questions = {question.id: said(question.text) for question in study.demographics}
    options = {(q.id, option.id): said(option.text) for q in study.demographics for option in q.options}
    return [
        (
            questions[row["question"]],
            options.get((row["question"], row["option"]), t("survey.no_answer")),
            t("answers.few") if row["count"] is None else t.number(row["count"]),
        )
        for row in rows
    ]
