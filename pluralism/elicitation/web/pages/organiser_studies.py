"""Studies: the list, a new one, how one goes, its settings."""

from __future__ import annotations

import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, File, Form, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from pluralism.elicitation.interview.case import Case
from pluralism.elicitation.interview.content import Content, Kind, available, read_content
from pluralism.elicitation.interview.protocol import Protocol
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow, link_of
from pluralism.elicitation.web.pages.organising import back_to, by, study_page
from pluralism.elicitation.web.rendering import page, translator
from pluralism.elicitation.web.study import DemographicQuestion, InterviewerKind, Status, Study
from pluralism.errors import InterviewError, NotFoundError, PluralismError, StorageError, UsageError

__all__ = ["router"]

router = APIRouter(prefix="/organise", route_class=GuardedRoute, default_response_class=HTMLResponse)

Title = Annotated[str, Form(max_length=1_000)]
Name = Annotated[str, Form(max_length=64)]
C = TypeVar("C", bound=Content)


@router.get("")
@allow(Role.VIEWER)
def studies(request: Request) -> Response:
    """The studies that whoever asks may see."""
    link = link_of(request)
    if link.study_id is not None:
        return back_to(link.study_id)
    service = request.app.state.service
    shown = [(study, service.studies.counts(study.id)) for study in service.studies.all()]
    admins = [one for one in service.links.of_study(None) if one.live(datetime.now(UTC))]
    return page(request, "organiser/studies", studies=shown, role=link.role, admins=admins, own=link.id)


@router.post("/links/{link_id}/revoke")
@allow(Role.ADMIN)
def revoke_admin_link(request: Request, link_id: str) -> Response:
    """Make a link of administrators lead nowhere, which ends the sessions that came of it."""
    links = request.app.state.service.links
    if link_id not in {one.id for one in links.of_study(None)}:
        raise NotFoundError("There is no such link of administrators.", fix="Go back to the list.")
    links.revoke(link_id, by=by(request))
    return RedirectResponse("/organise", 303)


@router.get("/new")
@allow(Role.ADMIN)
def new_study(request: Request) -> Response:
    """The form of a new study."""
    return _form(request)


@router.post("/new")
@allow(Role.ADMIN)
def create_study(
    request: Request,
    title: Title = "",
    case: Name = "",
    protocol: Name = "",
    interviewer: Annotated[InterviewerKind, Form()] = "scripted",
    max_participants: Annotated[str, Form(max_length=9)] = "",
    show_graph: Annotated[bool, Form()] = False,
    count_partial: Annotated[bool, Form()] = False,
    case_file: Annotated[UploadFile | str | None, File()] = None,
    protocol_file: Annotated[UploadFile | str | None, File()] = None,
    demographics_file: Annotated[UploadFile | str | None, File()] = None,
) -> Response:
    """Create a study and open its page."""
    try:
        study: Study = request.app.state.service.studies.create(
            title=title,
            protocol=_content(protocol_file, protocol, "protocols", Protocol),
            case=_content(case_file, case, "cases", Case),
            by=by(request),
            interviewer=_interviewer(request, interviewer),
            max_participants=_number(max_participants),
            show_graph=show_graph,
            count_partial=count_partial,
            demographics=_demographics(demographics_file),
        )
    except StorageError:
        raise
    except PluralismError as error:
        typed = {"title": title, "case": case, "protocol": protocol, "max_participants": max_participants}
        return _form(request, problem=f"{error.what} {error.fix or ''}".strip(), typed=typed, status=422)
    return back_to(study.id)


@router.get("/studies/{study_id}")
@allow(Role.VIEWER)
def overview(request: Request, study_id: str) -> Response:
    """How a study goes."""
    counts = request.app.state.service.studies.counts(study_id)
    return study_page(request, study_id, "overview", counts=counts, figures=_figures(request, counts))


@router.get("/studies/{study_id}/counts.json")
@allow(Role.VIEWER)
def counts(request: Request, study_id: str) -> Response:
    """The counts of the overview, for a page that keeps them fresh."""
    found = request.app.state.service.studies.counts(study_id)
    return JSONResponse({name: value for name, _, value in _figures(request, found)})


@router.post("/studies/{study_id}/status")
@allow(Role.ORGANISER)
def change_status(request: Request, study_id: str, status: Annotated[Status, Form()]) -> Response:
    """Open or close a study."""
    request.app.state.service.studies.change(study_id, by=by(request), status=status)
    return back_to(study_id)


@router.get("/studies/{study_id}/settings")
@allow(Role.ORGANISER)
def settings(request: Request, study_id: str) -> Response:
    """The settings of a study."""
    return study_page(request, study_id, "settings", has_model=request.app.state.interviewer is not None)


