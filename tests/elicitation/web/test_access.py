"""Who may do what: every role on every route, studies of others, and what is refused before anything is looked at."""

from __future__ import annotations

import re

import pytest
from fastapi import APIRouter
from live_service import live_service, quick_folder

from pluralism.elicitation.web.app import _check_routes
from pluralism.elicitation.web.guards.access import GuardedRoute, Role, allow
from pluralism.elicitation.web.guards.rate_limit import Buckets, Rate
from pluralism.elicitation.web.guards.session_cookie import COOKIE
from pluralism.errors import UsageError

ORGANISERS = ("viewer", "moderator", "organiser", "admin")
ROLES = ("anybody", "participant", *ORGANISERS)

# What each route takes, said once more and independently of the code.
PUBLIC = {
    "GET /", "GET /static/{version}/{name}", "GET /health", "POST /language", "GET /join/{token}",
    "POST /join/{token}", "GET /return/{token}", "POST /return/{token}", "GET /organise/enter",
    "POST /organise/enter", "GET /organise/enter/{token}", "POST /organise/enter/{token}", "POST /organise/leave",
}  # fmt: skip
STUDY = "/organise/studies/{study_id}"
VIEWER = {
    "GET /organise", f"GET {STUDY}", f"GET {STUDY}/counts.json", f"GET {STUDY}/people", f"GET {STUDY}/answers",
    f"GET {STUDY}/graph", f"POST {STUDY}/graph", f"GET {STUDY}/exports", f"POST {STUDY}/exports",
    f"GET {STUDY}/differences", f"GET {STUDY}/proof", f"POST {STUDY}/proof",
}  # fmt: skip
MODERATOR = {
    f"GET {STUDY}/cards", f"POST {STUDY}/cards/{{card_id}}/hide", f"POST {STUDY}/cards/{{card_id}}/restore",
    f"GET {STUDY}/merges", f"POST {STUDY}/merges", f"POST {STUDY}/merges/{{number}}/undo", f"GET {STUDY}/log",
    f"GET {STUDY}/hypotheses", f"POST {STUDY}/people/{{participant_id}}/exclude",
    f"POST {STUDY}/people/{{participant_id}}/readmit",
}  # fmt: skip
ORGANISER = {
    f"POST {STUDY}/status", f"GET {STUDY}/settings", f"POST {STUDY}/settings", f"GET {STUDY}/links",
    f"POST {STUDY}/links", f"POST {STUDY}/links/{{link_id}}/revoke", f"POST {STUDY}/people/{{participant_id}}/delete",
    f"GET {STUDY}/people/{{participant_id}}/transcript", f"POST {STUDY}/hypotheses",
    f"POST {STUDY}/hypotheses/{{hypothesis_id}}/retire", f"POST {STUDY}/hypotheses/{{hypothesis_id}}/revive",
}  # fmt: skip
ADMIN = {"GET /organise/new", "POST /organise/new", "POST /organise/links/{link_id}/revoke"}


def needed(route):
    for role, routes in zip(ORGANISERS, (VIEWER, MODERATOR, ORGANISER, ADMIN), strict=True):
        if route in routes:
            return role
    return "anybody" if route in PUBLIC else "participant" if " /interview" in route else None


@pytest.fixture(scope="module")
def live():
    with quick_folder() as folder, live_service(folder / "x.db", rate=100.0) as live:
        yield live


@pytest.fixture(scope="module")
def study(live):
    return live.study()


@pytest.fixture(scope="module")
def people(live, study):
    """Somebody of each role."""
    found = {"anybody": live.visitor().go("/")}
    found["participant"] = live.visitor()
    found["participant"].join(live.link(study.id))
    for role in ORGANISERS:
        found[role] = live.visitor().enter(live.link(None if role == "admin" else study.id, role))
        assert found[role].status == 200
    return found


def routes(live):
    return [(f"{method} {route.path}", route) for route in live.app.routes for method in route.methods]


def ask(visitor, route, study_id, token="0" * 64):
    method, path = route.split(" ")
    path = path.format(
        study_id=study_id, version="x", name="style.css", token="x" * 43, card_id="0" * 32, number=1,
        participant_id="0" * 32, link_id="0" * 32, hypothesis_id="0" * 32,
    )  # fmt: skip
    return visitor.get(path) if method == "GET" else visitor.post(path, [("form_token", token)])


def test_every_route_is_in_the_matrix(live):
    names = {name for name, _ in routes(live)}
    assert {name for name in names if needed(name) is None} == set()
    assert (PUBLIC | VIEWER | MODERATOR | ORGANISER | ADMIN) - names == set()
    assert len(names) > 60
    for name, route in routes(live):
        assert route.needed is not None and route.needed.value == needed(name)


