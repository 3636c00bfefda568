"""What people and files may hold that wants to be more than text: on every page, in every export, in the log."""

from __future__ import annotations

import csv
import html
import io
import json
import logging
import re
import zipfile
from html.parser import HTMLParser

import pytest
from live_service import live_service, quick_folder

ATTACKS = [
    "<script>window.hacked=1</script>",
    '"><img src=x onerror="window.hacked=2">',
    "</textarea><svg onload=window.hacked=3>",
    "</script><script>window.hacked=4</script>",
    "<iframe srcdoc='<script>parent.hacked=5</script>'></iframe>",
    "{{ 7*7 }}{% include 'base.html.j2' %}${7*7}<%= 7*7 %>",
    "' onmouseover='window.hacked=6' x='",
    "<a href=javascript:window.hacked=7>x</a><base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'><link rel=stylesheet href=//evil.example>",
    "]]><!--<style>*{display:none}</style>",
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "=HYPERLINK(\"http://evil.example\")",
    "@SUM(1)", "+cmd|' /C calc'!A0", "-2+3",
    "\u202egnirts \u200b\u2066 Z\u0351\u0351\u0351\u0351\u0351\u0351\u0351\u0351algo \x07\x00",
    "%0d%0aSet-Cookie: hacked=8",
    "../../../etc/passwd",
]  # fmt: skip


