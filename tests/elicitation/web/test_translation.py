"""The texts of the pages: the same keys in every language, none that no page uses, none missing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pluralism.elicitation.web as web
from pluralism.elicitation.card_rules import RULES
from pluralism.elicitation.exports.page_words import PAGE_WORDS
from pluralism.elicitation.interview.state import PHASES
from pluralism.elicitation.web.translation import Translator, best_language, catalogue, languages

FOLDER = Path(web.__file__).parent
TABS = "overview links people cards merges hypotheses graph differences answers exports proof log settings"
MADE = {
    "language.name",
    "language.thousands",
    *(f"graph_page.{name}" for name in PAGE_WORDS),
    *(f"phase.{name}" for name in PHASES),
    *(f"lint.rule.{rule.name}" for rule in RULES),
    *(f"lint.{field}" for field in ("title", "description", "context", "policies")),
    *(f"step.{name}" for name in ("consent", "situation", "interview", "card", "votes", "survey")),
    *(f"role.{name}" for name in ("viewer", "moderator", "organiser", "admin")),
    *(f"links.role.{name}" for name in ("participant", "viewer", "moderator", "organiser", "admin")),
    *(f"{table}.{name}" for table in ("status", "overview.status_text") for name in ("draft", "open", "closed")),
    *(f"hypotheses.by.{name}" for name in ("organiser", "ballot")),
    *(f"tab.{name}" for name in TABS.split()),
}
"""Keys that pages put together."""


def sources():
    paths = [*FOLDER.rglob("*.j2"), *(FOLDER / "pages").glob("*.py"), FOLDER / "app.py", FOLDER / "graph_view.py"]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def used():
    text = sources()
    literal = set(re.findall(r"""\bt(?:ranslator\(request\))?\(\s*["']([\w.-]+)["']\s*[,)]""", text))
    literal |= set(re.findall(r"""t\(["']([\w.]+)["'] if""", text)) | set(
        re.findall(r"""else ["']([\w.]+)["']\)""", text)
    )
    reasons = set(re.findall(r'failed\(\s*request, [\w.]+, "(\w+)"', text)) | set(
        re.findall(r'"(\w+)"\),$', text, re.M)
    )
    reasons |= set(re.findall(r'\d+: "(\w+)"', text)) | {"forged", "stale", "role", "access", "unavailable"}
    return literal | {f"failed.{why}.{part}" for why in reasons for part in ("title", "text")} | MADE


def test_every_language_has_the_same_keys():
    assert languages()[:2] == ("en", "de")
    for language in languages():
        assert catalogue(language).keys() == catalogue("en").keys()
        assert all(text.strip() for text in catalogue(language).values())


def test_every_key_is_used_and_every_use_has_a_key():
    known, wanted = set(catalogue("en")), used()
    assert known - wanted == set()
    literal = set(re.findall(r"""\bt\(\s*["']([\w.-]+)["']\s*[,)]""", sources()))
    assert literal - known == set()
    assert MADE - known == set()


@pytest.mark.parametrize("language", languages())
def test_translations_have_the_same_places(language):
    for key, text in catalogue("en").items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", catalogue(language)[key])), key


def test_german_is_german():
    same = {key for key, text in catalogue("de").items() if text == catalogue("en")[key]}
    assert same <= {
        "site.name", "tab.graph", "exports.format", "graph_page.said", "graph_page.person", "graph_page.place",
        "merges.none", "role.moderator", "people.who", "links.label", "graph_page.not_ranked", "differences.interval",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "accepted", "found"),
    [
        ("", "", "en"), ("de", "en", "de"), ("xx", "de;q=0.3,en;q=0.2", "de"), ("", "fr,es", "en"),
        ("", "de;q=x", "en"), ("", ",;,", "en"), ("", "DE-at", "de"), ("", "en;q=0.1,de;q=0.9", "de"),
    ],
)  # fmt: skip
def test_the_language_of_the_browser(chosen, accepted, found):
    assert best_language(chosen, accepted) == found


def test_a_text_fills_its_places():
    assert Translator("en")("vote.title", number=1, of=4) == "Story 1 of 4"