@pytest.mark.parametrize("role", ROLES)
def test_every_role_on_every_route(live, study, people, role):
    somebody = people[role]
    for name, _ in routes(live):
        if name in PUBLIC:
            continue
        takes = needed(name)
        allowed = role == takes or (
            role in ORGANISERS and takes in ORGANISERS and ORGANISERS.index(role) >= ORGANISERS.index(takes)
        )
        answer = ask(somebody, name, study.id)
        said = answer.body.decode()
        if not allowed:
            # an organiser who may less is told so; everybody else has to come in first
            assert answer.status == (
                403 if role in ORGANISERS and takes in ORGANISERS else 401 if takes in ORGANISERS else 403
            ), name
            assert "too old" not in said, name
        elif name.startswith("POST"):
            # let in, and stopped by the forged form alone
            assert answer.status == 403 and "too old" in said, name
        else:
            # what somebody may open is there, or is not there; graphs wait for votes
            assert answer.status in (200, 303, 404) or (name == "GET /interview/graph" and answer.status == 403), name


def test_another_study_is_not_there(live, study, people):
    other = live.study("Another")
    stranger = live.visitor()
    stranger.join(live.link(other.id))
    (person,) = live.service.people.of_study(other.id)
    link = live.service.links.of_study(other.id)[0]
    for role in ("viewer", "moderator", "organiser"):
        for name, _ in routes(live):
            if STUDY in name:
                assert ask(people[role], name, other.id).status == 404, name
    organiser = people["organiser"]
    # the own study in the path, and somebody else's person or link in it
    organiser.go(f"/organise/studies/{study.id}/links")
    form = organiser.answer.page().forms[0].hidden["form_token"]
    for path in (f"people/{person.id}/exclude", f"people/{person.id}/delete", f"links/{link.id}/revoke"):
        answer = organiser.post(f"/organise/studies/{study.id}/{path}", [("form_token", form), ("reason", "x")])
        assert answer.status == 404, path
    assert organiser.get(f"/organise/studies/{study.id}/people/{person.id}/transcript").status == 404
    assert live.service.people.get(person.id).deleted_at is None and not live.service.people.get(person.id).excluded
    assert live.service.links.get(link.id).revoked_at is None


def test_a_route_that_names_nobody_is_not_served():
    router = APIRouter(route_class=GuardedRoute)

    @router.get("/open")
    def forgotten():
        return "secret"

    with pytest.raises(UsageError, match="/open"):
        _check_routes(router.routes)
    plain = APIRouter()
    plain.get("/plain")(allow(Role.ANYBODY)(lambda: "secret"))
    with pytest.raises(UsageError, match="/plain"):
        _check_routes(plain.routes)


def test_a_closed_route_answers_nobody(live, people):
    router = APIRouter(route_class=GuardedRoute)
    router.get("/forgotten")(lambda: "secret")
    live.app.router.routes.extend(router.routes)
    try:
        for somebody in people.values():
            answer = somebody.get("/forgotten")
            assert answer.status == 403 and b"secret" not in answer.body
    finally:
        live.app.router.routes.remove(router.routes[0])


def test_forms_of_other_sites_and_other_sessions_are_refused(live, study, people):
    viewer = people["viewer"].go(f"/organise/studies/{study.id}/proof")
    form = viewer.answer.page().form(f"/organise/studies/{study.id}/proof")
    path = f"/organise/studies/{study.id}/proof"
    token = form.hidden["form_token"]
    assert viewer.post(path, [("form_token", token)]).status == 200
    for wrong in ("", "0" * 64, token[:-1], token.upper()):
        assert viewer.post(path, [("form_token", wrong)]).status == 403
    other = people["moderator"].go(path).answer.page().form(path).hidden["form_token"]
    assert viewer.post(path, [("form_token", other)]).status == 403
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert raw(live, path, token, viewer.cookies, headers) == 403
    assert raw(live, path, token, viewer.cookies, {"Origin": live.url, "Sec-Fetch-Site": "same-origin"}) == 200
    # what is no address is somebody else's too
    for origin in ("http://[", "http://x:y", "x"):
        assert raw(live, path, token, viewer.cookies, {"Origin": origin}) == 403


@pytest.mark.parametrize("base_url", ["https://values.example", "https://Values.example:443/"])
def test_behind_a_proxy_forms_come_from_the_address_that_people_use(folder, base_url):
    with live_service(folder / "x.db", base_url=base_url) as live:
        path = f"/organise/studies/{live.study().id}/proof"
        admin = live.visitor().enter(live.link(None, "admin")).go(path)
        token = admin.answer.page().form(path).hidden["form_token"]
        for origin, status in (
            ("https://values.example", 200),
            ("http://values.example", 403),
            ("https://values.example:8443", 403),
            ("https://evil.example", 403),
            (live.url, 200),
        ):
            assert raw(live, path, token, admin.cookies, {"Origin": origin}) == status, origin


