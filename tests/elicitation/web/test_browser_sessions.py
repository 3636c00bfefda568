"""Whole sessions in Chromium: by keyboard, without scripts, on a phone, by a model that streams, and under attack."""

from __future__ import annotations

import re

import pytest
from fake_openai import FakeOpenAI, Say, quick_retries
from language_models import QUESTION, over_http, sensible
from live_service import WORDS, live_service

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser(chromium):
    sync_api = pytest.importorskip("playwright.sync_api", reason="pages are opened with playwright")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@pytest.fixture
def live(address):
    with live_service(address, rate=100.0) as live:
        yield live


def opened(browser, **options):
    context = browser.new_context(**options)
    tab, said = context.new_page(), []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    tab.set_default_timeout(15_000)
    return tab, said


def ready(tab, selector):
    """Wait until the page that has it is there with its scripts: before, a click leads nowhere."""
    tab.locator(selector).first.wait_for(state="attached")
    tab.wait_for_load_state()


def begin(tab, link):
    tab.goto(link)
    tab.locator("form button.primary").click()
    tab.locator("a.button.primary").click()


def to_the_votes(tab):
    for box in tab.locator("input[type=checkbox]").all():
        box.check()
    tab.locator("form button.primary").click()
    tab.locator("input[name=context]").first.check()
    tab.locator("form button.primary").click()
    for k, words in enumerate(WORDS):
        tab.locator("#answer").fill(words)
        tab.locator("form[action='/interview/answer'] button").click()
        if k < len(WORDS) - 1:
            tab.locator(".turn").nth(k).wait_for()
    tab.locator("form[action='/interview/confirm'] button").click()
    tab.locator("input[name=answer], input[name=verdict]").first.wait_for()


@pytest.mark.parametrize("scripts", [True, False])
def test_from_the_link_to_the_graph(live, browser, scripts):
    study = live.study()
    tab, said = opened(browser, java_script_enabled=scripts, locale="en")
    begin(tab, live.link(study.id))
    to_the_votes(tab)
    for k in range(4):
        tab.get_by_role("heading", name=f"Story {k + 1} of 4").wait_for()
        tab.locator("input[name=answer]").nth(k % 3).check()
        tab.locator("form[action='/interview/vote'] button").click()
    tab.get_by_role("heading", name="Almost done").wait_for()
    assert tab.get_by_role("link", name="See the values of all").count() == 0
    for name in ("represented", "clarified", "respect"):
        tab.locator(f"input[name='survey.{name}'][value='4']").check()
    tab.locator("form button.primary").click()
    tab.get_by_text("Thank you").wait_for()
    tab.get_by_role("link", name="See the values of all").click()
    ready(tab, "#tables")
    assert "Waiting beside the storm" in tab.locator("#tables").inner_text()
    counts = live.service.studies.counts(study.id)
    assert (counts.votes, counts.by_phase) == (4, {"done": 1})
    assert said == []


def test_votes_by_keyboard_alone(live, browser):
    study = live.study()
    tab, said = opened(browser, locale="en")
    begin(tab, live.link(study.id))
    to_the_votes(tab)
    for k in range(4):
        tab.get_by_role("heading", name=f"Story {k + 1} of 4").wait_for()
        tab.wait_for_load_state()
        tab.keyboard.press("2")
        tab.keyboard.press("Enter")
    tab.get_by_role("heading", name="Almost done").wait_for()
    tab.wait_for_load_state()
    (person,) = live.service.people.of_study(study.id)
    votes = live.service.people.interview(person.id).state.votes
    assert {vote.answer for vote in votes.values()} == {"no_upgrade"} and said == []
    # every control can be reached by Tab, and shows where the focus is
    reached = set()
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.add(tab.evaluate("document.activeElement.name || document.activeElement.textContent.trim()"))
    assert {"survey.represented", "survey.clarified", "survey.respect", "survey.remarks", "Finish"} <= reached


def test_a_text_that_is_not_sent_yet_survives_a_reload_and_the_loss_of_the_line(live, browser):
    study = live.study()
    tab, _ = opened(browser, locale="en")
    begin(tab, live.link(study.id))
    for box in tab.locator("input[type=checkbox]").all():
        box.check()
    tab.locator("form button.primary").click()
    tab.locator("input[name=context]").first.check()
    tab.locator("form button.primary").click()
    ready(tab, "#answer")
    tab.locator("#answer").fill("half a thought")
    tab.reload()
    assert tab.locator("#answer").input_value() == "half a thought"
    tab.context.set_offline(True)
    tab.locator("#answer").fill("a whole thought")
    tab.locator("form[action='/interview/answer'] button").click()
    tab.wait_for_timeout(500)
    tab.context.set_offline(False)
    tab.goto(f"{live.url}/interview")
    assert tab.locator("#answer").input_value() == "a whole thought"


def test_a_question_is_shown_while_it_is_written(folder, browser, monkeypatch):
    quick_retries(monkeypatch)
    fake = FakeOpenAI()
    fake.reply = over_http(sensible)
    with live_service(folder / "x.db", llm=fake.url, llm_model="fake") as live:
        study = live.study(interviewer="llm")
        tab, said = opened(browser, locale="en")
        begin(tab, live.link(study.id))
        for box in tab.locator("input[type=checkbox]").all():
            box.check()
        tab.locator("form button.primary").click()
        fake.script = [Say(QUESTION, delay=0.3)]
        tab.locator("input[name=context]").first.check()
        tab.locator("form button.primary").click()
        tab.locator(".writing").wait_for()
        first = tab.locator(".writing").inner_text()
        assert QUESTION.startswith(first.strip()) and first.strip() != QUESTION
        tab.locator("#answer").wait_for()
        assert tab.locator("label.asked").inner_text() == QUESTION and said == []
    fake.close()


