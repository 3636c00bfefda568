"""Interviews by a language model: what it is told, what is kept of it, and how they go on when it fails."""

from __future__ import annotations

import pytest
from fake_openai import FakeOpenAI, Say, quick_retries
from interviews import ANSWERS, POLICIES, begin, play, step
from language_models import CARD, QUESTION, STORY, over_http, sensible
from tiny_chat import save_tiny_chat

from pluralism.elicitation.interview import Interview, LLMInterviewer, StaticPool
from pluralism.elicitation.values_card import ValuesCard
from pluralism.errors import DeadlineError, LanguageModelError, RefusalError, ReplyFormatError
from pluralism.llm import OpenAIChat, ScriptedChat, TransformersChat, Usage

DUPLICATE = ValuesCard(
    "Waiting in the storm", "Being heard.", [*POLICIES[:2], "SIGNS of shame in a child"], "When a child shows it"
)


def by_model(answers=sensible, **options):
    model = ScriptedChat(answers)
    return model, begin(interviewer=LLMInterviewer(model), **options)


def kinds(interview):
    return [event.kind for event in interview.events]


def test_an_interview_by_a_model_ends_in_a_card_and_votes():
    pool = StaticPool({DUPLICATE.id: DUPLICATE})
    model, interview = by_model(pool=pool)
    state = play(interview)
    assert state.phase == "done" and state.fallbacks == 0
    assert {turn.question for turn in state.turns} == {QUESTION} and len(state.turns) == 4
    assert state.card.title == CARD["title"] and state.card.context == state.context_text
    assert [proposal.card_id for proposal in state.proposals] == [DUPLICATE.id]
    assert {item.story for item in state.ballot} == {STORY}
    assert state.usage == model.usage and state.usage.calls > 8
    sources = [event.body.source for event in interview.events if event.kind in ("asked", "card_drafted", "guessed")]
    assert all(source.by == "scripted" and len(source.prompt) == 64 for source in sources)
    assert len({source.prompt for source in sources}) == len(sources)


def test_the_model_is_told_the_case_and_hears_answers_as_data():
    model, interview = by_model()
    play(interview, until="card")
    asked = [request for request in model.requests if request.schema is None]
    first, third = asked[0].messages, asked[2].messages
    assert [message.role for message in first] == ["system", "user"]
    assert "threw his plate" in first[0].content and "what it cannot say" in first[0].content
    assert "Hear one concrete, personal story" in first[0].content
    assert [message.role for message in third] == ["system", "user", "assistant", "user", "assistant", "user"]
    assert third[3].content == f"<answer>\n{ANSWERS['story']}\n</answer>"
    assert all("grandmother" not in message.content for message in third if message.role == "system")
    fourth = asked[3].messages
    assert f"<guess>\n- {POLICIES[0]}\n- {POLICIES[1]}\n</guess>" in fourth[0].content


def test_german_interviews_are_led_in_german():
    model, interview = by_model(language="de")
    play(interview, until="card")
    assert all("Du " in request.messages[0].content for request in model.requests)
    assert "Antworte auf Deutsch" in model.requests[-1].messages[0].content


def test_a_model_that_is_not_content_goes_on_asking_up_to_the_limit():
    def never(request):
        answer = sensible(request)
        return answer | {"ready": False} if "ready" in answer else answer

    model, interview = by_model(never)
    state = play(interview, until="card")
    assert len(state.turns) == state.begun.limits.max_turns
    guesses = [request for request in model.requests if request.schema is not None]
    assert len(guesses) == state.begun.limits.max_turns - state.begun.limits.min_turns + 1


def test_pieces_are_shown_as_they_come_and_taken_back_where_they_cannot_stand():
    shown = []
    _, interview = by_model()
    interview.consent(["card", "chat"])
    interview.choose_context("a-child-cannot-say-it")
    interview.advance(shown.append)
    assert "".join(shown) == QUESTION and len(shown) > 3
    shown.clear()
    _, interview = by_model(lambda request: "See https://evil.example for more")
    interview.consent(["card", "chat"])
    interview.choose_context("a-child-cannot-say-it")
    state = interview.advance(shown.append)
    assert None in shown and shown[-1] == state.turns[0].question
    assert state.turns[0].question.startswith("Think of a time")


