"""What ends the sessions of organisers: another password, and links that are withdrawn."""

from __future__ import annotations

import pytest
from live_service import live_service
from pydantic import SecretStr


@pytest.fixture
def live(folder):
    with live_service(folder / "x.db", password="open sesame", rate=100.0) as live:
        yield live


def by_password(live, password="open sesame"):
    visitor = live.visitor().go("/organise/enter")
    return visitor.fill("/organise/enter", password=password)


def set_password(live, password):
    live.app.state.settings = live.app.state.settings.model_copy(update={"password": SecretStr(password)})


def test_another_password_ends_the_sessions_of_the_old_one(live):
    by_link = live.visitor().enter(live.link(None, "admin"))
    old = by_password(live)
    assert old.get("/organise").status == 200
    for password in ("another", ""):
        set_password(live, password)
        assert old.get("/organise").status == 401
        assert by_link.get("/organise").status == 200
    set_password(live, "another")
    assert by_password(live).status == 403
    assert by_password(live, "another").get("/organise").status == 200


def test_administrators_withdraw_links_of_administrators(live):
    study = live.study()
    leaked = live.link(None, "admin")
    thief, admin = live.visitor().enter(leaked), live.visitor().enter(live.link(None, "admin"))
    (_, stolen) = (link for link in live.service.links.of_study(None))
    assert thief.get("/organise").status == 200
    action = f"/organise/links/{stolen.id}/revoke"
    assert admin.go("/organise").fill(action).status == 200 and action not in admin.actions
    assert thief.get("/organise").status == 401 and live.visitor().go(leaked).status == 404
    # no link of a study, and no page for those who may less
    other = live.service.links.create(study_id=study.id, role="organiser", by="test").link
    token = admin.answer.page().forms[0].hidden["form_token"]
    assert admin.post(f"/organise/links/{other.id}/revoke", [("form_token", token)]).status == 404
    assert live.service.links.get(other.id).revoked_at is None
