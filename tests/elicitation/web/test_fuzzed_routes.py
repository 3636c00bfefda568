"""Whatever is sent to whichever route, by whom: nothing breaks the service."""

from __future__ import annotations

from collections import Counter

import hypothesis
import pytest
import schemathesis
from fastapi.openapi.utils import get_openapi
from live_service import live_service, quick_folder

pytestmark = pytest.mark.slow
AWAY = {("POST", "/organise/leave"), ("POST", "/interview/leave"), ("POST", "/interview/delete")}
"""After these, what comes would be sent by nobody: others are sent with their forms, these without."""


@pytest.fixture(scope="module")
def served():
    """A served study, and cookies and form token of somebody of each role."""
    with quick_folder() as folder, live_service(folder / "x.db", rate=1e6) as live:
        study = live.study()
        participant = live.visitor()
        participant.join(live.link(study.id))
        participant.talk("/interview/answer")
        admin = live.visitor().enter(live.link(None, "admin"))
        admin.go(f"/organise/studies/{study.id}/proof")
        who = {"anybody": ({}, "")}
        for name, visitor in (("participant", participant), ("admin", admin)):
            form = next(form for form in visitor.answer.page().forms if "form_token" in form.hidden)
            who[name] = (dict(visitor.cookies), form.hidden["form_token"])
        yield live, study, who


@pytest.mark.parametrize("role", ["anybody", "participant", "admin"])
def test_nothing_breaks_the_service(served, role):
    live, study, who = served
    cookies, token = who[role]
    schema = schemathesis.openapi.from_dict(get_openapi(title="pluralism", version="1", routes=live.app.routes))
    statuses = Counter()

    def fuzz(operation):
        @hypothesis.given(case=operation.as_strategy())
        @hypothesis.settings(
            max_examples=10, deadline=None, derandomize=True, database=None,
            suppress_health_check=list(hypothesis.HealthCheck), phases=[hypothesis.Phase.generate],
        )  # fmt: skip
        def send(case):
            if isinstance(case.body, dict) and (case.method, case.path) not in AWAY:
                case.body["form_token"] = token
            if "study_id" in (case.path_parameters or {}):
                case.path_parameters["study_id"] = study.id
            response = case.call(base_url=live.url, cookies=cookies, allow_redirects=False, timeout=60)
            statuses[response.status_code] += 1
            assert response.status_code < 500, (case.method, case.path, response.status_code)

        send()

    for result in schema.get_all_operations():
        fuzz(result.ok())
    assert statuses.total() > 400 and len(statuses) > 3
    # forms of an administrator pass the guards, and are looked at
    assert role != "admin" or statuses[422] + statuses[303] > 50
    # and whoever was there is still let in
    assert live.visitor().go("/health").status == 200
