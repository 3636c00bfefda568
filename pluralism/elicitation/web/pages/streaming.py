"""Questions as they are written, by server-sent events, for pages with a script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi import Request
from fastapi.responses import Response

from pluralism.elicitation.web.guards.request_log import log_failure

__all__ = ["streamed", "wants_stream"]

Tell = Callable[[str | None], None]


def wants_stream(request: Request) -> bool:
    """Whether whoever asks reads server-sent events."""
    return "text/event-stream" in request.headers.get("accept", "")


def streamed(work: Callable[[Tell], Awaitable[None]], request: Request) -> Response:
    """The events of some work: ``piece`` and ``back`` while it goes on, then ``end``, or ``fail`` where it failed.

    The work goes on where the reader has left; what it does is in the store when they come back.

    Parameters
    ----------
    work : callable
        Gets a function that takes the pieces, from any thread.
    request : Request
    """
    from sse_starlette import EventSourceResponse, ServerSentEvent

    async def events() -> AsyncIterator[ServerSentEvent]:
        loop, told = asyncio.get_running_loop(), asyncio.Queue[tuple[str, str]]()

        def tell(name: str, text: str = "") -> None:
            loop.call_soon_threadsafe(told.put_nowait, (name, text))

        async def run() -> None:
            try:
                await work(lambda piece: tell("back") if piece is None else tell("piece", piece))
            except Exception as error:
                log_failure(error, getattr(request.state, "route", ""))
                tell("fail")
            else:
                tell("end")

        task = asyncio.create_task(run())
        request.app.state.tasks.add(task)
        task.add_done_callback(request.app.state.tasks.discard)
        while True:
            name, text = await told.get()
            yield ServerSentEvent(json.dumps(text), event=name)
            if name in ("end", "fail"):
                return

    return EventSourceResponse(events(), headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