class Elements(HTMLParser):
    """All elements and attributes."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.handlers, self.addresses = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action", "formaction")]


@pytest.fixture(scope="module")
def attacked():
    """A study in which everybody writes attacks wherever something can be written."""
    with quick_folder() as folder, live_service(folder / "x.db", rate=100.0) as live:
        study = live.study("<script>window.hacked=0</script>", count_partial=True)
        people = []
        for k in range(0, len(ATTACKS), 7):
            attack = " ".join(ATTACKS[k : k + 7])
            somebody = live.visitor()
            somebody.join(live.link(study.id))
            somebody.fill("/interview/consent", scopes=["card", "chat", "research"])
            form = somebody.answer.page().form("/interview/context")
            somebody.fill("/interview/context", context=form.choices["context"][0])
            somebody.fill("/interview/answer", text=attack)
            somebody.fill("/interview/see-card")
            # what cannot be confirmed stands on a card nobody else sees; what can be is shown to all
            somebody.fill("/interview/card", title=attack[:70], description=attack, policies=attack[:200], then="look")
            mild = re.sub(r"https?://|javascript:|<[^>]*>?|on\w+=", "", attack)[:60].strip() or "x"
            somebody.fill(
                "/interview/card", title=f"{mild[:40]} & 'quotes' \"{k}\"", description=mild,
                policies=f"MOMENTS {mild}", then="confirm",
            )  # fmt: skip
            while not {"/interview/vote", "/interview/card"} & set(somebody.actions):
                somebody.fill("/interview/duplicate", verdict="different")
            while "/interview/vote" in somebody.actions:
                somebody.fill("/interview/vote", answer="upgrade", comment=attack)
            if "/interview/survey" in somebody.actions:
                scales = somebody.answer.page().form("/interview/survey").choices
                somebody.fill("/interview/survey", **dict.fromkeys(scales, "1"), **{"survey.remarks": attack})
            people.append(somebody)
        admin = live.visitor().enter(live.link(None, "admin"))
        assert len(people) == 3 and live.service.studies.counts(study.id).votes >= 8
        yield live, study, people, admin


def tabs(study):
    where = f"/organise/studies/{study.id}"
    names = "links people cards merges hypotheses graph answers exports proof log settings"
    return [
        "/organise",
        where,
        *(f"{where}/{name}" for name in names.split()),
        f"{where}/differences?before=2020-01-01",
    ]


def test_pages_hold_words_as_text_alone(attacked):
    live, study, people, admin = attacked
    names = [*tabs(study), *(f"person {k}" for k in range(len(people)))]
    for person in live.service.people.of_study(study.id):
        names.append(f"/organise/studies/{study.id}/people/{person.id}/transcript")
    texts = ""
    for name in names:
        visitor = admin.go(name) if name.startswith("/") else people[int(name.split()[1])].go("/interview")
        assert visitor.status == 200, name
        found = Elements(visitor.page)
        texts += html.unescape(visitor.text)
        assert found.handlers == [], name
        assert not {"iframe", "img", "base", "meta http-equiv"} & set(found.tags), name
        scripts = [tag for tag in found.tags if tag == "script"]
        assert len(scripts) <= 3, name
        for address in found.addresses:
            assert address.startswith(("/", "#", "?", "data:,")) and not address.startswith("//"), (name, address)
        assert "\u202e" not in visitor.page and "\x00" not in visitor.page
    # all of it is there, as it was written
    for attack in ("<script>window.hacked=1</script>", "{{ 7*7 }}{% include 'base.html.j2' %}", "=HYPERLINK("):
        assert attack in texts
    assert "<script>window.hacked" not in "".join(people[0].page)


def test_headers_forbid_what_is_not_ours(attacked):
    live, study, _, admin = attacked
    import http.client
    from urllib.parse import urlsplit

    for path in ("/", "/nowhere", f"/organise/studies/{study.id}/graph", "/static/x/style.css", "/health"):
        connection = http.client.HTTPConnection(urlsplit(live.url).netloc)
        cookie = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
        connection.request("GET", path, headers={"Cookie": cookie})
        response = connection.getresponse()
        response.read()
        connection.close()
        policy = response.getheader("Content-Security-Policy")
        assert "unsafe" not in policy and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert response.getheader("Server") is None
        cookies = response.getheader("Set-Cookie")
        assert cookies is None or ("HttpOnly" in cookies and "SameSite=Lax" in cookies)


def test_pages_have_no_script_or_style_in_them(attacked):
    _, study, people, admin = attacked
    for visitor, path in [(admin, page) for page in tabs(study)] + [(people[0], "/interview"), (people[0], "/")]:
        page = visitor.go(path).page
        assert "<style" not in page and " style=" not in page, path
        for script in re.findall(r"<script[^>]*>", page):
            assert "src=" in script or 'type="application/json"' in script, path


def test_tables_are_safe_in_a_spreadsheet(attacked):
    _, study, _, admin = attacked
    for name in ("csv", "comparisons"):
        admin.go(f"/organise/studies/{study.id}/exports")
        admin.fill(f"/organise/studies/{study.id}/exports", format=name)
        content = admin.answer.body
        files = {name: content}
        if content[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                files = {entry: archive.read(entry) for entry in archive.namelist() if entry.endswith(".csv")}
        for entry, text in files.items():
            for row in csv.reader(io.StringIO(text.decode("utf-8"))):
                for cell in row:
                    assert not cell.startswith(("=", "+", "@", "\t", "\r")), (entry, cell)
                    assert not cell.startswith("-") or re.fullmatch(r"-[\d.e+-]+", cell), (entry, cell)


def test_the_log_holds_nobodys_words_and_no_links(folder, caplog):
    caplog.set_level(logging.DEBUG, logger="pluralism")
    with live_service(folder / "log.db") as live:
        study = live.study()
        link = live.link(study.id)
        somebody = live.visitor()
        way_back = somebody.join(link)
        somebody.talk("/interview/answer")
        somebody.fill("/interview/answer", text="unmistakable-nephew")
        somebody.go(way_back)

        def broken(*given, **names):
            raise RuntimeError("unmistakable-nephew in the message of an error")

        live.service.people.get, kept = broken, live.service.people.get
        assert somebody.go("/interview").status == 500
        assert "unmistakable" not in somebody.page and "Something went wrong" in somebody.text
        live.service.people.get = kept
    said = caplog.text
    assert "GET /interview " in said or "GET /interview" in said
    assert "RuntimeError" in said and "test_hostile_input.py" in said
    for secret in ("unmistakable", link.rsplit("/", 1)[1], way_back.rsplit("/", 1)[1], "127.0.0.1"):
        assert secret not in said


def test_bodies_have_limits(folder):
    with live_service(folder / "big.db", body_bytes=10_000, upload_bytes=20_000) as live:
        study = live.study()
        somebody = live.visitor()
        somebody.join(live.link(study.id))
        somebody.talk("/interview/answer")
        form = somebody.answer.page().form("/interview/answer")
        answer = somebody.post("/interview/answer", [*form.hidden.items(), ("text", "x" * 20_000)])
        assert answer.status == 413 and "still in the form" in answer.body.decode()
        # a body that does not say how long it is
        assert chunked(live, somebody.cookies, 40) == 413
        assert somebody.go("/interview").status == 200
        admin = live.visitor().enter(live.link(None, "admin"))
        assert admin.go("/organise/new").status == 200


def chunked(live, cookies, pieces):
    import http.client
    from urllib.parse import urlsplit

    connection = http.client.HTTPConnection(urlsplit(live.url).netloc)
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
    connection.request("POST", "/interview/answer", (b"a" * 1_000 for _ in range(pieces)), kind, encode_chunked=True)
    status = connection.getresponse().status
    connection.close()
    return status


def test_uploaded_files_are_read_as_data(folder):
    with live_service(folder / "up.db") as live:
        admin = live.visitor().enter(live.link(None, "admin"))
        for content, said in [
            (b"\xff\xfe\x00", "TOML"),
            (b"name = [[[[", "TOML"),
            (b'name = "../../etc/passwd"', "name"),
            (b"a = " + b"[" * 5_000, "TOML"),
            (b"a = 1" + b"0" * 6_000, "TOML"),
        ]:
            for field in ("protocol_file", "demographics_file"):
                assert upload(live, admin, field, content)[0] == 422, (field, content[:20])
            answer = upload(live, admin, "case_file", content)
            assert answer[0] == 422 and said.lower() in answer[1].lower(), (content[:20], answer[1][-500:])
            assert str(folder) not in answer[1] and "/tmp" not in answer[1]
        assert upload(live, admin, "case_file", b"x" * 3_000_000)[0] == 413
        assert live.service.studies.all() == ()


@pytest.mark.parametrize("encoding", ["undefined", "punycode", "unicode_escape", "utf-16", 'utf-8"; charset="idna'])
def test_forms_are_in_utf_8(folder, encoding):
    with live_service(folder / "x.db") as live:
        admin = live.visitor().enter(live.link(None, "admin"))
        for charset, status in ((encoding, 400), ("UTF-8", 303)):
            kind = f"multipart/form-data; boundary=--boundary; charset={charset}"
            assert upload(live, admin, "case_file", b"", kind)[0] == status


def test_numbers_and_moments_have_bounds(folder):
    with live_service(folder / "x.db") as live:
        where = f"/organise/studies/{live.study().id}"
        admin = live.visitor().enter(live.link(None, "admin")).go(f"{where}/links")
        fields = list(admin.answer.page().form(f"{where}/links").hidden.items())
        for name in ("uses", "days", "count"):
            for number in (-5, 0, 2**31, 2**63, "9" * 5_000):
                sent = admin.post(f"{where}/links", [*fields, ("role", "participant"), (name, str(number))])
                assert sent.status == 422, (name, number)
        assert not live.service.links.of_study(admin.path.split("/")[3])
        for moment in ("0001-01-01T00:00%2B23:59", "9999-12-31T23:59:59-23:59"):
            for asked in (f"before={moment}", f"before=2020-01-01&after={moment}"):
                assert admin.go(f"{where}/differences?{asked}").status == 200
                assert "no moment" in admin.text


def upload(live, visitor, field, content, kind="multipart/form-data; boundary=--boundary"):
    import http.client
    from urllib.parse import urlsplit

    token = visitor.go("/organise/new").answer.page().form("/organise/new").hidden["form_token"]
    mark = b"--boundary"
    parts = [
        b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s' % (mark, name.encode(), value.encode())
        for name, value in {
            "form_token": token,
            "title": "T",
            "case": "unruly-child",
            "protocol": "moral-graph",
        }.items()
    ]
    parts.append(
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="x.toml"\r\n\r\n%s'
        % (mark, field.encode(), content)
    )
    body = b"\r\n".join([*parts, b"--" + mark + b"--\r\n"])
    connection = http.client.HTTPConnection(urlsplit(live.url).netloc)
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    connection.request("POST", "/organise/new", body, {"Content-Type": kind, "Cookie": cookie})
    response = connection.getresponse()
    said = response.status, response.read().decode()
    connection.close()
    return said


def test_somebody_takes_their_own_words_along_unchanged(attacked):
    _, _, people, _ = attacked
    kept = json.loads(people[0].get("/interview/my-data.json").body)
    assert ATTACKS[0] in kept["turns"][0]["answer"]
