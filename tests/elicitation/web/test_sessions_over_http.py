"""Whole sessions over HTTP, without scripts: from the link to the graph, and back, and away."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest
from live_service import live_service
from web_studies import age

from pluralism.elicitation.web.bots.study_of_bots import play_study
from pluralism.elicitation.web.guards.rate_limit import Buckets
from pluralism.errors import StorageError


@pytest.fixture
def live(address):
    with live_service(address) as live:
        yield live


def test_from_the_link_to_the_graph(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/vote")
    # never before voting
    assert somebody.go("/interview/graph").status == 403
    somebody.go("/interview")
    somebody.finish()
    assert "See the values of all" in somebody.text
    assert somebody.go("/interview/graph").status == 200
    assert "Waiting beside the storm" in somebody.text
    # others' votes are counts there, and never single ones
    data = json.loads(somebody.page.split('id="data">')[1].split("</script>")[0])
    assert data["edges"] and not any(edge["votes"] for edge in data["edges"])
    counts = live.service.studies.counts(study.id)
    assert (counts.joined, counts.votes, counts.by_phase["done"]) == (1, 4, 1)


def test_answers_of_few_people_are_not_shown(live):
    study = live.study()
    viewer = live.visitor().enter(live.link(study.id, "viewer"))
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.finish()
    rows = viewer.go(f"/organise/studies/{study.id}/answers").page.split("<tbody>")[1].split("</tbody>")[0]
    assert "My card says what I care about." in rows and rows.count("–") == 18


def test_what_people_say_of_themselves_is_kept_only_with_their_answers(live):
    study = live.study(demographics=(age(),))
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    (person,) = live.service.people.of_study(study.id)
    somebody.talk("/interview/survey")
    scales = {f"survey.{name}": "4" for name in ("represented", "clarified", "respect")}
    late = somebody.answer.page().form("/interview/survey").hidden | {"about.age": "young"}
    assert somebody.fill("/interview/survey", **{"about.age": "old", "survey.represented": "4"}).status == 409
    assert somebody.fill("/interview/survey", **{"about.age": "middle"}, **scales).status == 409
    assert live.service.demographics.get(person.id) == {}
    assert live.service.people.get(person.id).phase == "exit_survey"
    assert somebody.fill("/interview/survey", **{"about.age": "old"}, **scales).status == 200
    assert live.service.demographics.get(person.id) == {"age": "old"}
    assert somebody.post("/interview/survey", list((late | scales).items())).status == 409
    assert live.service.demographics.get(person.id) == {"age": "old"}


def test_a_graph_without_votes_that_count_says_why(live):
    study = live.study()
    viewer, somebody = live.visitor().enter(live.link(study.id, "viewer")), live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/survey")
    text = viewer.go(f"/organise/studies/{study.id}/graph").text
    assert "No votes count yet." in text and "interviews that are not finished do not count" in text
    assert "of the 0 values" not in text
    live.service.studies.change(study.id, by="test", count_partial=True)
    viewer.fill(f"/organise/studies/{study.id}/graph")
    assert "No votes count yet." not in viewer.text and "not finished" not in viewer.text


def test_somebody_leaves_and_comes_back_by_their_own_link(live):
    study = live.study()
    somebody = live.visitor()
    way_back = somebody.join(live.link(study.id), language="de")
    somebody.talk("/interview/answer")
    somebody.fill("/interview/answer", text="Mein Neffe weinte.")
    somebody.go("/interview/leave")
    assert way_back in somebody.page and "Vorerst gehen" in somebody.text
    somebody.fill("/interview/leave")
    assert somebody.go("/interview").status == 403
    elsewhere = live.visitor()
    elsewhere.go(way_back)
    assert elsewhere.go("/interview").status == 403  # the link alone changes nothing
    elsewhere.go(way_back)
    elsewhere.fill("")
    assert "/interview/resume" in elsewhere.actions
    elsewhere.fill("/interview/resume")
    assert "Mein Neffe weinte." in elsewhere.text and "/interview/answer" in elsewhere.actions


def test_the_page_after_joining_can_be_loaded_again(live):
    study = live.study()
    somebody = live.visitor()
    somebody.go(live.link(study.id)).fill("", language="de")
    shown = somebody.answer.page().inputs["way-back"]
    again = somebody.go(somebody.path)
    assert again.status == 200 and again.answer.page().inputs["way-back"] == shown
    assert "/return/" in shown and live.service.studies.counts(study.id).joined == 1


def test_deleting_takes_everything_away(live):
    study = live.study()
    somebody = live.visitor()
    way_back = somebody.join(live.link(study.id))
    somebody.finish()
    somebody.go("/interview/delete")
    assert "Deleted" in somebody.fill("/interview/delete").text
    assert somebody.go("/interview").status == 403
    assert live.service.studies.counts(study.id).deleted == 1
    graph = live.service.graphs.get(study.id, fresh=True).graph
    assert not any(card.title == "Waiting beside the storm" for card in graph.values.values())
    somebody.go(way_back)
    assert "storm" not in somebody.text


def test_a_form_sent_twice_counts_once_and_one_that_is_late_changes_nothing(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/vote")
    form = somebody.answer.page().form("/interview/vote")
    fields = [*form.hidden.items(), ("answer", "upgrade"), ("comment", "once")]
    assert [somebody.post("/interview/vote", fields).status for _ in range(3)] == [303] * 3
    assert live.service.studies.counts(study.id).votes == 1
    late = [(name, "a" * 22 if name == "key" else value) for name, value in fields]
    answer = somebody.post("/interview/vote", late)
    said = answer.body.decode()
    assert answer.status == 409 and "gone on meanwhile" in said
    # the next question is not answered by what was meant for the last one
    assert "Story 2 of 4" in said and " checked" not in said and said.count("once") == 1
    assert live.service.studies.counts(study.id).votes == 1


def test_a_vote_can_be_changed_until_the_end(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/vote")
    somebody.fill("/interview/vote", answer="upgrade", comment="first thought")
    somebody.go("/interview?item=0")
    assert "first thought" in somebody.page
    somebody.fill("/interview/vote", answer="no_upgrade", comment="second thought")
    kept = json.loads(somebody.get("/interview/my-data.json").body)
    assert [(vote["answer"], vote["comment"]) for vote in kept["votes"]] == [("no_upgrade", "second thought")]


@pytest.mark.slow
def test_a_card_that_is_hidden_meanwhile_is_said_to_be_away(live):
    study = live.study()
    first = live.visitor()
    first.join(live.link(study.id))
    first.finish()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/vote")
    shown = somebody.answer.page().cards
    for row in live.service.moderation.cards(study.id):
        if row.card.title in shown and not row.hidden:
            live.service.moderation.hide_card(study.id, row.id, reason="a test", by="test")
    somebody.go("/interview")
    assert "has been taken back" in somebody.text and "—" in somebody.answer.page().cards
    somebody.finish()
    assert live.service.studies.counts(study.id).by_phase == {"done": 2}


def test_what_was_typed_stands_there_again_where_it_does_not_fit(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id), language="de")
    somebody.talk("/interview/answer")
    long = "wort " * 1_000
    assert somebody.fill("/interview/answer", text=long).status == 409
    assert "Höchstens 4.000 Zeichen" in somebody.text and long.strip() in somebody.page
    somebody.fill("/interview/answer", text="   ")
    assert somebody.status == 409 and "hat nicht geklappt" in somebody.text


def test_where_nothing_can_be_written_the_words_come_back(live, monkeypatch):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/answer")
    form = somebody.answer.page().form("/interview/answer")

    def full(*of_study):
        raise StorageError("The database cannot be written: database or disk is full.")

    with monkeypatch.context() as broken:
        broken.setattr(live.service.database, "write", full)
        fields = urlencode([*form.hidden.items(), ("text", "A long and careful <answer>.")]).encode()
        answer, _ = somebody._once("POST", "/interview/answer", fields)
        said = answer.body.decode()
        assert answer.status == 503 and "could not be kept" in said
        assert "A long and careful &lt;answer&gt;." in said and "disk" not in said
    # the same form, sent again, is all that is needed
    assert (
        somebody.post("/interview/answer", [*form.hidden.items(), ("text", "A long and careful answer.")]).status == 303
    )
    assert somebody.go("/interview").text.count("A long and careful answer.") == 1


def test_whoever_sent_too_much_at_once_finds_what_they_wrote(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/answer")
    form = somebody.answer.page().form("/interview/answer")
    fields = urlencode([*form.hidden.items(), ("text", "A long and careful <answer>.")]).encode()
    usual, live.app.state.buckets = live.app.state.buckets, Buckets(1e-6)
    answer, wait = somebody._once("POST", "/interview/answer", fields)
    assert answer.status == 429 and wait > 0 and "A long and careful &lt;answer&gt;." in answer.body.decode()
    stranger, _ = live.visitor()._once("POST", "/interview/answer", fields)
    assert stranger.status == 429 and "careful" not in stranger.body.decode()
    live.app.state.buckets = usual
    assert somebody._once("POST", "/interview/answer", fields)[0].status == 303


def test_whoever_was_away_too_long_finds_what_they_wrote(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/answer")
    form = somebody.answer.page().form("/interview/answer")
    written = [*form.hidden.items(), ("text", "A long and careful <answer>.")]
    stale = [(name, "0" * 64 if name == "form_token" else value) for name, value in written]
    for cookies, fields in ((somebody.cookies, stale), ({}, written)):
        browser = live.visitor()
        browser.cookies = dict(cookies)
        answer = browser.post("/interview/answer", fields)
        assert answer.status == 403 and "A long and careful &lt;answer&gt;." in answer.body.decode()
    unfit = [(name, "short" if name == "key" else value) for name, value in written]
    answer = somebody.post("/interview/answer", unfit)
    assert answer.status == 422 and "A long and careful &lt;answer&gt;." in answer.body.decode()
    organiser = live.visitor().post(f"/organise/studies/{study.id}/hypotheses", [("story", "It was a summer.")])
    assert organiser.status == 401 and "It was a summer." in organiser.body.decode()


def test_a_card_with_a_link_cannot_be_confirmed(live):
    study = live.study()
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/confirm")
    somebody.fill(
        "/interview/card", title="See here", description="x", policies="MOMENTS at https://evil.example", then="confirm"
    )
    assert somebody.status == 409 and "take out links" in somebody.text
    assert "/interview/confirm" not in somebody.actions
    somebody.fill("/interview/card", title="See here now", description="x", policies="MOMENTS here", then="confirm")
    assert somebody.status == 200 and "/interview/card" not in somebody.actions


def test_a_study_that_is_closed_and_a_link_that_is_used_up(live):
    study = live.study()
    once = live.link(study.id, max_uses=1)
    live.visitor().join(once)
    second = live.visitor()
    assert second.go(once).status == 404 and "used up" in second.text
    many = live.link(study.id)
    live.service.studies.change(study.id, by="test", status="closed")
    assert "not open at the moment" in second.go(many).text and second.actions == []
    assert second.go(f"{live.url}/join/{'x' * 43}").status == 404


@pytest.mark.slow
def test_demographics_are_counted_and_never_shown_for_few(live):
    from pluralism.elicitation.web.study import DemographicQuestion

    question = DemographicQuestion.model_validate(
        {
            "id": "home",
            "text": {"en": "Where do you live?", "de": "Wo leben Sie?"},
            "options": [{"id": name, "text": {"en": name, "de": name}} for name in ("town", "country")],
        }
    )
    study = live.study(demographics=(question,))
    somebody = live.visitor()
    somebody.join(live.link(study.id))
    somebody.talk("/interview/survey")
    assert "Where do you live?" in somebody.text
    scales = somebody.answer.page().form("/interview/survey").choices
    somebody.fill("/interview/survey", **dict.fromkeys(scales, "5"), **{"about.home": "town"})
    assert "/interview/survey" not in somebody.actions
    viewer = live.visitor().enter(live.link(study.id, "viewer"))
    viewer.go(f"/organise/studies/{study.id}/answers")
    assert "fewer than 5" in viewer.text and "5.00" not in viewer.text


def test_bots_lose_nothing(live):
    study = live.study()
    report = play_study(live.link(study.id), 3, at_once=3)
    assert report.ok and report.problems == {}
    counts = live.service.studies.counts(study.id)
    assert (counts.joined, counts.by_phase) == (3, {"done": 3})
    assert counts.votes == 12


@pytest.mark.slow
def test_many_bots_at_once_lose_nothing(live):
    study = live.study()
    bots = 200 if live.service.database.is_sqlite else 80
    report = play_study(live.link(study.id), bots, pause=1.0)
    assert report.finished == bots and report.problems == {}
    assert report.lost_turns == report.doubled_turns == 0
    assert live.service.studies.counts(study.id).votes == 4 * bots
