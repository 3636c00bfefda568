"""The service as an application for an ASGI server: pages behind guards, and errors as pages."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute

from pluralism.elicitation.interview import Interviewer, LLMInterviewer
from pluralism.elicitation.web.graph_view import Pictures
from pluralism.elicitation.web.guards.access import GuardedRoute
from pluralism.elicitation.web.guards.body_limit import BodyLimit
from pluralism.elicitation.web.guards.failures import Failures
from pluralism.elicitation.web.guards.head_requests import HeadRequests
from pluralism.elicitation.web.guards.headers import SecurityHeaders
from pluralism.elicitation.web.guards.rate_limit import Buckets
from pluralism.elicitation.web.guards.request_log import RequestLog, log_failure
from pluralism.elicitation.web.guards.session_cookie import SessionMiddleware, session_of
from pluralism.elicitation.web.pages import (
    joining,
    organiser_entry,
    organiser_moderation,
    organiser_people,
    organiser_results,
    organiser_studies,
    own_data,
    steps,
)
from pluralism.elicitation.web.pages.messages import failed, sent_words, unavailable
from pluralism.elicitation.web.pages.one_at_a_time import OneAtATime
from pluralism.elicitation.web.service import Service
from pluralism.elicitation.web.settings import Settings
from pluralism.errors import (
    AccessError,
    ConflictError,
    DataError,
    InterviewError,
    NotFoundError,
    PluralismError,
    StorageError,
    UsageError,
)

if TYPE_CHECKING:
    from pluralism.llm import ChatModel

__all__ = ["create_app", "language_model"]

_ROUTERS: tuple[APIRouter, ...] = (
    joining.router,
    steps.router,
    own_data.router,
    organiser_entry.router,
    organiser_studies.router,
    organiser_people.router,
    organiser_moderation.router,
    organiser_results.router,
)
_SWITCH_SECONDS = 5e-4
_WHY = {400: "invalid", 401: "organiser", 404: "missing", 405: "missing", 422: "invalid", 429: "many"}
_WHY_REFUSED = {"forged": "forged", "stale form": "stale", "no access": "role"}
_ENDED = ("stale form", "no participant", "no organiser")
_STATUS: tuple[tuple[type[PluralismError], int, str], ...] = (
    (AccessError, 404, "access"),
    (NotFoundError, 404, "missing"),
    (ConflictError, 409, "stale"),
    (InterviewError, 409, "invalid"),
    (UsageError, 422, "invalid"),
    (DataError, 422, "invalid"),
)


def create_app(
    settings: Settings | None = None, *, service: Service | None = None, interviewer: Interviewer | None = None
) -> FastAPI:
    """Make the application.

    Parameters
    ----------
    settings : Settings, optional
        By default those of the environment.
    service : Service, optional
        Opened by the settings, and closed with the application, where it is not given.
    interviewer : Interviewer, optional
        Of studies that a language model interviews; by default the model of the settings, where they name one.

    Raises
    ------
    UsageError
        A setting cannot be that, or a route names nobody who may use it.
    StorageError
        The database cannot be opened.
    """
    chosen = settings or Settings()
    opened = service or Service.open(chosen)
    model = None if interviewer is not None else language_model(chosen)

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        # A thread that comes back from the database waits this long for one that writes a page, at each statement of
        # a transaction for which others wait.
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        anyio.to_thread.current_default_thread_limiter().total_tokens = chosen.threads
        app.state.model_threads = anyio.CapacityLimiter(chosen.model_threads)
        yield
        # Questions that are being written are finished, so that they are in the store.
        await asyncio.gather(*app.state.tasks, return_exceptions=True)
        if model is not None:
            await anyio.to_thread.run_sync(model.close)
        if service is None:
            await anyio.to_thread.run_sync(opened.close)
        sys.setswitchinterval(usual)

    app = FastAPI(title="pluralism", docs_url=None, redoc_url=None, openapi_url=None, lifespan=running)
    app.router.route_class = GuardedRoute
    for router in _ROUTERS:
        app.router.routes.extend(router.routes)
    _check_routes(app.routes)
    secret = chosen.secret.get_secret_value() or opened.secret.hex()
    app.state.settings, app.state.service, app.state.secret = chosen, opened, secret
    app.state.interviewer = interviewer if model is None else LLMInterviewer(model)
    app.state.buckets, app.state.one_at_a_time = Buckets(chosen.rate), OneAtATime()
    app.state.pictures, app.state.tasks = Pictures(), set()
    app.state.base_url = lambda request: chosen.base_url.rstrip("/") or str(request.base_url).rstrip("/")
    _add_errors(app)
    # The one added last is the first to see a request.
    app.add_middleware(HeadRequests)
    app.add_middleware(Failures, page=lambda request: failed(request, 500, "broken"))
    app.add_middleware(
        BodyLimit,
        limit=chosen.body_bytes,
        uploads={"/organise/new": chosen.upload_bytes},
        page=lambda request: failed(request, 413, "large"),
    )
    app.add_middleware(SessionMiddleware, secret=secret, hours=chosen.session_hours, secure=chosen.secure)
    app.add_middleware(SecurityHeaders, secure=chosen.secure)
    app.add_middleware(RequestLog)
    return app


def language_model(settings: Settings) -> ChatModel | None:
    """The model that the settings name, or None.

    Raises
    ------
    UsageError
        They name a server without a model.
    """
    if settings.llm and not settings.llm_model:
        raise UsageError("Which model of that server?", where=f"llm {settings.llm}", fix="Name it as llm_model.")
    if not settings.llm_model:
        return None
    from pluralism.llm import OpenAIChat

    return OpenAIChat(
        settings.llm_model,
        base_url=settings.llm or None,
        api_key_env=settings.llm_key_env,
        max_retries=2,
        timeout=settings.llm_timeout,
    )


def _check_routes(routes: list[BaseRoute]) -> None:
    """Refuse to serve a route that nobody has been allowed to use, or that passes the guards by."""
    for route in routes:
        if not isinstance(route, GuardedRoute) or route.needed is None:
            raise UsageError(
                f"The route {getattr(route, 'path', route)} says nobody who may use it.",
                fix="Mark its function with `allow(...)` and put it into a router of guarded routes.",
            )


def _add_errors(app: FastAPI) -> None:
    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        StarletteHTTPException: _refused,
        RequestValidationError: _unreadable,
        PluralismError: _named,
        ClientDisconnect: _gone,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _refused(request: Request, error: Exception) -> Response:
    refused = error if isinstance(error, StarletteHTTPException) else HTTPException(500)
    why = _WHY.get(refused.status_code) or _WHY_REFUSED.get(refused.detail, "access")
    # Whoever was away for too long, or sent too much at once, finds what they wrote; strangers' forms are not read.
    hasty = refused.status_code == 429 and bool(session_of(request).participant)
    kept = await sent_words(request) if hasty or refused.detail in _ENDED else ""
    response = failed(request, refused.status_code, why, kept=kept)
    response.headers.update(refused.headers or {})
    return response


async def _unreadable(request: Request, error: Exception) -> Response:
    return failed(request, 422, "invalid", kept=await sent_words(request))


async def _named(request: Request, error: Exception) -> Response:
    named = error if isinstance(error, PluralismError) else PluralismError("")
    if isinstance(named, StorageError):
        return unavailable(request, named, {})
    status, why = next(((status, why) for kind, status, why in _STATUS if isinstance(named, kind)), (500, "broken"))
    if status == 500:
        log_failure(named, getattr(request.state, "route", ""))
    organising = request.url.path.startswith("/organise/studies")
    return failed(request, status, why, details=f"{named.what} {named.fix or ''}" if organising else "")


async def _gone(request: Request, error: Exception) -> Response:
    return Response(status_code=400)