@router.post("/studies/{study_id}/settings")
@allow(Role.ORGANISER)
def change_settings(
    request: Request,
    study_id: str,
    title: Title = "",
    interviewer: Annotated[InterviewerKind, Form()] = "scripted",
    max_participants: Annotated[str, Form(max_length=9)] = "",
    show_graph: Annotated[bool, Form()] = False,
    count_partial: Annotated[bool, Form()] = False,
) -> Response:
    """Change them."""
    try:
        request.app.state.service.studies.change(
            study_id,
            by=by(request),
            title=title,
            interviewer=_interviewer(request, interviewer),
            max_participants=_number(max_participants),
            show_graph=show_graph,
            count_partial=count_partial,
        )
    except (UsageError, InterviewError) as error:
        has_model = request.app.state.interviewer is not None
        return study_page(
            request, study_id, "settings", problem=f"{error.what} {error.fix or ''}", status=422, has_model=has_model
        )
    return RedirectResponse(f"/organise/studies/{study_id}/settings", 303)


def _form(request: Request, problem: str = "", typed: dict[str, Any] | None = None, status: int = 200) -> Response:
    t = translator(request)
    cases = {name: _title_of(path, t.language) for name, path in available("cases").items()}
    protocols = {name: _title_of(path, t.language) for name, path in available("protocols").items()}
    return page(
        request,
        "organiser/new",
        status=status,
        problem=problem,
        typed=typed or {},
        cases=cases,
        protocols=protocols,
        has_model=request.app.state.interviewer is not None,
        role=link_of(request).role,
    )


def _title_of(path: Path, language: str) -> str:
    titles = tomllib.loads(path.read_text(encoding="utf-8"))["title"]
    return str(titles.get(language) or next(iter(titles.values())))


def _interviewer(request: Request, kind: Literal["scripted", "llm"]) -> Literal["scripted", "llm"]:
    if kind == "llm" and request.app.state.interviewer is None:
        raise UsageError("The service has no language model.", fix="Start it with --llm, or choose the script.")
    return kind


def _number(written: str) -> int | None:
    if not written.strip():
        return None
    if not written.strip().isdecimal():
        raise UsageError("The number of participants is no number.", fix="Write one, or leave it empty.")
    return int(written)


def _uploaded(upload: UploadFile | str | None) -> bytes:
    """What is in an uploaded file; nothing where none was chosen."""
    return b"" if upload is None or isinstance(upload, str) else upload.file.read()


def _content(upload: UploadFile | str | None, name: str, kind: Kind, schema: type[C]) -> C:
    """A file that was uploaded, else a shipped one; never a path on this machine."""
    content = _uploaded(upload)
    if content:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "uploaded.toml"
            path.write_bytes(content)
            try:
                return read_content(path, kind, schema)
            except UsageError as error:
                where = (error.where or "").removeprefix(f"{path}").removeprefix(": ")
                raise UsageError(f"{error.what} ({where})" if where else error.what, fix=error.fix) from None
    if name not in available(kind):
        raise UsageError(f"There is no {name!r} among the {kind}.", fix=f"Choose one of {', '.join(available(kind))}.")
    return read_content(name, kind, schema)


class _Questions(BaseModel):
    model_config = ConfigDict(extra="forbid")
    questions: tuple[DemographicQuestion, ...]


def _demographics(upload: UploadFile | str | None) -> tuple[DemographicQuestion, ...]:
    content = _uploaded(upload)
    if not content:
        return ()
    try:
        return _Questions.model_validate(tomllib.loads(content.decode("utf-8"))).questions
    except ValidationError as error:
        entry = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in entry["loc"])
        raise UsageError(f"{entry['msg']} ({where}).", fix="Each [[questions]] has id, text and options.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The file of questions is not valid TOML: {error}.", fix="Mend the file.") from None


def _figures(request: Request, counts: Any) -> list[tuple[str, str, str]]:
    """Name, label and number of each figure of the overview."""
    t = translator(request)
    labels = {
        "joined": t("count.joined"),
        "done": t("count.done"),
        "cards": t("count.cards"),
        "votes": t("count.votes"),
        "voters": t("count.voters"),
        "hypotheses": t("count.hypotheses"),
        "merges": t("count.merges"),
        "hidden_cards": t("count.hidden_cards"),
        "excluded": t("count.excluded"),
        "deleted": t("count.deleted"),
        "fallbacks": t("count.fallbacks"),
    }
    numbers = {**counts.to_dict(), "done": counts.by_phase.get("done", 0)}
    return [(name, label, t.number(numbers[name])) for name, label in labels.items()]
