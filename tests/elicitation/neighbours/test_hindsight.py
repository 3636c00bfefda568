"""A judge that sees outcomes is not taken in by promises: closed forms, a planted world, a language model as both."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from fake_openai import FakeOpenAI, Say
from language_models import over_http

from pluralism.data import Items
from pluralism.elicitation.neighbours.chat_outcomes import chat_judge, chat_world
from pluralism.elicitation.neighbours.hindsight import HindsightJudge
from pluralism.errors import DataError, UsageError
from pluralism.llm import OpenAIChat, ScriptedChat

# what a response promises, and how often it keeps it: the flattering one promises most and keeps least
RESPONSES = {"It surely has what you need!": (0.9, 0.2), "It may have it; call first.": (0.6, 0.7)}
ITEMS = Items(list("ab"), texts=list(RESPONSES), prompts=["Does the shop have it?"] * 2)


def keeps(prompt: str, response: str, n: int, rng: np.random.Generator) -> list[str]:
    return ["it was there" if rng.random() < RESPONSES[response][1] else "it was not there" for _ in range(n)]


def judged(prompt: str, response: str, outcome: str | None) -> float:
    return RESPONSES[response][0] if outcome is None else float(outcome == "it was there")


def test_foresight_prefers_the_promise_and_hindsight_what_is_kept() -> None:
    truth = [share for _, share in RESPONSES.values()]
    found = HindsightJudge(keeps, judged, n_outcomes=400).rate(ITEMS, rng=0)
    assert found.foresight.tolist() == [0.9, 0.6]
    assert found.hindsight == pytest.approx(truth, abs=4 * np.sqrt(0.25 / 400))
    assert found.standard_error == pytest.approx(found.utility.std(axis=1, ddof=1) / 20)
    told = {}
    for row in found.to_comparisons().to_arrow(as_ids=True).to_pylist():
        told[row["user"]] = row["left"] if row["outcome"] == 1 else row["right"]
    assert told == {"foresight": "a", "hindsight": "b"}
    gap = found.gap(truth, n_bootstrap=200)
    assert gap.foresight[0] == pytest.approx((0.7 - 0.1) / 2)
    assert abs(gap.hindsight[0]) < 0.06 and gap.hindsight[1] <= gap.hindsight[0] <= gap.hindsight[2]
    assert json.loads(gap.to_json())["gaps"][0]["rating"] == "foresight" and gap.to_frame().num_rows == 2


def test_a_world_that_errs_somewhat_still_tells_them_apart() -> None:
    def mistaken(prompt: str, response: str, n: int, rng: np.random.Generator) -> list[str]:
        drawn = keeps(prompt, response, n, rng)
        flipped = {"it was there": "it was not there", "it was not there": "it was there"}
        return [flipped[one] if rng.random() < 0.2 else one for one in drawn]

    right = sum(
        bool(np.diff(HindsightJudge(mistaken, judged, n_outcomes=30).rate(ITEMS, rng=seed).hindsight)[0] > 0)
        for seed in range(40)
    )
    assert right >= 38


def test_every_outcome_is_rated_and_draws_are_reproducible() -> None:
    calls = []

    def counting(prompt: str, response: str, outcome: str | None) -> float:
        calls.append((prompt, response, outcome))
        return judged(prompt, response, outcome)

    judge = HindsightJudge(keeps, counting, n_outcomes=5)
    first = judge.rate(ITEMS, rng=3)
    assert len(calls) == 2 * (1 + 5) and sum(outcome is None for _, _, outcome in calls) == 2
    assert first.outcomes == judge.rate(ITEMS, rng=3).outcomes != judge.rate(ITEMS, rng=4).outcomes
    assert HindsightJudge(keeps, judged, n_outcomes=5, workers=3).rate(ITEMS, rng=3).outcomes == first.outcomes
    for drawn, worth in zip(first.outcomes, first.utility, strict=True):
        assert [float(one == "it was there") for one in drawn] == worth.tolist()
    assert json.loads(first.to_json())["responses"][1]["outcomes"] == list(first.outcomes[1])
    assert first.to_frame()["item"].to_pylist() == ["a", "b"] and "5 outcomes" in repr(first)
    assert np.isnan(HindsightJudge(keeps, judged, n_outcomes=1).rate(ITEMS).standard_error).all()
    # without prompts all responses are comparable
    bare = Items(list("ab"), texts=list(RESPONSES))
    assert len(HindsightJudge(keeps, judged, n_outcomes=2).rate(bare).to_comparisons()) == 2


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError):
        HindsightJudge(keeps, judged, n_outcomes=0)
    with pytest.raises(DataError, match="no texts"):
        HindsightJudge(keeps, judged).rate(Items(list("ab")))
    with pytest.raises(DataError, match="drew 1 outcomes of 8"):
        HindsightJudge(lambda *_: ["one"], judged).rate(ITEMS)
    with pytest.raises(DataError, match="rates with nan"):
        HindsightJudge(keeps, lambda *_: float("nan")).rate(ITEMS)
    with pytest.raises(DataError, match="True utilities"):
        HindsightJudge(keeps, judged).rate(ITEMS).gap([1.0])
    with pytest.raises(UsageError, match="2 to 9"):
        chat_judge(ScriptedChat([]), scale=1)


def imagine(request: Any) -> Any:
    """Knows that the flattering response is wrong, once it is asked what happens."""
    said = "\n".join(message.content for message in request.messages)
    if request.schema is not None:
        return {"outcome": "They drive there in vain." if "surely" in said else "They call, and find it elsewhere."}
    if "in vain" in said:
        return {"1": 1.0}
    if "elsewhere" in said:
        return {"4": 0.5, "5": 0.5}
    return {"5": 0.8, "4": 0.2} if "surely" in said else {"3": 1.0}


def test_a_language_model_as_world_and_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ScriptedChat(imagine)
    found = HindsightJudge(chat_world(model), chat_judge(model), n_outcomes=2).rate(ITEMS)
    assert found.foresight == pytest.approx([4.8, 3.0]) and found.hindsight == pytest.approx([1.0, 4.5])
    # who rates with foresight sees no outcome
    for request in model.requests:
        asked, said = request.messages[0].content, request.messages[1].content
        assert ("<outcome>" in said) == ("know what came of it" in asked)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    server = FakeOpenAI()
    writes = over_http(imagine)

    def reply(body: Any) -> Any:
        if "response_format" in body:
            return writes(body)
        said = "\n".join(message["content"] for message in body["messages"])
        return Say("1" if "in vain" in said else "4", first={"1": 1.0} if "in vain" in said else {"4": 1.0})

    server.reply = reply
    try:
        with OpenAIChat("m", base_url=server.url) as hosted:
            found = HindsightJudge(chat_world(hosted), chat_judge(hosted), n_outcomes=2).rate(ITEMS)
    finally:
        server.close()
    assert found.foresight == pytest.approx([4, 4]) and found.hindsight == pytest.approx([1, 4])
