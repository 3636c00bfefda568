"""The page in a real browser, with data that try to run."""

from __future__ import annotations

import http.server
import threading
from dataclasses import dataclass, field

import numpy as np
import pytest

from pluralism.data import Comparisons, Items
from pluralism.discretion import (
    PrinciplePreferences,
    PrincipleSet,
    Verdicts,
    audit_discretion,
    between_groups,
    explain_verdicts,
    graph_discrepancy,
)
from pluralism.elicitation import MoralGraph, ValuesCard, aggregate
from pluralism.models import MixtureBradleyTerry
from pluralism.policy import by_voting, compare_policies, kl_optimal
from pluralism.reports import build_choice_report, build_discretion_report, build_report
from pluralism.social_choice import Utilities

ATTACKS = [
    "<script>window.hacked = 1; alert(1)</script>",
    '<img src=x onerror="window.hacked = 2; alert(2)">',
    "</style><script>window.hacked = 3</script><style>body{display:none}",
    '</title></head><body onload="window.hacked = 4">',
    '"><svg onload=alert(5)><animate onbegin=alert(5) attributeName=x dur=1s>',
    "javascript:window.hacked=6//",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    '<a href="javascript:alert(8)">click</a><iframe srcdoc="<script>parent.hacked=8</script>"></iframe>',
    ']]><!-- <![CDATA[ --> <meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">',
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css><base href=http://127.0.0.1:9/>",
    "' onmouseover='alert(11)' x='",
    "\u202eoverride\u2066 <b>bold</b> \x0b\x1f $\\frac{1}{2}$ `${alert(12)}`",
    "data:text/html,<script>alert(13)</script>",
    "<details open ontoggle=alert(14)>&lt;script&gt;alert(14)&lt;/script&gt;",
    "<style>@import 'http://127.0.0.1:9/y.css';</style>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(16)>",
]


@dataclass
class Visit:
    """What happened while a page was open."""

    dialogs: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser(chromium):
    sync_api = pytest.importorskip("playwright.sync_api", reason="pages are opened with playwright")
    options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
    with sync_api.sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=options)
        yield instance
        instance.close()


