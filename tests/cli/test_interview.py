"""`pluralism interview`, typed by a script: whole, left and resumed, killed, in German, by a model, called wrongly."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_openai import FakeOpenAI, Say
from interviews import ANSWERS

from pluralism.cli import main
from pluralism.elicitation.interview import JsonlStore, fold

CONSENT = ["1", "yes", "2"]
CONTEXT = ["3"]
TALK = [line for answer in ANSWERS.values() for line in (*answer.split("\n"), "")]
CARD = ["confirm"]
VOTES = ["1", "", "no_upgrade", "because of this", "and that", "", "3", "", "upgrade", ""]
SURVEY = ["5", "4", "3", "Thanks.", ""]
WHOLE = [*CONSENT, *CONTEXT, *TALK, *CARD, *VOTES, *SURVEY]


@pytest.fixture
def typed(call, monkeypatch):
    """Run `pluralism interview` with lines as its input."""

    def run(lines, *arguments):
        monkeypatch.setattr(sys, "stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
        return call("interview", *arguments)

    return run


def test_a_whole_interview(typed, tmp_path):
    out = tmp_path / "ann.jsonl"
    result = typed(WHOLE, "--seed", 0, "--out", out, "--participant", "ann")
    assert result.code == 0 and result.err == ""
    assert "threw his plate" in " ".join(result.out.split()) and "Thank you. That is all." in result.out
    assert f"written to {out}" in result.out
    state = fold(JsonlStore(out).read())
    assert state.phase == "done" and state.card.title == ANSWERS["name"]
    assert [vote.answer for vote in state.votes.values()] == ["upgrade", "no_upgrade", "not_sure", "upgrade"]
    assert state.votes[1].comment == "because of this\nand that" and state.survey["remarks"] == "Thanks."
    assert state.begun.participant == "ann" and state.scopes == ("card", "chat")
    again = typed([], "--out", out)
    assert again.code == 0 and "Thank you" in again.out


def test_json_is_one_object_and_the_talk_goes_to_standard_error(typed):
    result = typed(WHOLE, "--json", "--seed", 0)
    assert result.code == 0 and result.out.count("\n") == 1
    document = result.document
    assert document["phase"] == "done" and document["out"] is None and len(document["votes"]) == 4
    assert document["card"]["title"] == ANSWERS["name"] and "What happened?" in result.err


@pytest.mark.parametrize("n", range(0, len(WHOLE), 5))
def test_it_goes_on_where_the_input_ended(typed, tmp_path, n):
    out = tmp_path / "ann.jsonl"
    first = typed(WHOLE[:n], "--out", out, "--json", "--seed", 0)
    assert first.code == 0 and first.document["phase"] == "paused"
    kinds = [event.kind for event in JsonlStore(out).read()]
    # What was not complete is typed again: a text up to its empty line, a vote up to its comment.
    said, at = 0, 0
    for size, kind in pieces():
        if kinds.count(kind) > said_of(kind, at):
            said, at = said + size, at + 1
        else:
            break
    second = typed(WHOLE[said:], "--out", out, "--json")
    assert second.code == 0 and second.document["phase"] == "done"
    assert second.document["card"]["title"] == ANSWERS["name"]


def pieces():
    """How many lines each action takes, and the event that it ends in."""
    yield len(CONSENT), "consented"
    yield len(CONTEXT), "context_chosen"
    for answer in ANSWERS.values():
        yield len(answer.split("\n")) + 1, "answered"
    yield len(CARD), "card_confirmed"
    yield from ((2, "voted"), (4, "voted"), (2, "voted"), (2, "voted"))
    yield len(SURVEY), "survey_answered"


def said_of(kind, at):
    """How many of the first actions end in such an event."""
    return sum(name == kind for _, name in list(pieces())[:at])


def test_input_that_ends_without_a_record_is_an_error(typed):
    for lines in (WHOLE[:9], [*WHOLE[:9], "", "/pause"]):
        result = typed(lines)
        assert result.code == 2 and "nothing is kept" in result.err and "--out FILE.jsonl" in result.err


def test_commands_pause_withdraw_and_show_the_card(typed, tmp_path):
    out = tmp_path / "ann.jsonl"
    paused = typed([*CONSENT, *CONTEXT, "/pause"], "--out", out)
    assert paused.code == 0 and "You can come back" in paused.out
    early = typed(["/card", "A story.", "", "/card", "/pause"], "--out", out)
    assert "no answer yet" in early.out and "The card is not complete yet" in early.out
    assert "What happened?" in early.out
    form = ["Calm", "It is calm.", "", "MOMENTS of calm that stay", "", "confirm", "/pause"]
    filled = typed(form, "--out", out, "--json")
    assert filled.document["card"]["policies"] == ["MOMENTS of calm that stay"]
    gone = typed(["/withdraw"], "--out", out)
    assert gone.code == 0 and "is erased" in gone.out
    assert "Calm" not in out.read_text() and "story" not in out.read_text()
    assert "is erased" in typed([], "--out", out).out


def test_the_card_is_edited_and_kept_where_nothing_is_typed(typed):
    edits = ["2", "", "", "", "2", "A shorter name", "", "MOMENTS of rest after noise", "SIGNS of trust", "", "1"]
    lines = [*CONSENT, *CONTEXT, *TALK, *edits, *VOTES, *SURVEY]
    document = typed(lines, "--json", "--seed", 0).document
    assert document["card"]["title"] == "A shorter name" and document["card"]["description"] == ANSWERS["meaning"]
    assert document["card"]["policies"] == ["MOMENTS of rest after noise", "SIGNS of trust"]


def test_wrong_choices_are_asked_again(typed):
    lines = ["0", "maybe", "1", "", "99", "yes", "no", *CONTEXT, *TALK, *CARD, *VOTES, "9", *SURVEY]
    assert typed(lines, "--json", "--seed", 0).document["phase"] == "done"
    refused = typed(["no", "no", "no", *WHOLE], "--json", "--seed", 0)
    assert refused.document["phase"] == "done" and "Without consent to card, chat" in refused.err


def test_german(typed):
    result = typed(WHOLE, "--language", "de", "--case", "dangerous-information", "--seed", 0)
    assert result.code == 0 and "Vielen Dank" in result.out and "Worauf wurde geachtet" in result.out
    assert "Thank you" not in result.out and "wiser" not in result.out


def test_control_characters_do_not_reach_the_terminal(typed, tmp_path):
    evil = "\x1b[2J\x1b]8;;https://evil.example\x07red\u202e"
    lines = [*CONSENT, *CONTEXT, evil, "", *TALK[2:-2], evil, "", "/pause"]
    result = typed(lines, "--json", "--out", tmp_path / "a.jsonl")
    assert result.document["phase"] == "paused" and "red" in result.err
    assert "\x1b]" not in result.err and "\u202e" not in result.err and "\x07" not in result.err


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    fake = FakeOpenAI()
    yield fake
    fake.close()


def test_a_model_on_a_server_interviews(typed, server):
    drafted = {"title": "Waiting beside storms", "description": "x", "policies": ANSWERS["attention"].split("\n")}

    def reply(body):
        name = body.get("response_format", {}).get("json_schema", {}).get("name")
        documents = {
            "GuessFields": {"policies": ["x"], "ready": True},
            "CardFields": drafted,
            "SameFields": {"same": []},
        }
        return json.dumps(documents[name]) if name in documents else "What did you notice?"

    server.reply = reply
    talk = ["One.", "", "Two.", "", "Three.", ""]
    lines = [*CONSENT, *CONTEXT, *talk, "revise", "Warmer.", "", "confirm", *VOTES, *SURVEY]
    result = typed(lines, "--json", "--llm", server.url, "--llm-model", "m", "--seed", 0)
    document = result.document
    assert document["phase"] == "done" and document["interviewer"] == "openai:m"
    assert document["card"]["title"] == "Waiting beside storms" and document["usage"]["calls"] >= 6
    assert result.err.count("What did you notice?") == 3 and "One moment" in result.err
    # The stories are no JSON of their schema: the plain ones stand in for them.
    assert document["fallbacks"] == 1


def test_a_server_that_goes_down_leaves_the_script(typed, server):
    server.script = ["yes", *[Say("", finish="content_filter")] * 50]
    result = typed(WHOLE, "--llm", server.url, "--llm-model", "m", "--seed", 0)
    assert result.code == 0 and "failed 3 times, and the script went on" in result.out
    assert "What happened?" in result.out and "openai:m) leads this interview" in " ".join(result.out.split())


def test_a_model_that_cannot_be_used_is_known_before_the_interview_begins(typed, server, tmp_path):
    server.script = [401]
    out = tmp_path / "a.jsonl"
    wrong_key = typed(WHOLE, "--llm", server.url, "--llm-model", "m", "--out", out)
    assert wrong_key.code == 2 and "Check the key in OPENAI_API_KEY" in wrong_key.err
    absent = typed(WHOLE, "--local", tmp_path / "nothing", "--out", out)
    assert absent.code == 2 and "cannot be loaded" in absent.err and not out.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "nothing"], "no file 'nothing' among the cases"),
        (["--protocol", "nothing.toml"], "no file 'nothing.toml' among the protocols"),
        (["--language", "fr"], "not there in 'fr'"),
        (["--llm", "http://localhost:1/v1"], "Which model of that server"),
        (["--llm", "localhost", "--llm-model", "m"], "is no URL"),
        (["--llm-model", "m", "--local", "x"], "has one interviewer"),
        (["--seed", "-1"], "seed"),
        (["--out", "nowhere/a.jsonl"], "No such file or directory"),
    ],
)
def test_bad_calls_are_named(typed, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = typed(WHOLE, *arguments)
    assert result.code == 2 and said in result.err and result.out == "" and "Traceback" not in result.err
    assert not list(tmp_path.iterdir()) or arguments[0] == "--out"


def test_a_record_is_gone_on_with_as_it_was_begun(typed, tmp_path):
    out = tmp_path / "ann.jsonl"
    typed(CONSENT, "--out", out, "--language", "de", "--participant", "ann", "--case", "abortion")
    for arguments, said in (
        (["--language", "en"], "begun with --language de"),
        (["--participant", "bob"], "begun with --participant ann"),
        (["--case", "unruly-child"], "begun with another case"),
    ):
        result = typed([], "--out", out, *arguments)
        assert result.code == 2 and said in result.err
    assert typed([], "--out", out, "--language", "de", "--json").document["case"] == "abortion"
    out.write_text("no record\n")
    damaged = typed([], "--out", out)
    assert damaged.code == 2 and "no event of an interview" in damaged.err and "line 1" in damaged.err


def test_ctrl_c_says_what_is_kept(monkeypatch, tmp_path, capsys):
    class Interrupting(io.StringIO):
        def readline(self, *arguments):
            line = super().readline(*arguments)
            if not line:
                raise KeyboardInterrupt
            return line

    for options, said in (([], "Nothing is kept"), (["--out", tmp_path / "a.jsonl"], "go on with the same line")):
        monkeypatch.setattr(sys, "stdin", Interrupting("1\n1\n2\n"))
        with pytest.raises(SystemExit) as caught:
            main(["interview", *map(str, options)])
        assert caught.value.code == 130 and said in capsys.readouterr().err
    assert fold(JsonlStore(tmp_path / "a.jsonl").read()).phase == "consented"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_command_that_is_killed_goes_on_where_it_was(tmp_path):
    out = tmp_path / "ann.jsonl"
    command = [sys.executable, "-m", "pluralism", "interview", "--out", str(out), "--json"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    child.stdin.write("".join(f"{line}\n" for line in WHOLE[: len(CONSENT) + 1 + 8]).encode())
    child.stdin.flush()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (out.exists() and out.read_bytes().count(b'"answered"') >= 2):
        time.sleep(0.02)
    child.kill()
    child.wait()
    child.stdin.close()
    state = fold(JsonlStore(out).read())
    assert state.answered >= 2 and state.halted is None
    answered = sum(len(answer.split("\n")) + 1 for answer in list(ANSWERS.values())[: state.answered])
    rest = [*TALK[answered:], *CARD, *VOTES, *SURVEY]
    done = subprocess.run(command, input="".join(f"{line}\n" for line in rest), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["phase"] == "done"
    assert Path(out).read_bytes().endswith(b"\n")