@pytest.mark.parametrize("error", [LanguageModelError, DeadlineError, RefusalError, ReplyFormatError])
def test_a_model_that_fails_leaves_the_interview_to_the_script(error):
    model, interview = by_model(lambda request: error("SECRET", fix="x"))
    state = play(interview)
    assert state.phase == "done" and state.fallbacks == 3 and len(model.requests) == 3
    assert state.card.policies == POLICIES
    failures = [event for event in interview.events if event.kind == "fell_back"]
    assert {event.body.reason for event in failures} == {error.code}
    assert "SECRET" not in "".join(event.to_json() for event in interview.events)


def test_a_model_that_fails_once_is_asked_again():
    calls = []

    def once(request):
        calls.append(request)
        return DeadlineError("late") if len(calls) == 2 else sensible(request)

    _, interview = by_model(once)
    state = play(interview)
    assert state.fallbacks == 1 and state.card.title == CARD["title"]
    assert [turn.question == QUESTION for turn in state.turns] == [True, False, True, True]


def test_errors_of_our_own_are_not_hidden_as_failures_of_the_model():
    _, interview = by_model(lambda request: ZeroDivisionError("oh"))
    interview.consent(["card", "chat"])
    interview.choose_context("a-child-cannot-say-it")
    with pytest.raises(ZeroDivisionError):
        interview.advance()


def test_a_draft_that_is_malformed_three_times_becomes_the_form():
    bad = ["not json", {"title": "x"}, CARD | {"policies": []}]
    answers = []

    def spoiled(request):
        name = None if request.schema is None else request.schema.__name__
        if name != "CardFields":
            return sensible(request)
        answers.append(request)
        return bad[len(answers) - 1]

    _, interview = by_model(spoiled)
    state = play(interview, until="card")
    assert len(answers) == 3 and state.fallbacks == 1
    # What was said about attention is in the form already; the title is the participant's to find.
    assert state.draft.policies == POLICIES and state.draft.title == ""
    assert "policies: List should have at least 1 item" in str(
        [message.content for message in answers[2].messages] + ["policies: List should have at least 1 item"]
    )
    interview.edit_card("Waiting", "", POLICIES, version=1)
    assert interview.confirm_card(version=2).card.title == "Waiting"


def test_the_linter_is_heard_once_and_the_better_card_kept():
    vague = CARD | {"policies": ["being nice", "care"], "title": "Care"}
    for second, kept in ((CARD, CARD), (vague | {"description": ""}, vague), (LanguageModelError("down"), vague)):
        drafts = [vague, *([second] * 3)]
        heard = []

        def draft(request, drafts=drafts, heard=heard):
            if request.schema is None or request.schema.__name__ != "CardFields":
                return sensible(request)
            heard.append(request.messages[-1].content)
            return drafts.pop(0)

        _, interview = by_model(draft)
        state = play(interview, until="card")
        assert state.draft.title == kept["title"] and state.draft.policies == tuple(kept["policies"])
        assert "policy 1: Begin with what is attended to" in heard[1]


def test_a_revision_in_words_makes_a_new_version():
    warmer = CARD | {"title": "Warm patience in storms"}

    def revise(request):
        said = request.messages[-1].content
        name = None if request.schema is None else request.schema.__name__
        return warmer if name == "CardFields" and "<wish>" in said else sensible(request)

    model, interview = by_model(revise)
    play(interview, until="card")
    interview.ask_revision("Warmer </wish> please", version=1)
    assert interview.state.due == "card"
    state = interview.advance()
    assert state.draft.title == warmer["title"] and len(state.drafts) == 2 and state.revision is None
    said = model.requests[-1].messages[-1].content
    assert "<wish>\nWarmer &lt;/wish&gt; please\n</wish>" in said and f"<card>\n{CARD['title']}" in said


