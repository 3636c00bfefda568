"""Chat over the real protocol: schemas, tools, streams, probabilities, and servers that misbehave."""

from __future__ import annotations

import logging
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
from fake_openai import Say, quick_retries, said
from pydantic import BaseModel

from pluralism.errors import (
    DeadlineError,
    LanguageModelError,
    MissingExtraError,
    RefusalError,
    ReplyFormatError,
    UsageError,
)
from pluralism.llm import OpenAIChat, Tool, Usage
from pluralism.testing import check_llm

ASK = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "What is new?"}]


class Verdict(BaseModel):
    answer: Literal["yes", "no"]


VOTE = Tool("note", "Notes a verdict.", Verdict)


@pytest.fixture
def model(server):
    with OpenAIChat("m", base_url=server.url) as opened:
        yield opened


def test_the_battery(server, model):
    def first(body):
        return Say("A", first={"A": 0.5, " NA": 0.25, "The": 0.1}) if body.get("logprobs") else "Green, as ever."

    def brief(body):
        schema = body.get("response_format")
        if schema:
            return '{"name": "red", "warm": true}'
        return Say("one two", finish="length") if body.get("max_tokens") == 5 else first(body)

    server.reply = brief
    found = {result.name: result for result in check_llm(model)}
    assert [str(result) for result in found.values() if result.status == "failed"] == []
    skipped = {name for name, result in found.items() if result.status == "skipped"}
    assert skipped == {"order_of_options_does_not_matter", "a_seed_decides"}


def test_messages_and_settings_are_sent_as_they_are(server, model):
    reply = model.chat(ASK, temperature=0.3, max_tokens=50, seed=4)
    assert reply.text == "You said: What is new?" and reply.model == "m-0" and reply.usage == Usage(1, 7, 3)
    (sent,) = server.requests
    assert sent == {"model": "m", "messages": ASK, "temperature": 0.3, "max_tokens": 50, "seed": 4}
    odd = "é e\u0301 👩‍👩‍👧 \u202e \x07 <|im_end|>"
    model.chat([{"role": "user", "content": odd}])
    assert server.requests[1]["messages"][0]["content"] == odd
    assert set(server.requests[1]) == {"model", "messages"}


def test_schemas_are_held_by_the_server(server, model):
    reply = model.chat(ASK, schema=Verdict)
    assert reply.value == Verdict(answer="yes")
    sent = server.requests[0]["response_format"]
    assert sent["type"] == "json_schema" and sent["json_schema"]["strict"] is True
    assert sent["json_schema"]["schema"]["required"] == ["answer"]


def test_a_server_without_schemas_is_told_in_words_and_asked_once_only(server, model):
    server.lacks = {"response_format"}
    server.reply = lambda body: '{"answer": "no"}'
    for _ in range(2):
        assert model.chat(ASK, schema=Verdict).value == Verdict(answer="no")
    assert ["response_format" in body for body in server.requests] == [True, False, False]
    assert "JSON schema" in said(server.requests[1]) and '"answer"' in said(server.requests[1])


def test_malformed_json_is_repaired_twice_and_no_more(server, model):
    server.script = ['{"answer": ', '{"answer": "maybe"}', '{"answer": "yes"}']
    reply = model.chat(ASK, schema=Verdict)
    assert reply.repairs == 2 and reply.usage.calls == 3
    assert [message["role"] for message in server.requests[2]["messages"]][-4:] == ["assistant", "user"] * 2
    server.script = ["no"] * 4
    with pytest.raises(ReplyFormatError, match="3 answers that do not fit"):
        model.chat(ASK, schema=Verdict)
    assert len(server.script) == 1


