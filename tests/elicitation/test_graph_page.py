"""The page of a graph: self-contained, escaped, usable by mouse and keyboard, and as large as it must be."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moral_graphs import make_graph, vote

from pluralism.elicitation.exports.layout import COLUMN, ROW, layered_layout
from pluralism.elicitation.exports.page import graph_page
from pluralism.elicitation.hypothesis import UpgradeHypothesis
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.simulation.people import simulate_people
from pluralism.elicitation.simulation.study import simulate_study
from pluralism.elicitation.values_card import ValuesCard
from pluralism.elicitation.vote_log import ANSWERS

ATTACKS = [
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 2</script>",
    '"><img src=x onerror="window.hacked = 3">',
    "<svg onload=window.hacked=4>",
    "{{ 7*7 }}<!--",
    "]]></style><style>*{display:none}",
    "<a href='javascript:window.hacked=5'>x</a>",
    "\u202etxet",
]


class Elements(HTMLParser):
    """Counts elements, and lists their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


def attacked() -> MoralGraph:
    cards = {f"v{i}": ValuesCard(text, text, [text, f"MOMENTS {text}"], text) for i, text in enumerate(ATTACKS)}
    votes = [
        vote(f"{text} {k}", f"v{i}", f"v{(i + 1) % len(ATTACKS)}", context=text, comment=text, reason=text)
        for i, text in enumerate(ATTACKS)
        for k in range(4)
    ]
    stories = [UpgradeHypothesis("v0", "v1", ATTACKS[0], text) for text in ATTACKS]
    return MoralGraph(cards).with_votes(votes).with_hypotheses(stories)


def embedded(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found is not None
    document = json.loads(found[1])
    assert isinstance(document, dict)
    return document


def test_words_of_participants_are_text() -> None:
    page = graph_page(attacked(), n_bootstrap=20)
    harmless = graph_page(
        MoralGraph({f"v{i}": ValuesCard(f"t{i}", f"t{i}", [f"t{i}", f"u{i}"], "w") for i in range(len(ATTACKS))})
        .with_votes(
            [
                vote(f"p{i} {k}", f"v{i}", f"v{(i + 1) % len(ATTACKS)}", context=f"c{i}", comment="x")
                for i in range(len(ATTACKS))
                for k in range(4)
            ]
        )
        .with_hypotheses([UpgradeHypothesis("v0", "v1", "c0", "s")]),
        n_bootstrap=20,
    )
    parsed, plain = Elements(), Elements()
    parsed.feed(page)
    plain.feed(harmless)
    assert parsed.tags == plain.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert not [
        value for name, value in parsed.attributes if name in ("href", "src") and value not in ("#tables", "data:,")
    ]
    assert "\u202e" not in page
    assert embedded(page)["edges"][0]["votes"][0]["comment"] == ATTACKS[0]


def test_the_page_needs_nothing_else_and_is_the_same_twice() -> None:
    graph = simulate_study(simulate_people(30, 6, contexts=("x", "y"), rng=0), 6, rng=0)
    page = graph_page(graph, n_bootstrap=30)
    assert page == graph_page(graph, n_bootstrap=30)
    assert not re.search(r"https?://(?!www\.w3\.org)", page)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and "default-src &#39;none&#39;" in policy[1]
    assert page.count("<script") == 2 and page.count("<style") == 1


def test_every_edge_leads_to_its_votes() -> None:
    votes = [
        vote("ann", "a", "b", "upgrade", context="x", time=1_700_000_000, comment="because"),
        vote("ann", "a", "b", "no_upgrade", context="x", time=1_700_000_100),
        vote("bob", "c", "b", "upgrade", context="y"),
    ]
    graph = (
        make_graph("abc")
        .with_votes(votes)
        .merge_cards("c", "a")
        .with_hypotheses([UpgradeHypothesis("a", "b", "x", "I saw more.")])
    )
    (edge,) = embedded(graph_page(graph, n_bootstrap=0))["edges"]
    assert edge["rows"] == [[0, [0, 1, 0]], [1, [1, 0, 0]]]
    assert [(v["person"], v["answer"], v["counts"]) for v in edge["votes"]] == [
        (1, 0, False),
        (1, 1, True),
        (2, 0, True),
    ]
    assert edge["votes"][0]["comment"] == "because" and edge["stories"] == ["I saw more."]
    assert edge["votes"][0]["time"] == "2023-11-14 22:13"
    quiet = graph_page(graph, n_bootstrap=0, votes=False)
    assert embedded(quiet)["edges"][0]["votes"] == [] and "because" not in quiet
    for text in (quiet, graph_page(graph, n_bootstrap=0)):
        assert "ann" not in re.sub(r"<(script|style)>.*?</\1>", "", text, flags=re.DOTALL)


def test_places_are_apart_and_wiser_values_stand_higher() -> None:
    rng = np.random.default_rng(0)
    order, edges = rng.permutation(50), rng.integers(50, size=(2, 80))
    where = layered_layout(order, *edges)
    assert len({tuple(place) for place in where.tolist()}) == 50
    assert (np.diff(where[order, 1]) >= 0).all()
    distance = np.hypot(*(where[:, None] - where[None]).transpose(2, 0, 1)) + np.eye(50) * 1e9
    assert distance.min() >= min(ROW, COLUMN) - 1e-9
    assert layered_layout(np.zeros(0, int), np.zeros(0, int), np.zeros(0, int)).shape == (0, 2)


def test_graphs_without_votes_or_with_counts_alone() -> None:
    assert "Insufficient evidence" in graph_page(make_graph("ab"))
    graph = simulate_study(simulate_people(10, 4, rng=0), 4, rng=0)
    assert "cannot be said" in graph_page(graph.counted())


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


def opened(browser: Any, path: Path, page: str) -> tuple[Any, list[str]]:
    path.write_text(page, encoding="utf-8")
    tab = browser.new_page(viewport={"width": 1200, "height": 900})
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: said.append(dialog.message))
    tab.goto(path.as_uri())
    return tab, said