def raw(live, path, token, cookies, headers):
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(live.url).netloc)
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", path, f"form_token={token}", kind | headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_session_cannot_be_fixed_or_made_up(live, study):
    somebody = live.visitor()
    somebody.go(live.link(study.id))
    before = somebody.cookies[COOKIE]
    somebody.fill("", language="en")
    after = somebody.cookies[COOKIE]
    assert before != after
    payload, signature = after.rsplit(".", 1)
    for forged in (before, payload + "." + signature[::-1], "x." + after, after[:-2], ""):
        somebody.cookies[COOKIE] = forged
        assert somebody.get("/interview").status == 403
    somebody.cookies[COOKIE] = after
    assert somebody.get("/interview").status == 200


def test_a_link_that_is_withdrawn_ends_the_session(live, study):
    made = live.service.links.create(study_id=study.id, role="viewer", by="test")
    viewer = live.visitor().enter(f"{live.url}/organise/enter/{made.token}")
    assert viewer.status == 200
    live.service.links.revoke(made.link.id, by="test")
    assert viewer.get(f"/organise/studies/{study.id}").status == 401
    assert viewer.go(f"/organise/enter/{made.token}").status == 404


def test_nobody_is_led_to_another_site(live):
    somebody = live.visitor().go("/")
    for back in ("https://evil.example", "//evil.example", "/\\evil.example", "evil", "/\r\nX: y", "javascript:1"):
        form = somebody.go("/").answer.page().form("/language")
        answer = somebody.post(
            "/language",
            [("form_token", form.hidden["form_token"]), ("back", back), ("language", "de")],
        )
        assert answer.location == "/"
    assert "Deutsch" in somebody.go("/").text and "Hier sagen Menschen" in somebody.text


def test_heads_of_pages_are_answered_as_pages_are(live, study, people):
    import http.client
    from urllib.parse import urlsplit

    cookie = "; ".join(f"{name}={value}" for name, value in people["viewer"].cookies.items())
    paths = ("/health", "/", f"/organise/studies/{study.id}", f"/organise/studies/{study.id}/log", "/nowhere")
    for path in (*paths, "/organise/leave"):
        answers = []
        for method in ("GET", "HEAD"):
            connection = http.client.HTTPConnection(urlsplit(live.url).netloc)
            connection.request(method, path, headers={"Cookie": cookie})
            answer = connection.getresponse()
            body = answer.read()
            answers.append((answer.status, answer.getheader("Content-Type"), answer.getheader("Location")))
            connection.close()
        assert answers[0] == answers[1] and body == b"", path
        assert path != "/health" or answers[1][0] == 200


def test_links_have_at_least_128_random_bits(live, study):
    tokens = {live.link(study.id).rsplit("/", 1)[1] for _ in range(20)}
    assert len(tokens) == 20 and all(re.fullmatch(r"[\w-]{22,}", token) for token in tokens)


def test_allowances_fill_up_again():
    now = [0.0]
    buckets = Buckets(clock=lambda: now[0])
    most, per_second = Rate.LOGIN.value
    assert [buckets.take("x", Rate.LOGIN) for _ in range(most)] == [0.0] * most
    wait = buckets.take("x", Rate.LOGIN)
    assert wait == pytest.approx(1 / per_second) and buckets.take("y", Rate.LOGIN) == 0.0
    now[0] += wait
    assert buckets.take("x", Rate.LOGIN) == 0.0 and buckets.take("x", Rate.LOGIN) > 0


def test_guessing_the_password_is_slow(folder):
    with live_service(folder / "y.db", password="open sesame") as live:
        guesser = live.visitor()
        statuses = []
        for k in range(10):
            form = guesser.go("/organise/enter").answer.page().form("/organise/enter")
            statuses.append(
                guesser._once(
                    "POST", "/organise/enter", f"form_token={form.hidden['form_token']}&password={k}".encode()
                )[0].status
            )
        answer, retry_after = guesser._once("POST", "/organise/enter", b"password=open sesame")
        assert set(statuses) == {403} and answer.status == 429 and retry_after > 0
        # somebody behind the same address comes in by a link meanwhile, and links do not help with guessing
        link = live.link(None, "admin")
        assert all(live.visitor().enter(link).status == 200 for _ in range(6))
        assert guesser._once("POST", "/organise/enter", b"password=open sesame")[0].status == 429
        live.app.state.buckets = Buckets()
        assert guesser.go("/organise/enter").fill("/organise/enter", password="open sesame").status == 200
        assert "Studies" in guesser.text
        # the password is one actor in the log, however often somebody comes in by it
        guesser.fill("/organise/leave")
        assert guesser.go("/organise/enter").fill("/organise/enter", password="open sesame").status == 200
        assert [link.label for link in live.service.links.of_study(None)].count("password") == 1
