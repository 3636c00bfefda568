"""Requests that another site makes a browser send: refused by a token in each form, and by where they come from."""

from __future__ import annotations

import hashlib
import hmac
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

from pluralism.elicitation.web.guards.session_cookie import session_of

__all__ = ["FIELD", "form_token", "refuse_forged"]

FIELD = "form_token"
_SAFE = ("same-origin", "none")
_PORTS = {"http": 80, "https": 443}


def form_token(request: Request) -> str:
    """What the forms of a session carry; asking for it gives the browser a cookie."""
    request.state.needs_cookie = True
    secret = request.app.state.secret.encode()
    return hmac.new(secret, f"form {session_of(request).id}".encode(), hashlib.sha256).hexdigest()


async def refuse_forged(request: Request) -> None:
    """Refuse a request that changes something and does not come from one of our own forms.

    Raises
    ------
    HTTPException
        403: it is from another site, or without the token of its session.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in _SAFE:
        raise HTTPException(403, "forged")
    if origin is not None and not _is_ours(origin, request):
        raise HTTPException(403, "forged")
    given = (await request.form()).get(FIELD)
    expected = form_token(request)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(403, "stale form")


def _is_ours(origin: str, request: Request) -> bool:
    """Whether an origin is the service as the request names it, or as the settings do: a proxy may change the first."""
    given = _origin(origin)
    if given is None:
        return False
    return urlsplit(origin).netloc == request.headers.get("host") or given == _origin(
        request.app.state.settings.base_url
    )


def _origin(address: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address; None where it has none."""
    try:
        parts = urlsplit(address)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.hostname and port else None
