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
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
        raise HTTPException(403, "forged")
    given = (await request.form()).get(FIELD)
    expected = form_token(request)
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(403, "stale form")