def test_tools_are_called_and_malformed_arguments_repaired(server, model):
    server.script = [Say(calls=(("note", '{"answer": '),)), Say(calls=(("note", '{"answer": "no"}'),))]
    reply = model.chat(ASK, tools=[VOTE])
    assert reply.tool_calls[0].arguments == Verdict(answer="no") and reply.repairs == 1
    assert reply.tool_calls[0].id == "call_0" and reply.finish == "tool_calls"
    assert server.requests[0]["tools"][0]["function"]["name"] == "note"
    server.script = [Say(calls=(("delete_everything", "{}"),))] * 3
    with pytest.raises(ReplyFormatError, match="a tool that there is not"):
        model.chat(ASK, tools=[VOTE])


def test_streams_arrive_in_pieces(server, model):
    server.script = [Say("One two three.", delay=0.05)]
    started, pieces, times = time.monotonic(), [], []
    with model.stream(ASK) as stream:
        for piece in stream:
            pieces.append(piece)
            times.append(time.monotonic() - started)
    assert pieces == ["One ", "two ", "three."] and times[2] - times[0] > 0.08
    assert stream.reply.usage == Usage(1, 7, 3) == model.usage
    assert server.requests[0]["stream_options"] == {"include_usage": True}


def test_a_stream_can_be_left_and_the_next_call_works(server, model):
    server.script = [Say("a " * 400, delay=0.01)]
    with model.stream(ASK) as stream:
        next(stream)
    assert model.chat(ASK).text.startswith("You said")


def test_a_stream_that_breaks_before_its_first_piece_is_tried_again(server, model, monkeypatch):
    quick_retries(monkeypatch)
    server.script = [Say("One two", cut=0), Say("", finish=None), "One two"]
    assert "".join(model.stream(ASK)) == "One two" and len(server.requests) == 3


@pytest.mark.parametrize("step", [Say("One two three", cut=2), Say("One two three", raw=b'{"chunk')])
def test_a_stream_that_breaks_later_is_an_error_and_not_a_reply(server, model, step):
    server.script = [step]
    stream, pieces = model.stream(ASK), []
    with pytest.raises(LanguageModelError, match="broke off in the middle"):
        pieces.extend(stream)
    with pytest.raises(UsageError, match="not complete"):
        _ = stream.reply
    assert len(server.requests) == 1


def test_a_server_that_refuses_stream_options_streams_without(server, model):
    server.lacks = {"stream_options"}
    assert list(model.stream(ASK)) == ["You ", "said: ", "What ", "is ", "new?"]
    assert ["stream_options" in body for body in server.requests] == [True, False]


@pytest.mark.parametrize("step", [429, 500, 503, "drop"])
def test_passing_failures_are_tried_again(server, model, step, monkeypatch):
    server.script = [step]
    assert model.chat(ASK).text.startswith("You said")
    assert len(server.requests) == 2 and server.times[1] - server.times[0] > 0.3
    quick_retries(monkeypatch)
    server.script = [step]
    assert "".join(model.stream(ASK)).startswith("You said")


def test_retry_after_is_honoured(server, model):
    server.script = [(429, {"Retry-After": "1"}), (503, {"retry-after-ms": "10"})]
    model.chat(ASK)
    first, second = np.diff(server.times)
    assert first >= 1.0 and second < first


@pytest.mark.parametrize("raw", [b"{", b'"words"', b"{}", b'{"choices": []}', b'{"choices": [{"index": 0}]}', b"[]"])
def test_what_is_no_answer_is_tried_again_and_then_an_error(server, raw, monkeypatch):
    quick_retries(monkeypatch)
    server.script = [Say(raw=raw)]
    with OpenAIChat("m", base_url=server.url, max_retries=1) as model:
        assert model.chat(ASK).text.startswith("You said")
        server.script = [Say(raw=raw)] * 2
        with pytest.raises(LanguageModelError, match=r"no answer|no JSON"):
            model.chat(ASK)


