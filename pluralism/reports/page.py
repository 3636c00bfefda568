"""The page: a template that escapes everything, and a policy that lets nothing in but the page's own style."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from copy import copy
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pluralism.reports import text

if TYPE_CHECKING:
    from jinja2 import Environment

    from pluralism.reports.display import Display

__all__ = ["content_security_policy", "render_page"]

# Longer texts are folded up behind their beginning.
SHORT_TEXT, BEGINNING = 240, 160

_FIGURES = {
    "groups": "How large each group is",
    "agreement": "Rewards of telling texts in each group",
    "covariates": "Effects of the covariates in each group",
    "comparison": "Choices predicted, by group",
    "reliability_model": "Reliability diagram of the model",
    "reliability_pooled": "Reliability diagram of one reward for everybody",
    "membership": "Certainty of membership",
    "few_shot": "Choices predicted by the number of answers given",
    "selection": "Held-out likelihood by number of groups",
    "welfare": "What each group gains under each policy",
    "front": "Mean gain and the worst group's",
    "priority": "Priorities of principles by annotator",
    "tournament": "Which principle beats which",
    "cross": "Win rates of what was made for each group",
    "gains": "What each group gains",
    "kl": "Win rate against distance from the reference",
}


def render_page(
    title: str, content: Mapping[str, Any], displays: Mapping[str, Display], template: str = "report.html.j2"
) -> str:
    """Render the parts of a report.

    Parameters
    ----------
    title : str
    content : mapping
        Plain values; see `Report`.
    displays : mapping of str to Display
    template : str
        The page they are put into.
    """
    from markupsafe import Markup

    style = _resource("style.css")
    figures = {
        # Drawn by us from numbers, with every text escaped by the XML writer; and anew, for a figure that is drawn a
        # second time differs in the last digits of its layout.
        name: Markup(copy(display).plot().to_svg(key=f"figure-{name}", title=_figure_title(name), standalone=False))
        for name, display in displays.items()
    }
    return (
        _environment()
        .get_template(template)
        .render(
            title=title,
            policy=content_security_policy(style),
            style=Markup(style),
            figures=figures,
            **content,
        )
    )


def content_security_policy(style: str) -> str:
    """A policy that allows one style sheet, by its hash, and nothing else.

    `img-src data:` is for the empty icon that keeps browsers from asking for one.
    """
    digest = base64.b64encode(hashlib.sha256(style.encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _figure_title(name: str) -> str:
    """What a figure is called; several of a kind are numbered, as in tournament_2."""
    return _FIGURES.get(name) or _FIGURES.get(name.rpartition("_")[0], name)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pluralism.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": text.number,
        "percent": text.percent,
        "signed": text.signed,
        "short": _short,
    }
    environment.globals |= {"interval": text.interval, "counted": text.counted}
    environment.globals |= {"SHORT_TEXT": SHORT_TEXT, "BEGINNING": BEGINNING}
    return environment


@cache
def _resource(name: str) -> str:
    return files("pluralism.reports").joinpath("templates", name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """Every value on its way into the page: text loses what a page cannot hold; what was made markup stays."""
    return text.printable(value) if type(value) is str else value


def _short(value: str, limit: int) -> str:
    if len(value) <= limit:
        return value
    cut = value[:limit]
    return (cut[: cut.rfind(" ")] if " " in cut[limit // 2 :] else cut).rstrip(" ,.;:-") + "…"
