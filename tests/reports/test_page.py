from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest

VOID = {"meta", "link", "br", "hr", "img", "input"}
SVG_VOID = {"path", "use", "rect"}


class Page(HTMLParser):
    """Every element in order, and a check that they nest."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.faults, self.texts = [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, len(self.elements) - 1))

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> closes {self.open[-3:]}")
            return
        self.open.pop()

    def handle_data(self, data):
        for _, number in self.open:
            self.texts[number] = self.texts.get(number, "") + data

    def of(self, *tags):
        return [attrs for tag, attrs in self.elements if tag in tags]


@pytest.fixture(scope="module")
def parsed(page):
    return Page(page)


def test_elements_nest_and_ids_are_unique(parsed):
    assert not parsed.faults and not parsed.open
    ids = [attrs["id"] for _, attrs in parsed.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)


def test_the_policy_lets_in_nothing_but_the_page_s_own_style(page, parsed):
    policies = [attrs["content"] for attrs in parsed.of("meta") if attrs.get("http-equiv") == "Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert len(policies) == 1
    directives = dict(part.strip().split(" ", 1) for part in policies[0].split(";"))
    assert directives == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    head = [tag for tag, _ in parsed.elements]
    assert head.index("style") > [tag for tag, _ in parsed.elements].index("meta")
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<body>")


def test_nothing_runs_and_nothing_is_fetched(parsed):
    assert not parsed.of(
        "script", "img", "iframe", "object", "embed", "form", "base", "video", "image", "foreignobject"
    )
    for tag, attrs in parsed.elements:
        assert "style" not in attrs and not [name for name in attrs if name.startswith("on")], (tag, attrs)
        for name in ("src", "href", "xlink:href", "action", "srcset", "poster", "data"):
            value = attrs.get(name)
            assert value is None or value.startswith("#") or (tag == "link" and value == "data:,"), (tag, attrs)


def test_no_address_of_any_kind(page):
    assert not re.search(r"(?:https?:)?//\w", page)
    assert "url(" not in page.replace("url(#", "")
    assert "@import" not in page


def test_links_lead_somewhere(parsed):
    ids = {attrs["id"] for _, attrs in parsed.elements if "id" in attrs}
    links = [attrs["href"][1:] for attrs in parsed.of("a", "use")]
    labels = [name for _, attrs in parsed.elements for name in attrs.get("aria-labelledby", "").split()]
    assert links and set(links) | set(labels) <= ids


def test_headings_do_not_skip_levels(parsed):
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_tables_have_captions_and_scopes(parsed):
    tags = [tag for tag, _ in parsed.elements]
    for number, tag in enumerate(tags):
        if tag == "table":
            assert tags[number + 1] == "caption"
    assert all("scope" in attrs for attrs in parsed.of("th"))
    assert all(attrs.get("tabindex") == "0" and attrs["aria-label"] for attrs in parsed.of("div") if attrs.get("role"))


def test_figures_are_described(parsed, report):
    figures = [attrs for attrs in parsed.of("svg")]
    assert len(figures) == len(report.displays) == len(parsed.of("figcaption"))
    assert all(attrs["role"] == "img" and attrs["aria-labelledby"] for attrs in figures)


def test_the_page_is_for_phones_and_says_its_language(parsed):
    assert parsed.of("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in parsed.of("meta")


def test_no_word_runs_into_the_next_sentence(parsed):
    body = next(number for number, (tag, _) in enumerate(parsed.elements) if tag == "main")
    text = " ".join(parsed.texts[body].split())
    assert not re.search(r"[a-z)][.;:](?=[A-Z])", text.replace("pl.models.", ""))


def test_templates_are_found_as_package_data():
    from importlib.resources import files

    folder = files("pluralism.reports") / "templates"
    assert {"report.html.j2", "macros.html.j2", "style.css"} <= {entry.name for entry in folder.iterdir()}
