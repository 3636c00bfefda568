"""How much a request may send: more is refused while it comes in, before it is kept anywhere."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BodyLimit", "BodyTooLarge"]


class BodyTooLarge(Exception):
    """More came in than is taken."""


class BodyLimit:
    """Answers 413 to a body above the limit, whether it says its length or not.

    Parameters
    ----------
    app : ASGI application
    limit : int
        In bytes.
    uploads : mapping of str to int
        Other limits, by the end of a path.
    page : callable
        Makes the answer.
    """

    def __init__(
        self, app: ASGIApp, *, limit: int, uploads: dict[str, int], page: Callable[[Request], Response]
    ) -> None:
        self.app, self.limit, self.uploads, self.page = app, limit, uploads, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = next((most for end, most in self.uploads.items() if scope["path"].endswith(end)), self.limit)
        said = dict(scope["headers"]).get(b"content-length", b"")
        if said.isdigit() and int(said) > limit:
            await self.page(Request(scope))(scope, receive, send)
            return
        taken, started = 0, False

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise BodyTooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, counted, noted)
        except BodyTooLarge:
            if started:
                raise
            await self.page(Request(scope))(scope, receive, send)
