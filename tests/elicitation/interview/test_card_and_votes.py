"""The later half of an interview: the card, duplicates, votes and the survey are the participant's own."""

from __future__ import annotations

import pytest
from interviews import ANSWERS, SURVEY, begin, changed, play, pool_with, twin

from pluralism.elicitation.interview import Pair, ScriptedInterviewer, StaticPool, contribute
from pluralism.elicitation.interview.events import Source
from pluralism.elicitation.interview.interviewers import Duplicates
from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import InterviewError, UsageError


def test_the_card_can_be_wanted_early():
    interview = begin()
    play(interview, until="answer")
    with pytest.raises(InterviewError, match="no answer yet"):
        interview.request_card()
    interview.answer("A story.")
    interview.advance()
    interview.request_card()
    state = interview.advance()
    assert state.phase == "card_draft" and len(state.turns) == 1 and state.draft.policies == ()
    with pytest.raises(InterviewError, match="cannot be shown to others yet"):
        interview.confirm_card(version=1)


def test_the_participant_edits_the_card_until_it_is_theirs():
    interview = begin()
    play(interview, until="card")
    state = interview.edit_card("A better\n name", "", ["MOMENTS of calm", " ", "MOMENTS of calm"], version=1)
    assert state.draft.title == "A better name" and state.draft.policies == ("MOMENTS of calm",)
    assert state.draft.description == "" and state.draft.context == state.context_text
    with pytest.raises(InterviewError, match="Version 2 is not the next one"):
        interview.edit_card("Another", "", ["MOMENTS of calm"], version=1)
    with pytest.raises(InterviewError, match="not shown now"):
        interview.confirm_card(version=1)
    for wrong in (
        ("", "x", ["MOMENTS of calm"]),
        ("x" * 81, "x", ["MOMENTS of calm"]),
        ("Name", "x" * 601, ["MOMENTS of calm"]),
        ("Name", "x", []),
        ("Name", "x", ["", " "]),
        ("Name", "x", ["M" * 241]),
        ("Name", "x", [f"MOMENTS {k}" for k in range(10)]),
        ("Name", "x", "MOMENTS"),
        ("Name", "x", [3]),
    ):
        with pytest.raises(InterviewError):
            interview.edit_card(*wrong, version=2)
    with pytest.raises(InterviewError, match="Nobody is there to rewrite"):
        interview.ask_revision("Warmer, please", version=2)
    interview.edit_card("See https://evil.example", "", ["MOMENTS of calm"], version=2)
    with pytest.raises(InterviewError, match="cannot be shown to others yet"):
        interview.confirm_card(version=3)
    interview.edit_card("Calm", "", ["MOMENTS of calm"], version=3)
    assert interview.confirm_card(version=4).card.title == "Calm"
    with pytest.raises(InterviewError, match="no card to edit now"):
        interview.edit_card("Other", "", ["MOMENTS of calm"], version=4)


def test_a_card_cannot_be_changed_for_ever():
    interview = begin(protocol=changed(card_versions=3))
    play(interview, until="card")
    for version in (1, 2):
        interview.edit_card("Calm", "", ["MOMENTS of calm"], version=version)
    with pytest.raises(InterviewError, match="changed too often"):
        interview.edit_card("Calm", "", ["MOMENTS of calm"], version=3)
    assert interview.confirm_card(version=3).confirmed == 3


def test_duplicates_are_shown_and_only_the_participant_says_so():
    interview = begin(pool=pool_with(twin(), ValuesCard("Loud joy", "", ["SONGS that everybody knows"])))
    play(interview, until="duplicate")
    (proposal,) = interview.state.proposals
    assert proposal.card.title == "Waiting with the storm" and proposal.similarity > 0.5
    assert interview.state.card.title == ANSWERS["name"]
    for card_id, verdict in (("nothing", "same"), (proposal.card_id, "merge")):
        with pytest.raises(InterviewError):
            interview.judge_duplicate(card_id, verdict)
    interview.judge_duplicate(proposal.card_id, "same")
    assert interview.state.phase == "dedup_confirmed" and interview.state.card.title == ANSWERS["name"]
    play(interview)
    graph = contribute(MoralGraph({}), interview.state)
    assert graph.value_of(interview.state.card.card().id) == proposal.card_id
    assert len(graph.undo_card_merge(0).values) == len(graph.values) + 1


