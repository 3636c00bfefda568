"""The moral graph of a study: what counts, from when on, and who can be recognised in it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from web_studies import age, join, play, take_part

from pluralism.elicitation.interview import contribute
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.errors import InterviewError, NotFoundError, UsageError


def edges(graph):
    """Counts by the titles of the cards and the context: ids differ, as those of the database are random."""
    found = Counter()
    for row in graph.counted().to_frame().to_pylist():
        pair = (graph.values[row["source"]].title, graph.values[row["wiser"]].title, row["context"])
        found[pair] += np.array([row["upgrade"], row["no_upgrade"], row["not_sure"]])
    return {pair: counts.tolist() for pair, counts in found.items()}


def test_the_graph_is_what_the_interviews_contribute(service, study) -> None:
    people = [take_part(service, study, answer=answer) for answer in ("upgrade", "no_upgrade", "not_sure")]
    graph = service.graphs.get(study.id).graph
    by_hand = MoralGraph.of_cards(())
    for name in people:
        by_hand = contribute(by_hand, service.people.interview(name).state)
    assert edges(graph) == edges(by_hand)
    assert sorted(graph.participants.to_pylist()) == sorted(people)
    assert graph.cases == {study.case.name: graph.cases[study.case.name]}
    assert len(graph.contexts) == len(study.case.contexts)


def test_stories_that_were_shown_are_found_from_the_votes(service, study) -> None:
    name = take_part(service, study)
    graph = service.graphs.get(study.id).graph
    told = {hypothesis.id: hypothesis.story for hypothesis in graph.hypotheses}
    shown = {item.story for item in service.people.interview(name).state.ballot}
    assert {told[vote] for vote in graph.votes.table["story"].to_pylist()} == shown


def test_languages_are_one_graph(service, study) -> None:
    graph = service.graphs.get(study.id).graph
    assert len(graph.cards) == 2 * len(graph.values) == 2 * len(study.case.cards)
    assert len(graph.all_contexts) == 2 * len(graph.contexts)


def test_interviews_that_are_not_done_count_only_where_the_study_says_so(service, study) -> None:
    participant = join(service, study)
    play(service, participant.id, until="survey")
    assert len(service.graphs.get(study.id, fresh=True).graph.votes) == 0
    service.studies.change(study.id, by="organiser", count_partial=True)
    assert len(service.graphs.get(study.id, fresh=True).graph.votes) == 4
    service.studies.change(study.id, by="organiser", count_partial=False)
    play(service, participant.id)
    assert len(service.graphs.get(study.id, fresh=True).graph.votes) == 4


def test_a_stored_graph_is_shown_for_a_while_and_then_built_again(service, study, clock) -> None:
    take_part(service, study)
    first = service.graphs.get(study.id)
    assert not first.stale and service.graphs.get(study.id).made_at == first.made_at
    take_part(service, study)
    clock.now = first.made_at
    shown = service.graphs.get(study.id)
    assert shown.stale and shown.version == first.version and "stale" in repr(shown)
    assert not service.graphs.get(study.id, fresh=True).stale
    take_part(service, study)
    clock.wait(minutes=5)
    assert len(service.graphs.get(study.id).graph.participants) == 3


def test_another_worker_reads_the_graph_that_is_stored(service, study, monkeypatch) -> None:
    from pluralism.elicitation.web import graphs

    take_part(service, study)
    built = service.graphs.get(study.id)
    monkeypatch.setattr(graphs, "build_graph", lambda *_: pytest.fail("it is stored"))
    other = graphs.Graphs(service.database, service._clock)
    read = other.get(study.id)
    assert read.graph.to_dict() == built.graph.to_dict()
    assert (read.version, read.made_at, read.stale) == (built.version, built.made_at, False)


def test_hidden_cards_and_excluded_people_do_not_count_until_that_is_undone(service, study) -> None:
    ann, bob = (take_part(service, study, say=f"The {word} keeper") for word in ("lighthouse", "garden"))
    whole = service.graphs.get(study.id)
    assert whole.withheld_votes == whole.withheld_cards == 0
    card = next(row for row in service.moderation.cards(study.id) if row.participant_id == ann)
    assert card.n_votes > 0 and card.value_id == card.id and not card.hidden
    service.moderation.hide_card(study.id, card.id, reason="It names somebody.", by="anna")
    hidden = service.graphs.get(study.id)
    assert card.id not in hidden.graph.cards and hidden.withheld_cards == 1
    assert len(hidden.graph.votes) + hidden.withheld_votes == len(whole.graph.votes)
    assert all(row.id != card.id for row in service.moderation.cards(study.id) if not row.hidden)
    third = service.people.interview(take_part(service, study)).state
    assert all("lighthouse" not in f"{item.source}{item.wiser}" for item in third.ballot)
    service.moderation.restore_card(study.id, card.id, reason="It does not.", by="anna")
    service.moderation.exclude(bob, reason="A machine.", by="anna")
    assert service.people.get(bob).excluded and not service.people.may_see_graph(bob)
    assert bob not in service.graphs.get(study.id).graph.participants.to_pylist()
    service.moderation.readmit(bob, reason="No machine.", by="anna")
    again = service.graphs.get(study.id).graph.of_participants([ann, bob])
    assert edges(again) == edges(whole.graph)


def test_somebody_whose_card_is_hidden_meanwhile_goes_on(service, study) -> None:
    participant = join(service, study)
    interview = play(service, participant.id, until="card")
    interview.confirm_card(version=1)
    card = next(row for row in service.moderation.cards(study.id) if row.participant_id == participant.id)
    service.moderation.hide_card(study.id, card.id, reason="It names somebody.", by="anna")
    assert play(service, participant.id).state.phase == "done"
    stored = service.graphs.get(study.id)
    assert stored.withheld_votes + len(stored.graph.votes) == 4 and card.id not in stored.graph.cards


def test_moderation_needs_a_reason_and_something_to_moderate(service, study) -> None:
    name = take_part(service, study)
    card = service.moderation.cards(study.id)[0].id
    with pytest.raises(InterviewError):
        service.moderation.hide_card(study.id, card, reason=" ", by="anna")
    with pytest.raises(NotFoundError):
        service.moderation.hide_card(study.id, "0" * 32, reason="Why not.", by="anna")
    with pytest.raises(NotFoundError):
        service.moderation.exclude("0" * 32, reason="Why not.", by="anna")
    service.people.delete(name, by=name)
    with pytest.raises(NotFoundError):
        service.moderation.exclude(name, reason="Why not.", by="anna")


def test_merges_of_organisers_hold_until_they_are_undone(service, study) -> None:
    cards = [row.id for row in service.moderation.cards(study.id)]
    before = service.graphs.get(study.id).graph
    merge = service.merges.make(study.id, cards[1], cards[0], by="anna")
    assert service.merges.of_study(study.id)[merge.number] == merge
    assert service.graphs.get(study.id, fresh=True).graph.value_of(cards[1]) == cards[0]
    undone = service.merges.undo(study.id, merge.number, by="anna")
    assert not undone.active and undone.undone_by == "anna"
    assert service.graphs.get(study.id, fresh=True).graph.values == before.values
    first, second = (context.text["en"] for context in study.case.contexts[:2])
    service.merges.make(study.id, first, second, by="anna", kind="context")
    assert first not in service.graphs.get(study.id, fresh=True).graph.contexts
    with pytest.raises(UsageError):
        service.merges.undo(study.id, merge.number, by="anna")
    with pytest.raises(NotFoundError):
        service.merges.undo(study.id, 99, by="anna")
    with pytest.raises(UsageError):
        service.merges.make(study.id, cards[0], cards[0], by="anna")
    for kind in ("card", "context"):
        with pytest.raises(NotFoundError):
            service.merges.make(study.id, cards[0] if kind == "card" else first, "no such", by="anna", kind=kind)


def test_cards_that_say_the_same_are_proposed(service, study) -> None:
    ann, bob = (take_part(service, study, say="The lighthouse keeper waits") for _ in range(2))
    own = {row.id for row in service.moderation.cards(study.id) if row.participant_id in (ann, bob)}
    found = service.merges.proposals(study.id)
    assert {found[0].card, found[0].other} == own


def test_people_are_asked_about_the_hypotheses_of_organisers_first(service, study) -> None:
    context = next(one for one in study.case.contexts if one.id == "a-child-cannot-say-it").text["en"]
    cards = [row.id for row in service.moderation.cards(study.id)][:2]
    added = service.hypotheses.add(study.id, *cards, context, story="First I did one, then the other.", by="anna")
    state = service.people.interview(take_part(service, study)).state
    asked = [(item.source_id, item.wiser_id, item.story) for item in state.ballot]
    assert (*cards, "First I did one, then the other.") in asked
    row = next(row for row in service.hypotheses.of_study(study.id) if row.id == added.id)
    assert (row.origin, row.active, row.upgrade, row.no_upgrade) == ("organiser", True, 1, 0)
    assert service.hypotheses.of_study(study.id)[0].id == added.id
    service.hypotheses.retire(study.id, added.id, by="anna")
    again = service.people.interview(take_part(service, study)).state
    assert all(item.story != "First I did one, then the other." for item in again.ballot)
    service.hypotheses.revive(study.id, added.id, by="anna")
    assert service.hypotheses.of_study(study.id)[0].active


def test_hypotheses_that_cannot_be_are_refused(service, study) -> None:
    context = study.case.contexts[0].text["en"]
    cards = [row.id for row in service.moderation.cards(study.id)][:2]
    for error, pair, when, story in (
        (UsageError, [cards[0]] * 2, context, "A story."),
        (NotFoundError, [cards[0], "none"], context, "A story."),
        (NotFoundError, cards, "When pigs fly", "A story."),
        (InterviewError, cards, context, " "),
    ):
        with pytest.raises(error):
            service.hypotheses.add(study.id, *pair, when, story=story, by="anna")
    with pytest.raises(NotFoundError):
        service.hypotheses.retire(study.id, "0" * 32, by="anna")


@pytest.mark.slow
def test_groups_of_fewer_than_five_are_not_shown(service, study) -> None:
    service.studies.change(study.id, by="organiser", demographics=(age(),))
    for number in range(7):
        participant = join(service, study)
        play(service, participant.id, until="context")
        service.demographics.answer(participant.id, {"age": "young" if number < 5 else "old"})
        play(service, participant.id, answer="upgrade" if number % 2 else "no_upgrade")
    graph = service.graphs.get(study.id, group_by="age").graph
    assert sorted(graph.groups.values()) == ["young"] * 5
    assert service.graphs.get(study.id).graph.groups == {}
    with pytest.raises(UsageError, match="too small"):
        service.graphs.get(study.id, group_by="age", k=2)
    with pytest.raises(UsageError, match="does not ask"):
        service.graphs.get(study.id, group_by="income")
    with pytest.raises(UsageError, match="Nobody"):
        service.graphs.difference(study.id, group_by="age", groups=("young", "old"))
    table = service.demographics.table(study.id)
    assert dict(zip(table["option"].to_pylist(), table["count"].to_pylist(), strict=True)) == {
        "young": None,
        "old": None,
        None: 0,
    }


@pytest.mark.slow
def test_two_moments_are_compared(service, study, clock) -> None:
    for _ in range(2):
        take_part(service, study, answer="upgrade")
    moment = clock()
    for _ in range(4):
        take_part(service, study, answer="no_upgrade")
    difference = service.graphs.difference(study.id, before=moment, n_bootstrap=20)
    changed = [edge for edge in difference.edges if edge.likelihood_after < edge.likelihood_before]
    assert changed and difference.values_added == difference.values_removed == ()
    with pytest.raises(UsageError, match="two moments or of two groups"):
        service.graphs.difference(study.id)