def visit(browser, address, **options):
    context = browser.new_context(**options)
    page, seen = context.new_page(), Visit()
    page.on("dialog", lambda dialog: (seen.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
    page.wait_for_timeout(200)
    return page, seen, context


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A report in which every text, prompt, id, label and name is an attack."""
    rng = np.random.default_rng(0)
    n = len(ATTACKS)
    texts = [f"{attack} {'long ' * (80 * (k % 2))}{k}" for k, attack in enumerate(ATTACKS * 2)]
    prompts = [ATTACKS[(k // 4) % n] for k in range(2 * n)]
    items = Items(
        ids=[f"{attack}{k}" for k, attack in enumerate(ATTACKS * 2)],
        texts=texts,
        prompts=prompts,
        features=rng.standard_normal((2 * n, 3)).astype(np.float32),
        feature_space=ATTACKS[0],
        covariates={ATTACKS[0]: rng.standard_normal(2 * n)},
    )
    user = np.repeat(np.arange(2 * n), 20)
    block = rng.integers(0, 2 * n // 4, len(user))
    first = rng.integers(0, 4, len(user))
    left, right = 4 * block + first, 4 * block + (first + rng.integers(1, 4, len(user))) % 4
    heads = rng.standard_normal((2, 3)) * 2
    margin = np.sum((items.features[left] - items.features[right]) * heads[user % 2], axis=1)
    data = Comparisons(
        items,
        [f"{attack} {k}" for k, attack in enumerate(ATTACKS * 2)],
        user,
        left,
        right,
        (rng.random(len(user)) < 1 / (1 + np.exp(-margin))).astype(float),
        group=(user % 2).astype(np.int32),
        groups=ATTACKS[:2],
        source=np.zeros(len(user), dtype=np.int32),
        sources=[ATTACKS[2]],
    )
    model = MixtureBradleyTerry(n_groups=2, ridge=1.0, covariates=(ATTACKS[0],), rng=0).fit(data)
    report = build_report(model, data, n_bootstrap=20, title=ATTACKS[3], command=ATTACKS[2], examples=8)
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    return report, report.write(path)


def assert_quiet(page, seen, address):
    assert not seen.dialogs and not seen.errors and not seen.console
    assert seen.requests == [address]
    assert page.evaluate("typeof window.hacked") == "undefined"


def test_data_that_try_to_run_are_text(browser, hostile):
    report, path = hostile
    address = path.as_uri()
    assert not set(path.read_text(encoding="utf-8")) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\x0b\x1f")
    page, seen, context = visit(browser, address)
    assert page.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    assert page.evaluate("document.querySelectorAll('iframe, object, embed, base, animate, math, [style]').length") == 0
    assert page.evaluate("document.styleSheets.length") == 1
    shown = " ".join(page.inner_text("body").split())
    for attack in (*ATTACKS[:3], ATTACKS[6], ATTACKS[7]):
        assert " ".join(attack.split())[:60] in shown
    for link in page.query_selector_all("a"):
        assert link.get_attribute("href").startswith("#")
    page.mouse.move(400, 400)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_timeout(100)
    assert_quiet(page, seen, address)
    context.close()
    assert report.title == " ".join(ATTACKS[3].split())


@pytest.fixture(scope="module")
def hostile_choice(tmp_path_factory):
    """The page about a choice, in which every text, prompt, id and name is an attack."""
    n = len(ATTACKS)
    rng = np.random.default_rng(0)
    items = Items([f"{attack}{k}" for k, attack in enumerate(ATTACKS * 2)], texts=ATTACKS * 2)
    utilities = Utilities.from_items(
        rng.normal(size=(2 * n, 3)),
        np.arange(2 * n) // 4,
        prompts=[f"{attack}{k}" for k, attack in enumerate(ATTACKS[: n // 2])],
        groups=ATTACKS[:3],
        candidates=items.ids.to_pylist(),
    ).to_unit("gain")
    policies = {attack: kl_optimal(utilities, beta=0.2 * (k + 1)) for k, attack in enumerate(ATTACKS[3:7])}
    policies[ATTACKS[8]] = by_voting(utilities, "borda")
    report = build_choice_report(compare_policies(policies), items=items, title=ATTACKS[3], command=ATTACKS[2])
    return report.write(tmp_path_factory.mktemp("choice") / "choice.html")


def test_a_choice_among_texts_that_try_to_run(browser, hostile_choice):
    address = hostile_choice.as_uri()
    page, seen, context = visit(browser, address)
    assert page.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    assert page.evaluate("document.querySelectorAll('iframe, object, embed, base, animate, math, [style]').length") == 0
    shown = " ".join(page.inner_text("body").split())
    for attack in (*ATTACKS[:3], ATTACKS[6], ATTACKS[7]):
        assert " ".join(attack.split())[:60] in shown
    assert_quiet(page, seen, address)
    context.close()
    for width in (320, 1280):
        opened, _, context = visit(browser, address, viewport={"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


@pytest.fixture(scope="module")
def hostile_audit(tmp_path_factory):
    """The page about discretion, in which every text, prompt, id, name and title is an attack."""
    rng = np.random.default_rng(0)
    n = 2 * len(ATTACKS)
    items = Items(
        [f"{attack}{k}" for k, attack in enumerate(ATTACKS * 2)],
        texts=ATTACKS * 2,
        prompts=[ATTACKS[k // 4] for k in range(n)],
        covariates={ATTACKS[1]: rng.normal(size=n), ATTACKS[6]: rng.normal(size=n)},
    )
    rows = np.arange(8 * n)
    data = Comparisons.from_arrays(left=rows % n, right=(rows + 1 + rows // n) % n, items=items)
    listed = [{"id": f"p{k}", "title": ATTACKS[k], "text": ATTACKS[k + 4]} for k in range(4)]
    principles = PrincipleSet.model_validate({"name": "hostile", "title": ATTACKS[5], "principles": listed})
    found = PrinciplePreferences.from_signs(principles.ids, rng.integers(-1, 2, (len(data), 4)), method=ATTACKS[9])
    names = [ATTACKS[8], f"{ATTACKS[0]}:a", f"{ATTACKS[0]}:b"]
    people = [
        Verdicts(name, rng.integers(0, 2, len(data)), share=share)
        for name, share in zip(names, (None, 0.6, 0.4), strict=True)
    ]
    audit = audit_discretion(data, found, people, n_bootstrap=20)
    between = [between_groups(audit, names[1:], pooled=names[0])]
    scenario = [ATTACKS[row % 3] for row in rows]
    reasons = explain_verdicts(data, people, factors=[ATTACKS[1], ATTACKS[6]], scenario=scenario, n_bootstrap=20)
    cards = {f"p{k}": ValuesCard(f"Value {k}", "", ["MOMENTS"]) for k in range(4)}
    votes = [
        {"participant": f"u{u}", "source": f"p{k + 1}", "wiser": f"p{k}", "answer": "upgrade"}
        for u in range(4)
        for k in range(3)
    ]
    elicited = graph_discrepancy(audit, aggregate(MoralGraph(cards).with_votes(votes)))
    report = build_discretion_report(
        audit,
        data,
        principles=principles,
        between=between,
        reasons=reasons,
        elicited=elicited,
        title=ATTACKS[3],
        command=ATTACKS[2],
        examples=20,
    )
    return report.write(tmp_path_factory.mktemp("audit") / "audit.html")


def test_an_audit_of_texts_that_try_to_run(browser, hostile_audit):
    address = hostile_audit.as_uri()
    page, seen, context = visit(browser, address)
    assert page.evaluate("document.scripts.length + document.images.length + document.forms.length") == 0
    assert page.evaluate("document.querySelectorAll('iframe, object, embed, base, animate, math, [style]').length") == 0
    shown = " ".join(page.inner_text("body").split())
    for attack in (*ATTACKS[:3], ATTACKS[6], ATTACKS[7]):
        assert " ".join(attack.split())[:60] in shown
    assert_quiet(page, seen, address)
    context.close()
    for width in (320, 1280):
        opened, _, context = visit(browser, address, viewport={"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def test_an_honest_page_breaks_none_of_its_own_rules(browser, page, tmp_path):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    for scheme in ("light", "dark"):
        opened, seen, context = visit(browser, path.as_uri(), color_scheme=scheme)
        assert_quiet(opened, seen, path.as_uri())
        # the style sheet and the figures are in force
        assert opened.evaluate("getComputedStyle(document.querySelector('.figures')).display") == "grid"
        ink = opened.evaluate("getComputedStyle(document.body).color")
        text = opened.query_selector("figure svg text")
        assert text.evaluate("element => getComputedStyle(element).fill") == ink
        assert text.bounding_box()["height"] > 5
        context.close()


def test_a_server_is_asked_for_the_page_alone(browser, page):
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            body = page.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            """Keep the test output clean."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/report.html"
    opened, seen, context = visit(browser, address)
    assert_quiet(opened, seen, address)
    context.close()
    server.shutdown()
    server.server_close()
    assert asked == ["/report.html"]


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_never_scrolls_sideways(browser, page, hostile, tmp_path, width):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    for address in (path.as_uri(), hostile[1].as_uri()):
        opened, _, context = visit(browser, address, viewport={"width": width, "height": 800})
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        context.close()


def contrast(colours):
    def luminance(colour):
        channels = np.array([float(c) for c in colour.removeprefix("rgb(").removesuffix(")").split(",")]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted(luminance(c) for c in colours)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_can_be_read(browser, page, tmp_path, scheme):
    path = tmp_path / "report.html"
    path.write_text(page, encoding="utf-8")
    opened, _, context = visit(browser, path.as_uri(), color_scheme=scheme)
    ground = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    colours = opened.evaluate(
        "[...new Set([...document.querySelectorAll('main *, nav *')].filter(e => e.textContent.trim() && "
        "!e.closest('svg')).map(e => getComputedStyle(e).color))]"
    )
    context.close()
    assert len(colours) >= 4
    assert min(contrast((colour, ground)) for colour in colours) >= 4.5
