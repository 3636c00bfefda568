"""What every language model does alike: schemas and repairs, tools, streams, choices, usage."""

from __future__ import annotations

import json
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator

from pluralism.errors import LanguageModelError, ReplyFormatError, UsageError
from pluralism.llm import Message, ScriptedChat, Tool, ToolCall, Usage
from pluralism.llm.options import Options
from pluralism.llm.request import Completion, RawCall
from pluralism.llm.structured import Misfit, read_value, server_schema, spoken

ASK = [{"role": "user", "content": "Well?"}]


class Verdict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    answer: Literal["yes", "no"]
    why: list[str] = Field(min_length=1)

    @field_validator("why")
    @classmethod
    def no_shouting(cls, value):
        if any(text.isupper() for text in value):
            raise ValueError(f"do not shout {value}")
        return value


GOOD = {"answer": "yes", "why": ["it is so"]}


def test_a_reply_that_fits_holds_its_value():
    model = ScriptedChat([GOOD])
    reply = model.chat(ASK, schema=Verdict)
    assert reply.value == Verdict(**GOOD) and reply.repairs == 0 and reply.usage.calls == 1
    assert json.loads(reply.to_json())["value"] == GOOD
    assert json.loads(reply.to_frame().to_pylist()[0]["value"]) == GOOD


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```",
        "Here it is: {}",
        "{}\nI hope this helps {{you}}.",
        "<think>maybe {{no}}</think>{}",
        "{{not}} {}",
    ],
)
def test_json_is_found_in_what_surrounds_it(text):
    reply = ScriptedChat([text.replace("{}", json.dumps(GOOD)).replace("{{", "{").replace("}}", "}")])
    assert reply.chat(ASK, schema=Verdict).value == Verdict(**GOOD)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[1]",
        '{"answer": "yes"',
        '{"answer": NaN, "why": ["a"]}',
        "[" * 100_000,
        '{"a":' * 100_000,
        "{" * 1000,
    ],
)
def test_what_is_no_object_is_told_to_the_model(text):
    model = ScriptedChat([text, GOOD])
    assert model.chat(ASK, schema=Verdict).repairs == 1
    told = model.requests[1].messages
    assert [message.role for message in told] == (["user", "assistant", "user"] if text else ["user", "user"])
    assert "no complete JSON object" in told[-1].content or "answer" in told[-1].content


def test_the_model_is_told_twice_what_is_wrong_and_then_the_error_is_named():
    bad = [{"answer": "perhaps", "why": ["x"]}, {"answer": "yes", "why": []}, {"answer": "yes", "why": ["SECRET"]}]
    model = ScriptedChat([*bad, GOOD])
    with pytest.raises(ReplyFormatError) as caught:
        model.chat(ASK, schema=Verdict)
    assert len(model.requests) == 3 and model.usage.calls == 3
    assert "answer: Input should be 'yes' or 'no'" in model.requests[1].messages[-1].content
    assert "why: List should have at least 1 item" in model.requests[2].messages[-1].content
    assert "SECRET" not in str(caught.value) and "why: value_error" in str(caught.value)
    assert ScriptedChat([*bad[:2], GOOD]).chat(ASK, schema=Verdict).usage.calls == 3


def test_names_that_a_model_invents_are_not_shown_to_people():
    with pytest.raises(Misfit) as caught:
        read_value(Completion(json.dumps(GOOD | {"SECRET": 1}), "stop", Usage(), "m"), Verdict)
    assert "SECRET" in caught.value.findings[0] and "SECRET" not in str(caught.value)


def test_a_reply_that_was_cut_off_is_told_so():
    model = ScriptedChat(['{"answer": "yes", "why": ["it is a long story"', GOOD])
    assert model.chat(ASK, schema=Verdict, max_tokens=6).repairs == 1
    assert "cut off" in model.requests[1].messages[-1].content


def test_schemas_are_sent_strictly():
    class Inner(BaseModel):
        title: str = Field(default="x", max_length=3, description="A title")

    class Outer(BaseModel):
        default: Inner
        others: list[Inner] | None = None

    schema = server_schema(Outer)
    assert schema["required"] == ["default", "others"] and schema["additionalProperties"] is False
    assert schema["$defs"]["Inner"] == {
        "type": "object",
        "properties": {"title": {"type": "string", "description": "A title"}},
        "required": ["title"],
        "additionalProperties": False,
        "description": schema["$defs"]["Inner"].get("description"),
    } or schema["$defs"]["Inner"]["required"] == ["title"]
    assert "maxLength" not in json.dumps(schema) and set(schema["properties"]) == {"default", "others"}


class Paint(BaseModel):
    colour: Literal["red", "blue"]


PAINT = Tool("paint", "Paints the wall.", Paint)


def test_tools_are_called_with_validated_arguments():
    call = ToolCall("paint", Paint(colour="red"), "c1")
    reply = ScriptedChat([call]).chat(ASK, tools=[PAINT])
    assert reply.tool_calls == (call,) and reply.finish == "tool_calls"
    assert "red" not in repr(reply) and "red" not in repr(call)
    assert ScriptedChat(["Which colour?"]).chat(ASK, tools=[PAINT]).tool_calls == ()


class Calls(ScriptedChat):
    """Calls tools with texts as arguments."""

    def complete(self, request):
        completion = super().complete(request)
        name, arguments = completion.text.split("|")
        return Completion("", "tool_calls", Usage(1, 0, 0), self.name, (RawCall(name, arguments, "c"),))


def test_calls_of_unknown_tools_or_with_malformed_arguments_are_repaired():
    model = Calls(["paint|{colour", "paint|[1]", 'paint|{"colour": "red"}'])
    assert model.chat(ASK, tools=[PAINT]).repairs == 2
    assert "no JSON object" in model.requests[1].messages[-1].content
    for said in ("vote|{}", 'paint|{"colour": "SECRET"}', "paint|SECRET"):
        with pytest.raises(ReplyFormatError) as caught:
            Calls([said] * 3).chat(ASK, tools=[PAINT])
        assert "SECRET" not in str(caught.value) and "vote" not in str(caught.value)


def test_a_whole_exchange_with_a_tool_can_be_sent():
    call = ToolCall("paint", Paint(colour="blue"), "c7")
    messages = [
        Message("user", "Paint."),
        Message("assistant", "", (call,)),
        Message("tool", "done", tool_call_id="c7"),
    ]
    model = ScriptedChat(["It is blue."])
    model.chat(messages, tools=[PAINT])
    told = [message.content for message in model.requests[0].instructed().messages]
    assert json.loads(told[1]) == {"tool": "paint", "arguments": {"colour": "blue"}}
    assert told[2].startswith("The tool answers: done") and '"colour"' in told[2]
    for wrong in ({"role": "tool", "content": "x"}, {"role": "user", "content": 3}, {"role": "user"}):
        with pytest.raises(UsageError):
            model.chat([wrong])


@given(st.lists(st.sampled_from(["<think>", "</think>", "a ", "b", "<", "th"]), max_size=6))
def test_streams_hold_back_thoughts_and_lose_nothing_else(pieces):
    class Pieces(ScriptedChat):
        def pieces(self, request):
            yield from pieces
            yield Completion("".join(pieces), "stop", Usage(1, 1, 1), "m")

    text = "".join(pieces)
    stream = Pieces([]).stream(ASK)
    shown = "".join(stream)
    assert shown == stream.reply.text == spoken(text)
    assert text.endswith(shown) and (shown == text or text.startswith("<think>"))


def test_an_end_that_is_missing_is_an_error():
    class Endless(ScriptedChat):
        def pieces(self, request):
            yield "a"

    stream = Endless([]).stream(ASK)
    assert next(stream) == "a"
    with pytest.raises(LanguageModelError, match="ended without saying why"):
        next(stream)


def test_usage_adds_up_over_calls():
    model = ScriptedChat(["one two", "three"])
    model.chat(ASK)
    list(model.stream(ASK))
    assert model.usage == Usage(2, 2, 3) and model.usage.tokens == 5


def test_scripted_answers_end_and_raise():
    model = ScriptedChat([ValueError("oh")])
    with pytest.raises(ValueError, match="oh"):
        model.chat(ASK)
    with pytest.raises(LanguageModelError, match="no more answers"):
        model.chat(ASK)


# Options.


def test_labels_are_told_apart_by_their_first_letter():
    assert Options.of(["yes", "no"]).labels == ("yes", "no")
    assert Options.of(["no", "none"]).labels == ("A", "B")
    assert Options.of(["A", "a"]).labels == ("A", "B")
    assert Options.of(["wiser", "other"]).labels == ("A", "B")
    assert "A: wiser\nB: other" in Options.of(["wiser", "other"]).instruction()
    for wrong in (["A"], [str(k) for k in range(27)], "AB", ["A", ""], ["A", "A"]):
        with pytest.raises(UsageError):
            Options.of(wrong)


@pytest.mark.parametrize(
    ("verdict", "option"),
    [
        ("A", 0), ("a.", 0), (" **NA** ", 2), ("B)", 1), ("B: because", 1), ("NA, neither", 2), ("(A)", 0),
        ("A good question", None), ("", None), ("both", None), ("B <think>A</think>", None), ("<think>A</think>B", 1),
    ],
)  # fmt: skip
def test_verdicts_are_read(verdict, option):
    assert Options.of(["A", "B", "NA"]).read(verdict) == option


def test_verdicts_in_words_are_read_where_options_are_lettered():
    options = Options.of(["not wiser", "wiser", "+"])
    assert [options.read(text) for text in ("Not wiser.", "B", "wiser", "c", "...")] == [0, 1, 1, 2, None]


def test_tokens_count_for_the_label_that_they_begin():
    tokens = [(" A", np.log(0.4)), ("a", np.log(0.1)), ("N", np.log(0.2)), ("NA", np.log(0.1)), ("The", np.log(0.1))]
    found = np.exp(Options.of(["A", "B", "NA"]).weigh_tokens(tokens))
    np.testing.assert_allclose(found, [0.5, 0.0, 0.3], atol=1e-12)


def test_verdicts_are_counted_where_no_probabilities_are_told():
    answers = ["A", "b", "A", "maybe"]
    model = ScriptedChat(answers)
    choice = model.choose(ASK, ["A", "B"], samples=4, seed=5)
    assert choice.method == "sampled" and choice.samples == 4 and choice.usage.calls == 4
    np.testing.assert_allclose(choice.probabilities, [2 / 3, 1 / 3])
    assert choice.mass == 0.75 and choice.best == "A"
    assert [request.seed for request in model.requests] == [5, 6, 7, 8]
    assert {request.temperature for request in model.requests} == {1.0}
    assert choice.to_frame().to_pylist() == [
        {"option": "A", "probability": 2 / 3},
        {"option": "B", "probability": 1 / 3},
    ]
    with pytest.raises(ReplyFormatError, match="None of 2 answers"):
        ScriptedChat(["x", "y"]).choose(ASK, ["A", "B"], samples=2)
    with pytest.raises(LanguageModelError, match="does not tell token probabilities"):
        ScriptedChat(["A"]).choose(ASK, ["A", "B"], method="logprobs")
    with pytest.raises(UsageError, match="sum to at most 1"):
        ScriptedChat([{"A": 0.9, "B": 0.2}]).choose(ASK, ["A", "B"])
    with pytest.raises(UsageError, match="method='guess'"):
        ScriptedChat(["A"]).choose(ASK, ["A", "B"], method="guess")
