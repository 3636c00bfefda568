"""What the errors of an OpenAI-compatible server mean, without the key and without anything that was sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pluralism.errors import PluralismError, UsageError

__all__ = ["explain", "place_of"]

E = TypeVar("E", bound=PluralismError)

_SHOWN = 300
_SHORT = 8


def place_of(base_url: str | None) -> str:
    """Host and path of a server, without user and password.

    Raises
    ------
    UsageError
        It is no URL.

    Examples
    --------
    >>> place_of("http://me:secret@localhost:8000/v1/")
    'localhost:8000/v1'
    """
    if base_url is None:
        return "api.openai.com/v1"
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("base_url is no URL of a server.", fix="It looks like http://localhost:8000/v1")
    return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"


def explain(
    cause: Any,
    kind: type[E],
    *,
    subject: str,
    place: str,
    key_variable: str,
    retries: int,
    hidden: Iterable[str | None] = (),
) -> E:
    """An error of ours for one of the SDK's.

    Parameters
    ----------
    cause : openai.OpenAIError
    kind : type of PluralismError
    subject : str
        The model, as the subject of a sentence.
    place : str
        Where the server is.
    key_variable : str
        Environment variable that holds the key.
    retries : int
        How often it was tried again.
    hidden : iterable of str
        The key and the texts that were sent; servers repeat them.
    """
    import openai

    if isinstance(cause, openai.APIConnectionError):
        return kind(
            f"{place} cannot be reached, after {retries} further tries.",
            fix="Check base_url and the network; is the server running?",
        )
    fixes = {
        400: "The server does not accept these texts or options; are some texts too long for the model?",
        401: f"Check the key in {key_variable}.",
        403: f"Check the key in {key_variable}, and what it may use.",
        404: "Check the name of the model, and that base_url ends where the server's API begins (often /v1).",
        413: "The texts are too long for the server.",
        429: "You are over the server's limits: wait, or raise max_retries.",
    }
    status = getattr(cause, "status_code", None)
    said = _without(str(getattr(cause, "message", cause)), hidden).strip()[:_SHOWN]
    return kind(
        f"{subject} at {place} answered with an error: {said}",
        fix=fixes.get(status or 0, "Try again later, or another server."),
    )


def _without(said: str, hidden: Iterable[str | None]) -> str:
    lines = {line.strip() for text in hidden if text for line in text.splitlines()}
    for line in sorted((line for line in lines if len(line) >= _SHORT), key=len, reverse=True):
        for form in (line, json.dumps(line)[1:-1], repr(line)[1:-1]):
            said = said.replace(form, "[...]")
    return said