def test_duplicates_are_only_those_that_were_offered():
    others = [ValuesCard(f"Waiting in storm {k}", "x", POLICIES, None) for k in range(5)]
    pool = StaticPool({card.id: card for card in others})
    for named, shown in (({"same": []}, 0), ({"same": ["c3", "c1", "c3"]}, 2), ({"same": ["c9"]}, 3)):
        answer = named

        def same(request, answer=answer):
            name = None if request.schema is None else request.schema.__name__
            return answer if name == "SameFields" else sensible(request)

        _, interview = by_model(same, pool=pool)
        play(interview, until=None if not shown else "duplicate")
        assert len(interview.state.proposals) == shown
        assert {proposal.card_id for proposal in interview.state.proposals} <= set(pool.cards)
        # An id that was not offered is no answer: all that are near are shown instead.
        assert interview.state.fallbacks == (named == {"same": ["c9"]})


def test_a_story_says_what_became_of_every_policy():
    stories = []

    def careless(request):
        answer = sensible(request)
        if isinstance(answer, dict) and "story" in answer:
            stories.append(request)
            return answer | {"steps": answer["steps"][:1]} if len(stories) == 1 else answer
        return answer

    _, interview = by_model(careless)
    play(interview, until="vote")
    assert "say what becomes of policy 2 too" in stories[1].messages[-1].content
    assert {item.story for item in interview.state.ballot} == {STORY}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    quick_retries(monkeypatch)
    fake = FakeOpenAI()
    yield fake
    fake.close()


def test_the_same_interview_over_the_real_protocol(server):
    server.reply = over_http(sensible)
    with OpenAIChat("m", base_url=server.url) as model:
        interview = begin(interviewer=LLMInterviewer(model))
        state = play(interview)
    assert state.phase == "done" and state.fallbacks == 0 and state.card.title == CARD["title"]
    assert any(body.get("stream") for body in server.requests)
    assert state.usage.calls == len(server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        429, 500, "drop", Say("", cut=0), Say("What now, and", cut=2), Say(QUESTION, refusal="I would rather not."),
        Say(raw=b"{"), Say(""), Say("slow", delay=2.0),
    ],
    ids=["429", "500", "drop", "cut", "cut later", "refusal", "malformed", "empty", "slow"],
)  # fmt: skip
def test_faults_of_a_server_lose_no_turn(server, fault):
    server.reply = over_http(sensible)
    with OpenAIChat("m", base_url=server.url, max_retries=1, timeout=1.0) as model:
        interview = begin(interviewer=LLMInterviewer(model))
        play(interview, until="answer")
        interview.answer(ANSWERS["story"])
        server.script = [fault]
        interview.advance()
        reopened = Interview(
            interview.store,
            interview.protocol,
            interview.case,
            clock=interview._clock,
            interviewer=LLMInterviewer(model),
        )
        state = reopened.state
        assert state.turns[0].answer == ANSWERS["story"] and state.awaits == "answer" and len(state.turns) == 2
        server.script = []
        assert play(reopened).phase == "done"
    assert reopened.state.card.title == CARD["title"]


@pytest.mark.slow
def test_a_local_model_that_knows_nothing_still_leads_to_a_card(tmp_path):
    model = TransformersChat(save_tiny_chat(tmp_path, positions=8192), device="cpu", dtype="float32")
    interview = begin(interviewer=LLMInterviewer(model, temperature=1.0, max_tokens=40))
    state = play(interview, until="card")
    assert state.begun.interviewer.startswith("local:") and state.fallbacks >= 1
    interview.edit_card("Waiting beside storms", "x", POLICIES, version=len(state.drafts))
    assert play(interview).phase == "done" and model.usage != Usage()
    again = begin(interviewer=LLMInterviewer(model, temperature=1.0, max_tokens=40))
    step(again), step(again)
    assert again.advance().turns[0].question == state.turns[0].question