PAGES = "links people cards merges hypotheses graph differences answers exports proof log settings".split()


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (1280, "dark")])
def test_no_page_scrolls_sideways_and_all_fields_have_names(live, browser, width, scheme):
    study = live.study("A long title for a study that has to fit on the page of a small telephone")
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.finish()
    tab, said = opened(browser, viewport={"width": width, "height": 800}, color_scheme=scheme, locale="de")
    tab.goto(live.link(None, "admin"))
    tab.locator("form button.primary").click()
    where = f"{live.url}/organise/studies/{study.id}"
    for address in (f"{live.url}/organise", f"{live.url}/organise/new", where, *(f"{where}/{name}" for name in PAGES)):
        tab.goto(address)
        look_at(tab, width, address)
        if address.startswith(where):
            # the tab that is open is there to be seen
            box = tab.locator(".tabs [aria-current]").bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, address
    begin(tab, live.link(study.id))
    look_at(tab, width, "consent")
    assert tab.locator(".steps .now span").evaluate("(e) => e.getClientRects().length") == 1
    to_the_votes(tab)
    look_at(tab, width, "vote")
    for k in range(4):
        tab.get_by_role("heading", name=f"Geschichte {k + 1} von 4").wait_for()
        tab.locator("input[name=answer]").first.check()
        tab.locator("form[action='/interview/vote'] button").click()
    tab.get_by_role("heading", name="Fast fertig").wait_for()
    look_at(tab, width, "survey")
    for scale in ("represented", "clarified", "respect"):
        tab.locator(f"input[name='survey.{scale}']").nth(3).check()
    tab.locator("form[action='/interview/survey'] button").click()
    tab.locator("a[href='/interview/graph']").wait_for()
    tab.goto(f"{live.url}/interview/graph")
    look_at(tab, width, "graph")
    # every word of the page is German
    assert "insufficient" not in tab.locator("main").inner_text()
    tab.goto(f"{live.url}/interview/delete")
    look_at(tab, width, "delete")
    assert said == []


COLOURS = """
[...document.querySelectorAll('main *, header *, footer *')]
  .filter((e) => !e.closest('svg') && e.checkVisibility())
  .filter((e) => [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()))
  .map((e) => {
    let ground = e;
    while (ground && getComputedStyle(ground).backgroundColor === 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
    return [getComputedStyle(e).color, ground ? getComputedStyle(ground).backgroundColor : 'rgb(255, 255, 255)'];
  })
"""
"""Colours of every text, and of what it stands on."""


def look_at(tab, width, name):
    tab.wait_for_load_state()
    assert tab.evaluate("document.documentElement.scrollWidth") <= width, name
    assert tab.locator("h1").count() == 1 and tab.locator("main").count() == 1, name
    nameless = tab.evaluate(
        "[...document.querySelectorAll('input:not([type=hidden]), textarea, select')]"
        ".filter((e) => !e.labels.length && !e.getAttribute('aria-labelledby') && !e.getAttribute('aria-label'))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == [], name
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids)), name
    for pair in {tuple(pair) for pair in tab.evaluate(COLOURS)}:
        assert contrast(pair) >= 4.5, (name, pair)


def contrast(colours):
    def luminance(colour):
        channels = [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(luminance(colour) for colour in colours)
    return (high + 0.05) / (low + 0.05)


def test_the_graph_of_organisers_leads_from_a_line_to_its_votes(live, browser):
    study = live.study()
    for _ in range(2):
        somebody = live.visitor()
        somebody.join(live.link(study.id))
        somebody.finish()
    tab, said = opened(browser, locale="en")
    tab.goto(live.link(study.id, "viewer"))
    tab.locator("form button.primary").click()
    tab.get_by_role("link", name="Graph").click()
    ready(tab, "g.edge path.hit")
    tab.locator("g.edge path.hit").first.dispatch_event("click")
    assert "wiser than" in tab.locator("#details h2").first.inner_text()
    assert "It sees more." in tab.locator("#details").inner_text()
    before = tab.locator(".canvas svg").get_attribute("viewBox")
    tab.locator("#in").click()
    assert tab.locator(".canvas svg").get_attribute("viewBox") != before
    assert said == []


def test_attacks_do_nothing_in_a_browser(live, browser):
    attack = '<img src=x onerror="window.hacked=1"><script>window.hacked=2</script>'
    study = live.study(attack, count_partial=True)
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/answer")
    somebody.fill("/interview/answer", text=attack)
    somebody.fill("/interview/see-card")
    somebody.fill("/interview/card", title='Plain & "quoted" <3', description="x", policies="MOMENTS", then="confirm")
    somebody.talk("/interview/vote")
    somebody.fill("/interview/vote", answer="upgrade", comment=attack)
    admin, said = opened(browser)
    admin.goto(live.link(None, "admin"))
    admin.locator("form button.primary").click()
    where = f"{live.url}/organise/studies/{study.id}"
    (person,) = live.service.people.of_study(study.id)
    for address in (where, *(f"{where}/{name}" for name in PAGES), f"{where}/people/{person.id}/transcript"):
        admin.goto(address)
        for edge in admin.locator("g.edge path.hit").all():
            edge.dispatch_event("click")
        assert admin.evaluate("window.hacked") is None and said == [], address
    assert attack in admin.locator("main").inner_text()
