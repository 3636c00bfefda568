"""A log line for each request and each failure, without a word of anybody's: no links, no texts, no addresses."""

from __future__ import annotations

import logging
import time
import traceback

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["RequestLog", "log_failure"]

_log = logging.getLogger("pluralism.web")


def log_failure(error: BaseException, route: str) -> None:
    """Say what failed and where in the code; the message of an error may hold what somebody wrote, and stays out."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    _log.error("%s failed: %s at %s", route, type(error).__name__, places)


class RequestLog:
    """Logs method, route, status and milliseconds; routes are named by their pattern, since paths hold links.

    Parameters
    ----------
    app : ASGI application
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            route = scope.get("state", {}).get("route", "no route")
            _log.info("%s %s %d %.1f ms", scope["method"], route, status, 1e3 * (time.perf_counter() - begun))
