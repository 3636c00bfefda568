"""An event loop in a thread of its own, so that plain calls can be stopped at their deadline."""

from __future__ import annotations

import asyncio
import math
import threading
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar

from pluralism.llm.deadline import Deadline

__all__ = ["BackgroundLoop"]

T = TypeVar("T")

_JOIN_SECONDS = 5.0


class BackgroundLoop:
    """Runs coroutines for callers that wait, each at most until its deadline.

    A coroutine that is late is cancelled wherever it stands: connecting, reading, or waiting to try again. The thread
    ends with `close`, or when the object is no longer used.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_serve, args=(self._loop,), name="pluralism-llm", daemon=True)
        self._thread.start()
        self._finalizer = weakref.finalize(self, _stop, self._loop, self._thread)

    def run(self, work: Coroutine[Any, Any, T], deadline: Deadline) -> T:
        """The result of a coroutine.

        Raises
        ------
        DeadlineError
            It takes too long.
        """
        try:
            left = deadline.remaining()
        except BaseException:
            work.close()
            raise
        return _wait(asyncio.run_coroutine_threadsafe(_within(work, left, deadline), self._loop))

    def iterate(self, work: AsyncIterator[T], deadline: Deadline) -> Iterator[T]:
        """The members of an asynchronous generator, which is closed when the caller stops."""
        try:
            while True:
                try:
                    yield self.run(_next(work), deadline)
                except _Ended:
                    return
        finally:
            close = getattr(work, "aclose", None)
            if close is not None:
                self.finish(close())

    def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that ends by itself, such as closing connections."""
        return _wait(asyncio.run_coroutine_threadsafe(work, self._loop))

    def close(self) -> None:
        """End the thread; what still runs is cancelled."""
        self._finalizer()


class _Ended(Exception):
    """The generator has no more members; StopAsyncIteration cannot pass through a task."""


async def _next(work: AsyncIterator[T]) -> T:
    try:
        return await anext(work)
    except StopAsyncIteration:
        raise _Ended from None


async def _within(work: Coroutine[Any, Any, T], seconds: float, deadline: Deadline) -> T:
    limit = asyncio.timeout(seconds if math.isfinite(seconds) else None)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise deadline.error() from None
        raise


def _wait(future: Future[T]) -> T:
    try:
        return future.result()
    except BaseException:
        # Ctrl-C reaches the caller and not the loop.
        future.cancel()
        raise


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    pending = asyncio.all_tasks(loop)
    for task in pending:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*pending, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    if thread is not threading.current_thread():
        thread.join(_JOIN_SECONDS)
