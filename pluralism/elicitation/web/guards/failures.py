"""Failures that nobody foresaw: a page for who asked and a line in the log, and no message of an error anywhere."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pluralism.elicitation.web.guards.body_limit import BodyTooLarge
from pluralism.elicitation.web.guards.request_log import log_failure

__all__ = ["Failures"]


class Failures:
    """Catches what passes every handler, before the server would write it into its own log with all that it says.

    Parameters
    ----------
    app : ASGI application
    page : callable
        Makes the answer.
    """

    def __init__(self, app: ASGIApp, *, page: Callable[[Request], Response]) -> None:
        self.app, self.page = app, page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except BodyTooLarge:
            raise
        except Exception as error:
            if scope["type"] != "http":
                raise
            log_failure(error, scope.get("state", {}).get("route", "no route"))
            if not started:
                await self.page(Request(scope, receive))(scope, receive, send)
