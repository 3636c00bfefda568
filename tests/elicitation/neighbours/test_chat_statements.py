"""A language model writes and rates the slate: everybody gets their share, as the checker of representation says."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from fake_openai import FakeOpenAI, Say
from language_models import over_http

from pluralism.elicitation.neighbours.chat_rating import expected_rating
from pluralism.elicitation.neighbours.chat_statements import statement_rater, statement_writer
from pluralism.elicitation.neighbours.generative_slate import generative_slate
from pluralism.errors import LanguageModelError, ReplyFormatError, UsageError
from pluralism.llm import Message, OpenAIChat, ScriptedChat
from pluralism.social_choice import check_balanced_representation

OPINIONS = ["more trains please"] * 4 + ["more bicycle lanes please"] * 2
WORDS = ("trains", "bicycle")


def about(text: str) -> list[str]:
    return re.findall("|".join(WORDS), text)


class Writer:
    """Writes about what most of the opinions before it are about, and rates by whether it is the same."""

    def __init__(self) -> None:
        self.shown: list[list[str]] = []

    def __call__(self, request: Any) -> Any:
        said = request.messages[1].content
        if request.schema is None:
            opinion, statement = said.split("<statement>")
            return {"7": 0.75, "6": 0.25} if about(opinion) == about(statement) else {"1": 0.5, "2": 0.5}
        found = about(said)
        self.shown.append(found)
        return {"statement": f"I want {max(WORDS, key=found.count)}."}


def test_everybody_gets_their_share() -> None:
    script = Writer()
    model = ScriptedChat(script)
    rate = statement_rater(model, "What next?", OPINIONS)
    found = generative_slate(6, 3, statement_writer(model, "What next?", OPINIONS, n_statements=3), rate)
    assert sorted(found.slate.statements) == ["I want bicycle.", "I want trains.", "I want trains."]
    assert found.slate.utility == pytest.approx([6.75] * 6)
    assert found.check.holds and check_balanced_representation(found.utilities, found.slate).holds
    assert found.utilities[:, 0] == pytest.approx([6.75] * 4 + [1.5] * 2)
    # the first statement is written for all, the others for as many as one statement speaks for, who are near
    assert len(script.shown[0]) == 6 and all(len(shown) == 2 for shown in script.shown[1:3])
    assert all(len(set(shown)) == 1 for shown in script.shown[1:3])
    assert len(script.shown[3]) == 4  # two of six are represented


def test_calls_at_once_change_nothing() -> None:
    found = []
    for workers in (1, 4):
        model = ScriptedChat(Writer())
        writer = statement_writer(model, "What next?", OPINIONS, n_statements=4, workers=workers, rng=2)
        rater = statement_rater(model, "What next?", OPINIONS, workers=workers)
        found.append(generative_slate(6, 3, writer, rater).to_json())
    assert found[0] == found[1]


def test_an_error_ends_the_calls() -> None:
    asked = []

    def fail(request: Any) -> Any:
        asked.append(request)
        raise LanguageModelError("The server is gone.")

    rater = statement_rater(ScriptedChat(fail), "What next?", OPINIONS * 50, workers=2)
    with pytest.raises(LanguageModelError, match="gone"):
        rater(["a", "b", "c"])
    assert len(asked) < 100


def test_failures_of_the_writer() -> None:
    answers: list[Any] = ["no", "no", "no", {"statement": "I want trains."}]
    writer = statement_writer(ScriptedChat(answers), "What next?", OPINIONS, n_statements=2)
    assert writer(np.arange(6), 2) == ["I want trains."]
    with pytest.raises(ReplyFormatError):
        statement_writer(ScriptedChat(lambda request: "no"), "What next?", OPINIONS)(np.arange(6), 2)
    with pytest.raises(UsageError):
        statement_writer(ScriptedChat([]), "What next?", [])
    with pytest.raises(UsageError, match="2 to 9"):
        expected_rating(ScriptedChat([]), [Message("user", "How?")], 10)


def test_the_same_over_the_real_protocol(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    server, script = FakeOpenAI(), Writer()
    writes = over_http(script)

    def reply(body: Any) -> Any:
        if "response_format" in body:
            return writes(body)
        opinion, statement = body["messages"][1]["content"].split("<statement>")
        return Say("7", first={"7": 0.75, "6": 0.25} if about(opinion) == about(statement) else {"1": 0.5, "2": 0.5})

    server.reply = reply
    try:
        with OpenAIChat("m", base_url=server.url) as model:
            rate = statement_rater(model, "What next?", OPINIONS)
            found = generative_slate(6, 3, statement_writer(model, "What next?", OPINIONS, n_statements=2), rate)
    finally:
        server.close()
    assert found.slate.utility == pytest.approx([6.75] * 6, abs=0.01) and found.check.holds