@pytest.mark.slow
def test_the_page_in_a_browser(browser: Any, tmp_path: Path) -> None:
    graph = simulate_study(simulate_people(60, 8, contexts=("When x", "When y"), unsure=0.1, rng=0), 8, rng=0)
    tab, said = opened(browser, tmp_path / "page.html", graph_page(graph, n_bootstrap=30))
    shown = tab.locator("#count").inner_text()
    tab.locator("#context").select_option(label="When x")
    fewer = tab.locator("#count").inner_text()
    assert int(fewer.split()[0]) < int(shown.split()[0])
    # by mouse: a line between two values leads to the votes
    tab.locator("g.edge:not(.hidden) path.hit").first.dispatch_event("click")
    assert "wiser than" in tab.locator("#details h2").first.inner_text()
    assert tab.locator("#details table").count() == 2
    # by keyboard: a value leads to its card, and from there to an edge
    tab.locator("g.value:not(.hidden)").first.focus()
    tab.keyboard.press("Enter")
    assert tab.locator("#details li").count() >= 4
    tab.locator("#details button").first.click()
    assert tab.locator("#details table").count() == 2
    tab.locator("#search").fill("theme 3")
    assert tab.locator("g.value.dim").count() == 7
    before = tab.locator(".canvas svg").get_attribute("viewBox")
    tab.locator("#in").click()
    assert tab.locator(".canvas svg").get_attribute("viewBox") != before
    tab.locator("#reset").click()
    assert tab.locator("#count").inner_text() == shown and tab.locator(".dim").count() == 0
    tab.locator("details summary").click()
    tab.locator("button[data-edge]").first.click()
    assert tab.locator("#details table").count() == 2
    assert said == []


@pytest.mark.slow
def test_attacks_do_nothing_in_a_browser(browser: Any, tmp_path: Path) -> None:
    tab, said = opened(browser, tmp_path / "page.html", graph_page(attacked(), n_bootstrap=20))
    for i in range(len(ATTACKS)):
        tab.locator("g.edge path.hit").nth(i).dispatch_event("click")
        tab.locator("g.value").nth(i).dispatch_event("click")
    assert tab.evaluate("window.hacked") is None and said == []
    assert tab.locator("#details img, #details script, #details a").count() == 0


@pytest.mark.slow
def test_three_hundred_values_and_two_thousand_edges_stay_usable(browser: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = simulate_people(600, 300, rng=0)
    key = rng.choice(300 * 299, 2000, replace=False)
    source = key // 299
    wiser = (source + 1 + key % 299) % 300
    asked, who = rng.integers(2000, size=6000), rng.integers(600, size=6000)
    asked[:2000] = np.arange(2000)
    answers = people.answer(who, source[asked], wiser[asked], np.zeros(6000, int), rng)
    ids = np.array(list(people.cards))
    graph = MoralGraph(people.cards).with_votes(
        {
            "participant": who,
            "source": ids[source[asked]],
            "wiser": ids[wiser[asked]],
            "answer": np.array(ANSWERS)[answers],
        }
    )
    tab, said = opened(browser, tmp_path / "page.html", graph_page(graph, n_bootstrap=0))
    assert tab.locator("g.edge").count() == 2000 and tab.locator("g.value").count() == 300
    # no label is drawn that could not be read, and those that were looked for are large enough
    labels = "[...document.querySelectorAll('g.value text')].filter((t) => t.getClientRects().length)"
    heights = f"{labels}.map((t) => t.getBoundingClientRect().height)"
    assert tab.evaluate(f"{labels}.length") == 0
    tab.locator("#search").fill("theme 7")
    found = tab.locator("g.value:not(.dim)").count()
    assert found == 11  # 7 and 70 to 79
    assert tab.evaluate(f"{labels}.length") == found and min(tab.evaluate(heights)) >= 12
    tab.locator("g.value").nth(5).dispatch_event("click")
    near = {value for pair in zip(source, wiser, strict=True) if 5 in pair for value in pair}
    assert tab.evaluate(f"{labels}.length") == len(near)
    lines = tab.locator("g.edge:not(.dim)").count()
    assert lines == np.sum((source == 5) | (wiser == 5)) and tab.locator("#details li").count() == 3 + lines
    for _ in range(9):
        tab.locator("#in").click()
    assert tab.locator("svg.far").count() == 0 and tab.evaluate(f"{labels}.length") == 300
    tab.locator("#reset").click()
    assert tab.locator(".dim, .near, .chosen, svg.focused").count() == 0 and said == []