def test_an_interviewer_of_your_own_can_name_no_other_cards():
    class Inventive(ScriptedInterviewer):
        def same(self, card, candidates, conversation):
            return Duplicates(("made up", *(one.id for one in candidates), card.id), Source(by="me"))

    interview = begin(pool=pool_with(twin()), interviewer=Inventive())
    play(interview, until="duplicate")
    assert [proposal.card_id for proposal in interview.state.proposals] == [twin().id]


def test_a_pool_of_your_own_can_draw_no_other_cards():
    class Inventive(StaticPool):
        def draw(self, card, context, n, seed):
            return [Pair("made up", card.id, context, "because")]

    with pytest.raises(UsageError, match="cards that it does not have"):
        play(begin(pool=Inventive({})))


def test_votes_are_the_participants_own_and_can_be_changed_until_the_end():
    interview = begin()
    play(interview, until="vote")
    ballot = interview.state.ballot
    for item, answer in ((4, "upgrade"), (-1, "upgrade"), (0, "yes"), ("0; DROP", "upgrade"), (0, None)):
        with pytest.raises(InterviewError):
            interview.vote(item, answer)
    with pytest.raises(InterviewError, match="comment is too long"):
        interview.vote(0, "upgrade", comment="x" * 5000)
    interview.vote(2, "not_sure", comment=" hm\x00 ")
    assert interview.state.next_item == 0 and interview.state.phase == "voting"
    for item in (0, 1, 3):
        interview.vote(item, "upgrade")
    assert interview.state.phase == "exit_survey"
    interview.vote(0, "no_upgrade")
    rows = interview.state.vote_rows()
    assert [row["answer"] for row in rows] == ["no_upgrade", "upgrade", "not_sure", "upgrade"]
    assert rows[2]["comment"] == "hm" and rows[0]["participant"] == "ann"
    assert [(row["source"], row["wiser"]) for row in rows] == [(item.source_id, item.wiser_id) for item in ballot]
    assert [event.body.answer for event in interview.events if event.kind == "voted" and event.body.item == 0] == [
        "upgrade",
        "no_upgrade",
    ]
    interview.answer_survey(SURVEY)
    with pytest.raises(InterviewError, match="nothing to vote on now"):
        interview.vote(0, "upgrade")


def test_the_ballot_has_a_control_the_other_way_round():
    interview = begin()
    play(interview, until="vote")
    ballot = interview.state.ballot
    assert [item.reason for item in ballot].count("reversed control") == 1
    first, control = ballot[0], ballot[-1]
    assert (control.source_id, control.wiser_id) == (first.wiser_id, first.source_id)
    assert control.story != first.story and first.source.title in first.story
    pairs = {frozenset((item.source_id, item.wiser_id)) for item in ballot[:-1]}
    assert len(pairs) == 3


def test_the_survey_is_checked():
    interview = begin()
    play(interview, until="survey")
    for answers in (
        {},
        {"represented": 6, "clarified": 1, "respect": 1},
        {"represented": "5", "clarified": 1, "respect": 1},
        {"represented": True, "clarified": 1, "respect": 1},
        {"represented": 5, "clarified": 1, "respect": 1, "remarks": 3},
        {"represented": 5, "clarified": 1, "respect": 1, "name": "Ann"},
        {"represented": 5, "clarified": 1, "respect": 1, "remarks": "x" * 5000},
    ):
        with pytest.raises(InterviewError):
            interview.answer_survey(answers)
    assert interview.answer_survey({"represented": 5, "clarified": 1, "respect": 1, "remarks": " "}).phase == "done"


@pytest.mark.parametrize("cards", [(), (twin(),)])
def test_a_participant_who_is_among_the_first_has_little_to_vote_on(cards):
    interview = begin(pool=pool_with(*cards), protocol=changed(proposals=0))
    state = play(interview)
    assert state.phase == "done" and len(state.ballot) == len(cards) and state.proposals == ()


def test_a_protocol_without_survey_votes_or_consent():
    bare = changed(votes=0).model_copy(update={"survey": (), "consent": ()})
    interview = begin(protocol=bare)
    interview.consent(())
    assert play(interview).phase == "done" and interview.state.ballot == ()