def test_retries_end_and_lasting_failures_are_not_tried_again(server, monkeypatch):
    quick_retries(monkeypatch)
    with OpenAIChat("m", base_url=server.url, max_retries=1) as model:
        server.script = [500] * 3
        with pytest.raises(LanguageModelError, match="scripted 500"):
            model.chat(ASK)
        assert len(server.requests) == 2
        server.script = [401] * 2
        with pytest.raises(LanguageModelError, match="scripted 401") as caught:
            list(model.stream(ASK))
        assert len(server.requests) == 3 and "OPENAI_API_KEY" in str(caught.value)


def test_refusals_are_named(server, model):
    server.script = [Say(refusal="I will not."), Say("x", finish="content_filter"), Say("", refusal="No.")]
    for _ in range(2):
        with pytest.raises(RefusalError, match="declines"):
            model.chat(ASK, schema=Verdict)
    with pytest.raises(RefusalError):
        list(model.stream(ASK))
    assert model.usage.calls == 3


@pytest.mark.parametrize("step", [Say("late", delay=2.0), (429, {"Retry-After": "30"})], ids=["slow", "later"])
def test_deadlines_hold_whatever_the_server_does(server, model, step):
    server.script = [step, step, Say("drip " * 100, delay=0.1)]
    started = time.monotonic()
    with pytest.raises(DeadlineError, match=r"within 0\.3 seconds"):
        model.chat(ASK, timeout=0.3)
    for _ in range(2):
        with pytest.raises(DeadlineError):
            list(model.stream(ASK, timeout=0.3))
    assert time.monotonic() - started < 1.8


def test_probabilities_come_from_the_first_token(server, model):
    server.script = [Say("A", first={"A": 0.5, " a": 0.1, "NA": 0.2, "The": 0.2})]
    choice = model.choose(ASK, ["A", "B", "NA"])
    np.testing.assert_allclose(choice.probabilities, [0.75, 0.0, 0.25], atol=1e-9)
    assert choice.method == "logprobs" and abs(choice.mass - 0.8) < 1e-9 and len(server.requests) == 1
    sent = server.requests[0]
    assert sent["logprobs"] and sent["top_logprobs"] == 20 and sent["max_tokens"] == 3
    server.script = [Say("A", first={"A": 0.9, "B": 0.1}, blank_first=True)]
    np.testing.assert_allclose(model.choose(ASK, ["A", "B"]).probabilities, [0.9, 0.1], atol=1e-9)


@pytest.mark.parametrize("how", ["lacks", "ignores"])
def test_servers_without_probabilities_are_asked_for_verdicts(server, model, how):
    getattr(server, how).add("logprobs")
    server.reply = lambda body: "B" if body.get("seed", 0) % 4 == 0 else "A"
    for _ in range(2):
        choice = model.choose(ASK, ["A", "B"], samples=4, seed=0)
        np.testing.assert_allclose(choice.probabilities, [0.75, 0.25])
        assert choice.method == "sampled"
    assert sum("logprobs" in body for body in server.requests) == 1
    with pytest.raises(LanguageModelError, match="does not tell"):
        model.choose(ASK, ["A", "B"], method="logprobs")


def test_servers_that_tell_few_probabilities_are_asked_for_few(server, model):
    server.lacks.add("top_logprobs")
    server.reply = lambda body: Say("A", first={"A": 0.6, "B": 0.4})

    def allow_five(body):
        return Say("A", first={"A": 0.6, "B": 0.4})

    original = server._chat

    def chat(handler, body, step):
        server.lacks = {"top_logprobs"} if body.get("top_logprobs", 0) > 5 else set()
        original(handler, body, step)

    server._chat = chat
    assert model.choose(ASK, ["A", "B"]).method == "logprobs"
    assert [body["top_logprobs"] for body in server.requests] == [20, 5]


def test_options_that_are_hardly_told_of_are_counted(server, model):
    server.reply = lambda body: Say("Well", first={"Well": 0.999, "A": 0.0005}) if body.get("logprobs") else "B"
    assert model.choose(ASK, ["A", "B"], samples=2).probabilities.tolist() == [0.0, 1.0]
    assert model.choose(ASK, ["A", "B"], method="logprobs").mass == pytest.approx(0.0005)
    server.reply = lambda body: Say("Well", first={"Well": 0.999})
    with pytest.raises(ReplyFormatError, match="name none"):
        model.choose(ASK, ["A", "B"], method="logprobs")


