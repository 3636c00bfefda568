"""`pluralism serve`: interviews, moral graphs and their organisers' pages in the browser."""

from __future__ import annotations

import os
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pluralism.cli.options import MODEL, JsonOption, LlmModelOption, LlmOption
from pluralism.cli.wording import as_options
from pluralism.errors import LanguageModelError, PluralismWarning, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from pluralism.elicitation.web.settings import Settings
    from pluralism.llm import ChatModel

__all__ = ["serve"]

_PLACE = "Place"
_FACTORY = "pluralism.elicitation.web.app:create_app"


def serve(
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="FILE or URL", help="An SQLite file, or postgresql://user@host/name."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Where to listen; 0.0.0.0 for all networks.", rich_help_panel=_PLACE)
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="0 takes one that is free.", rich_help_panel=_PLACE)
    ] = 8000,
    base_url: Annotated[
        str | None,
        typer.Option(
            "--base-url",
            metavar="URL",
            help="Where people reach it, such as https://values.example; links begin with it.",
            rich_help_panel=_PLACE,
        ),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes.", rich_help_panel=_PLACE)] = 1,
    llm: LlmOption = None,
    llm_model: LlmModelOption = None,
    api_key_env: Annotated[
        str | None,
        typer.Option("--api-key-env", help="Environment variable that holds the key.", rich_help_panel=MODEL),
    ] = None,
    new_link: Annotated[
        bool, typer.Option("--new-link", help="Print a new administrator's link, where the first one is lost.")
    ] = False,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Log each request: route, status and time, no words of anybody.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Serve studies in the browser until Ctrl-C; settings are read from PLURALISM_WEB_... too."""
    from pluralism.cli.output import output
    from pluralism.extras import require

    for module in ("uvicorn", "fastapi", "sqlalchemy", "pydantic_settings"):
        require(module, extra="web", purpose="The service")
    given = {"database": database, "base_url": base_url, "llm": llm, "llm_model": llm_model, "llm_key_env": api_key_env}
    # Workers are processes of their own, which read their settings again.
    os.environ.update({f"PLURALISM_WEB_{name.upper()}": value for name, value in given.items() if value is not None})
    settings = _settings()
    listening = _listen(host, port)
    try:
        token = _prepare(settings, new_link)
        address = settings.base_url.rstrip("/") or _address(host, listening.getsockname()[1])
        with output(as_json) as result:
            link = None if token is None else f"{address}/organise/enter/{token}"
            document = {"address": address, "organiser_link": link, "database": _shown(settings.database)}
            result.show(document, lambda console: _render(console, document, settings))
        _run(listening, workers, log_requests)
    finally:
        listening.close()


def _settings() -> Settings:
    from pydantic import ValidationError

    from pluralism.elicitation.web.settings import Settings

    try:
        return Settings()
    except ValidationError as error:
        entry = error.errors(include_url=False, include_input=False)[0]
        name = "_".join(str(part) for part in entry["loc"])
        raise UsageError(
            f"A setting cannot be that: {entry['msg']}.", where=f"PLURALISM_WEB_{name.upper()}", fix="Change it."
        ) from None


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens, taken before anything else is done, so that a port in use is a message and no log."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named, as only then answers are sent without waiting for more to send.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(2048)
    except (OSError, OverflowError) as cause:
        listening.close()
        raise UsageError(
            f"Nothing can listen at {host}:{port}: {getattr(cause, 'strerror', None) or cause}.",
            where=f"--host {host} --port {port}",
            fix="Stop what uses it, or choose another with --port.",
        ) from None
    listening.set_inheritable(True)
    return listening


def _prepare(settings: Settings, new_link: bool) -> str | None:
    """Bring the database up to date and try the model; the token of a link for organisers, where there is a new one."""
    from pluralism.elicitation.web.app import language_model
    from pluralism.elicitation.web.service import Service

    model = language_model(settings)
    if model is not None:
        _try(model, settings.llm_timeout)
    service = Service.open(settings)
    try:
        if new_link:
            return service.links.create(study_id=None, role="admin", by="service", label="administrator").token
        return service.admin_link()
    finally:
        service.close()


def _try(model: ChatModel, seconds: float) -> None:
    """Warn where a model does not answer: its interviews are left to the script until it does."""
    sys.stderr.write(f"Trying {model.name}, for {seconds:g} s at most.\n")
    try:
        model.chat([{"role": "user", "content": "Say yes."}], max_tokens=8, timeout=seconds)
    except LanguageModelError as error:
        fix = error.fix and as_options(error.fix)
        said = f"{error.what} {fix or ''}".strip()
        warnings.warn(f"{said} Until it answers, the script holds the interviews.", PluralismWarning, stacklevel=2)
    finally:
        model.close()


def _run(listening: socket.socket, workers: int, log_requests: bool) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    config = uvicorn.Config(
        _FACTORY,
        factory=True,
        workers=workers,
        log_config=_logging(log_requests),
        # The server's own log of requests holds whole addresses, and with them links.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listening])
    else:
        Multiprocess(config, sockets=[listening]).run()


def _logging(requests: bool) -> dict[str, Any]:
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stderr"}},
        "loggers": {
            "uvicorn.error": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            "pluralism.web": {
                "handlers": ["stderr"],
                "level": "INFO" if requests else "WARNING",
                "propagate": False,
            },
        },
    }


def _address(host: str, port: int) -> str:
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _shown(database: str) -> str:
    """A database without its password."""
    from pluralism.elicitation.web.database import database_url

    return database if "://" not in database else database_url(database).render_as_string(hide_password=True)


def _render(console: Console, document: dict[str, Any], settings: Settings) -> None:
    console.print(f"Serving {document['address']} from {document['database']}; Ctrl-C stops.", soft_wrap=True)
    if document["organiser_link"] is not None:
        console.print("Organisers come in by this link; keep it, it is not shown again:", soft_wrap=True)
        console.print(f"  {document['organiser_link']}", soft_wrap=True)
    elif settings.password.get_secret_value():
        console.print(f"Organisers come in at {document['address']}/organise/enter", soft_wrap=True)
    else:
        console.print("Organisers come in by the link of the first start; --new-link makes another.", soft_wrap=True)
