"""What a recorded interview teaches, by its own clock; a language model that predicts from what was said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from interviews import SetClock, begin, play, step

from pluralism.elicitation.interview import LLMInterviewer, MemoryStore
from pluralism.elicitation.neighbours.interview_gain import chat_predictor, gain_of_interview
from pluralism.errors import DataError, UsageError
from pluralism.llm import ScriptedChat


def led(pause: bool = False) -> tuple[Any, ...]:
    clock = SetClock()
    interview = begin(MemoryStore(), clock=clock)
    for number in range(4):
        play(interview, until="answer")
        if pause and number == 2:
            interview.pause()
            clock.wait(hours=5)
            interview.resume()
        clock.wait(minutes=2)
        assert step(interview)
    return tuple(interview.events)


def test_gain_by_the_clock_of_the_interview() -> None:
    heard = []

    def predict(turns: Any) -> np.ndarray:
        heard.append(len(turns))
        return np.array([0.5 + 0.1 * len(turns), 0.5 - 0.05 * len(turns)])

    found = gain_of_interview(led(), predict, [True, False])
    assert heard == [0, 1, 2, 3, 4]
    assert found.score == pytest.approx([0.5, 0.575, 0.65, 0.725, 0.8])
    assert found.minutes[0] == 0 and np.all(np.diff(found.minutes) > 2) and found.minutes[-1] < 9
    assert found.per_minute == pytest.approx(0.3 / found.minutes[-1])
    # a pause of five hours teaches nothing and costs nothing
    paused = gain_of_interview(led(pause=True), predict, [True, False])
    assert paused.minutes == pytest.approx(found.minutes, abs=0.2)
    with pytest.raises(DataError, match="Nothing was answered"):
        gain_of_interview(led()[:1], predict, [True, False])
    with pytest.raises(DataError, match="differ in number"):
        gain_of_interview(led(), lambda turns: np.full(1 + len(turns), 0.5), [True, False])


def test_a_model_predicts_from_what_was_said_and_nothing_else() -> None:
    def script(request: Any) -> Any:
        said = request.messages[1].content
        sure = 0.9 if "listened to my brother" in said else 0.5
        right = sure if "listen" in said.split("<question>")[1] else 1 - sure
        return {"yes": right, "no": 1 - right}

    model = ScriptedChat(script)
    predict = chat_predictor(model, ["Is it right to listen first?", "Is it right to shout?"])
    found = gain_of_interview(led(), predict, [True, False])
    assert found.score == pytest.approx([0.5, 0.9, 0.9, 0.9, 0.9])
    assert "has said nothing yet" in model.requests[0].messages[1].content
    assert model.requests[-1].messages[1].content.count("</answer>") == 4
    with pytest.raises(UsageError):
        chat_predictor(model, [])


def test_interviews_by_models_are_measured_alike() -> None:
    from language_models import sensible

    interview = begin(MemoryStore(), interviewer=LLMInterviewer(ScriptedChat(sensible)))
    play(interview)
    found = gain_of_interview(interview.events, lambda turns: np.array([min(0.5 + 0.1 * len(turns), 1.0)]), [True])
    assert found.final > 0 and len(found.minutes) >= 4
