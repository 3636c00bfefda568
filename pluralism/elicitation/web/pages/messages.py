"""What pages say where something went wrong, in words for whoever reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import HTTPException, Request
from fastapi.responses import Response

from pluralism.elicitation.card_lint import CardFinding
from pluralism.elicitation.web.guards.form_encoding import refuse_other_encodings
from pluralism.elicitation.web.guards.request_log import log_failure
from pluralism.elicitation.web.rendering import page, translator
from pluralism.elicitation.web.translation import Translator
from pluralism.errors import ConflictError, PluralismError, StorageError

__all__ = ["card_finding", "failed", "problem_of", "sent_words", "unavailable", "words_of"]

_WRITTEN = ("text", "title", "description", "policies", "comment", "story", "reason")


def problem_of(error: PluralismError, t: Translator) -> str:
    """What to tell a participant about an error."""
    most = getattr(error, "most", None)
    if most is not None:
        return t("error.too_long", most=t.number(most))
    return t("error.conflict" if isinstance(error, ConflictError) else "error.refused")


def card_finding(finding: CardFinding, t: Translator) -> str:
    """What would make a card better, in one line."""
    field, _, number = finding.field.partition(" ")
    where = t("lint.policies") if field in ("policy", "policies") else t(f"lint.{field}")
    return f"{where}{f' {number}' if field == 'policy' else ''}: {t(f'lint.rule.{finding.rule}')}"


def unavailable(request: Request, error: StorageError, typed: Mapping[str, Any]) -> Response:
    """The page that says that nothing could be kept, with what was typed in it."""
    log_failure(error, getattr(request.state, "route", ""))
    return failed(request, 503, "unavailable", kept=words_of(typed))


def words_of(typed: Mapping[str, Any]) -> str:
    """What somebody wrote in a form, without what they chose."""
    wrote = [value for name, value in typed.items() if name in _WRITTEN or name.startswith("survey.")]
    return "\n\n".join(text for text in wrote if isinstance(text, str) and not text.isdecimal() and text)


async def sent_words(request: Request) -> str:
    """What somebody wrote in a form that was refused; nothing where it cannot be read."""
    if request.method != "POST":
        return ""
    try:
        refuse_other_encodings(request)
        async with request.form() as form:
            return words_of(form)
    except HTTPException:
        return ""


def failed(request: Request, status: int, why: str, *, details: str = "", kept: str = "") -> Response:
    """A page that says why something did not work; `why` is one of the texts under ``failed``."""
    t = translator(request)
    participant = not request.url.path.startswith("/organise")
    back = "/interview" if participant and request.state.session.participant and status != 404 else ""
    if not participant:
        back = "/organise/enter" if status == 401 else "/organise"
    return page(
        request,
        "message",
        status=status,
        heading=t(f"failed.{why}.title"),
        text=t(f"failed.{why}.text"),
        details=details,
        kept=kept,
        back=back,
        back_text=t("failed.back") if status != 401 else t("failed.enter"),
    )
