"""Pages from templates: escaped by default, in the language of whoever reads them."""

from __future__ import annotations

import hashlib
import secrets
from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from pluralism.elicitation.web.guards.forged_requests import FIELD, form_token
from pluralism.elicitation.web.guards.session_cookie import session_of
from pluralism.elicitation.web.translation import Translator, best_language, languages, native_name
from pluralism.printable import printable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["STATIC", "page", "static_file", "translator"]

STATIC = {
    "style.css": ("elicitation/web/static/style.css", "text/css; charset=utf-8"),
    "interview.js": ("elicitation/web/static/interview.js", "text/javascript; charset=utf-8"),
    "organiser.js": ("elicitation/web/static/organiser.js", "text/javascript; charset=utf-8"),
    "moral_graph.css": ("elicitation/templates/moral_graph.css", "text/css; charset=utf-8"),
    "moral_graph.js": ("elicitation/templates/moral_graph.js", "text/javascript; charset=utf-8"),
}


def translator(request: Request, language: str = "") -> Translator:
    """Who says the texts of a page: in a language that is given and there, else in that of the browser."""
    if language in languages():
        return Translator(language)
    return Translator(best_language(session_of(request).language, request.headers.get("accept-language", "")))


def page(request: Request, template: str, *, status: int = 200, language: str = "", **values: Any) -> HTMLResponse:
    """A page.

    Parameters
    ----------
    request : Request
    template : str
        Its name without ``.html.j2``.
    status : int
    language : str
        Such as that of an interview.
    **values
        What the template shows.
    """
    t = translator(request, language)
    html = (
        _environment()
        .get_template(f"{template}.html.j2")
        .render(
            t=t,
            request_path=request.url.path,
            guard=partial(_guard, form_token(request)),
            fresh_key=lambda: secrets.token_urlsafe(16),
            organiser=session_of(request).organiser,
            languages=languages(),
            native=native_name,
            **values,
        )
    )
    return HTMLResponse(html, status)


def _guard(token: str, key: str = "", expected: int | None = None) -> Markup:
    """The hidden fields of a form: that it is ours, by which it counts once, and what its sender has seen."""
    fields = {FIELD: token, "key": key, "expected": "" if expected is None else str(expected)}
    line = Markup('<input type="hidden" name="{}" value="{}">')
    return Markup("\n").join(line.format(name, value) for name, value in fields.items() if value)


@cache
def static_file(name: str) -> tuple[bytes, str, str]:
    """A file that pages load: its bytes, its kind, and a short digest that names this version of it."""
    path, kind = STATIC[name]
    content = files("pluralism").joinpath(path).read_bytes()
    return content, kind, hashlib.sha256(content).hexdigest()[:16]


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, PrefixLoader, StrictUndefined

    # The picture of a graph is that of the page that is exported.
    graph = PrefixLoader({"graph": PackageLoader("pluralism.elicitation")})
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("pluralism.elicitation.web"), graph]),
        autoescape=True,
        # A process goes on with the templates that it began with, whatever is installed meanwhile.
        auto_reload=False,
        undefined=StrictUndefined,
        finalize=lambda value: printable(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macros = environment.get_template("macros.html.j2").module
    environment.globals.update({name: getattr(macros, name) for name in ("notice", "values_card")})
    environment.globals["static"] = lambda name: f"/static/{static_file(name)[2]}/{name}"
    return environment