def test_max_tokens_goes_by_its_newer_name_where_the_old_one_is_refused(server, model):
    server.lacks.add("max_tokens")
    for _ in range(2):
        model.chat(ASK, max_tokens=9)
    assert [body.get("max_completion_tokens") for body in server.requests] == [None, 9, 9]
    server.lacks.add("temperature")
    with pytest.raises(LanguageModelError, match="temperature"):
        model.chat(ASK, temperature=0.5)


def test_nothing_that_is_said_and_no_key_is_logged_or_shown(server, monkeypatch, caplog):
    monkeypatch.setenv("MY_KEY", "sk-secret-key")
    text = "My mother told me about the accident\nand I never spoke of it"
    messages = [{"role": "user", "content": text}]
    options = {"base_url": server.url, "api_key_env": "MY_KEY", "max_retries": 0}
    with caplog.at_level(logging.DEBUG), OpenAIChat("m", **options) as model:
        model.chat(messages)
        list(model.stream(messages))
        # As versions of the SDK before 3 do.
        logging.getLogger("openai._base_client").debug("Request options: %s", {"json_data": messages})
        errors = []
        for step in ((400, {}, f"cannot read {text!r} with sk-secret-key"), (500, {}, "and I never spoke of it")):
            server.script = [step]
            with pytest.raises(LanguageModelError) as caught:
                model.chat(messages)
            errors += [str(caught.value), repr(caught.value)]
            logging.getLogger("tests").exception("failed", exc_info=caught.value)
        shown = [repr(model), *errors]
    written = caplog.text + "".join(str(record.args) for record in caplog.records)
    for secret in ("mother", "never spoke", "sk-secret"):
        assert secret not in written and all(secret not in one for one in shown)
    assert "cannot read" in errors[0] and "[...]" in errors[0]
    assert server.headers[0]["authorization"] == "Bearer sk-secret-key"


def test_many_threads_share_one_connection_pool(server, model):
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda k: model.chat([{"role": "user", "content": str(k)}]).text, range(40)))
    assert texts == [f"You said: {k}" for k in range(40)]
    assert model.usage.calls == 40


def test_closing_ends_the_thread_and_a_later_call_opens_it_again(server):
    def ours():
        return [thread for thread in threading.enumerate() if thread.name == "pluralism-llm"]

    before = len(ours())
    model = OpenAIChat("m", base_url=server.url)
    model.chat(ASK)
    assert len(ours()) == before + 1
    model.close()
    assert len(ours()) == before
    model.chat(ASK)
    model.close()
    model.close()


def test_keys_servers_and_settings(server, monkeypatch):
    with pytest.raises(LanguageModelError, match="No key") as caught:
        OpenAIChat("gpt").chat(ASK)
    assert "OPENAI_API_KEY" in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    with OpenAIChat("m") as model:
        assert model.chat(ASK).text.startswith("You said")
    with pytest.raises(UsageError, match="is no URL"):
        OpenAIChat("m", base_url="localhost")
    with pytest.raises(UsageError, match="user or a password") as refused:
        OpenAIChat("m", base_url="http://me:hunter2@localhost:99/v1")
    assert "hunter2" not in str(refused.value)
    for options in ({"timeout": 0}, {"max_retries": -1}):
        with pytest.raises(UsageError):
            OpenAIChat("m", base_url=server.url, **options)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        OpenAIChat("m", base_url=f"http://127.0.0.1:{port}/v1", max_retries=0) as absent,
        pytest.raises(LanguageModelError, match="cannot be reached"),
    ):
        absent.chat(ASK)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pluralism\[llm\]'"):
        OpenAIChat("m", base_url=server.url).chat(ASK)
