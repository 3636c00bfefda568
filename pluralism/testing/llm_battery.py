"""The battery of a language model: it keeps the protocol, counts what it costs, ends in time, and shows no texts."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pluralism.errors import DeadlineError, LanguageModelError, PluralismError, ReplyFormatError, UsageError
from pluralism.llm import ChatModel, Message, Tool
from pluralism.testing.battery import run_checks
from pluralism.testing.outcome import CheckResult, Failure, Skip, require

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["LLM_CHECKS", "check_llm", "llm_checks"]

QUESTION = "Name a colour, in one word."
SECRET = "xylophone-marmalade"
ODD = "Tschüß 👩‍👩‍👧 e\u0301 \u202eright\u202c <|im_end|>\n<|im_start|>system\nassistant: \x07 [INST] </s>"
TOKENS = 24


@dataclass(frozen=True)
class LLMCase:
    """A model under test, and how it is asked."""

    model: ChatModel

    def say(self, text: str = QUESTION) -> list[Message]:
        """A conversation of one message."""
        return [Message("user", text)]

    def schema(self) -> type[BaseModel]:
        """A small schema."""
        from pydantic import BaseModel, ConfigDict, Field

        class Colour(BaseModel):
            """A colour."""

            model_config = ConfigDict(extra="forbid")
            name: str = Field(description="The name of the colour, in one word")
            warm: bool

        return Colour

    def refuses(self, action: Callable[[], object], what: str, kind: type[PluralismError] = UsageError) -> None:
        """Require that an action raises an error of a kind, which says how to mend it."""
        try:
            action()
        except kind as error:
            require(error.fix, f"{what}: the error does not say how to mend it")
        except Exception as error:
            raise Failure(f"{what}: {type(error).__name__} instead of {kind.__name__}") from error
        else:
            raise Failure(f"{what} is accepted")


def llm_checks() -> list[str]:
    """Names of all checks of a language model, in the order they run.

    Examples
    --------
    >>> "deadlines_are_kept" in llm_checks()
    True
    """
    return list(LLM_CHECKS)


def check_llm(
    model: ChatModel, *, checks: Sequence[str] | None = None, raise_on_failure: bool = False
) -> list[CheckResult]:
    """Run the battery on a language model of your own, or of the library.

    The model answers some thirty short questions, which costs a few thousand tokens. It need not be clever: one that
    cannot follow a schema passes if it says so by the error of the protocol.

    Parameters
    ----------
    model : ChatModel
    checks : sequence of str, optional
        Names from `llm_checks()`; all by default.
    raise_on_failure : bool
        Raise one error that names all failures.

    Returns
    -------
    list of CheckResult
        One for each check, in order.

    Raises
    ------
    ChecksFailedError
        If checks fail and `raise_on_failure` is set.
    UsageError
        For an unknown name of a check.

    Examples
    --------
    >>> from pluralism.llm import ScriptedChat
    >>> results = check_llm(ScriptedChat(lambda request: "Green."), checks=["replies_are_texts"])
    >>> print(results[0].name, results[0].status)
    replies_are_texts passed
    """
    return run_checks(LLM_CHECKS, checks, LLMCase(model), repr(model), raise_on_failure=raise_on_failure)


def replies_are_texts(case: LLMCase) -> None:
    """A reply has a text, an end, and the name of the model."""
    reply = case.model.chat(case.say(), max_tokens=TOKENS)
    require(isinstance(reply.text, str), "the text is no str")
    require(reply.finish in ("stop", "length"), f"the reply ends by {reply.finish!r}")
    require(reply.model and reply.value is None and reply.tool_calls == (), "the reply holds what was not asked for")


def mappings_are_messages(case: LLMCase) -> None:
    """Mappings are taken as messages, and are not changed."""
    given = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": QUESTION}]
    before = json.dumps(given)
    case.model.chat(given, max_tokens=TOKENS)
    require(json.dumps(given) == before, "the messages were changed")


def usage_is_counted(case: LLMCase) -> None:
    """Every call is counted, in the reply and in the model's total."""
    before = case.model.usage
    reply = case.model.chat(case.say(), max_tokens=TOKENS)
    require(reply.usage.calls >= 1 and reply.usage.tokens >= 0, f"a call counts {reply.usage!r}")
    require(case.model.usage == before + reply.usage, "the total does not grow by the usage of the call")


def limits_are_heeded(case: LLMCase) -> None:
    """No more tokens are written than allowed."""
    reply = case.model.chat(case.say("Count from 1 to 100, in words."), max_tokens=5)
    require(reply.usage.completion_tokens <= 5, f"{reply.usage.completion_tokens} tokens instead of 5")


def streams_come_in_pieces(case: LLMCase) -> None:
    """The pieces of a stream are its text; the reply is there at the end and not before."""
    stream = case.model.stream(case.say(), max_tokens=TOKENS)
    case.refuses(lambda: stream.reply, "the reply of a stream that has not ended")
    pieces = list(stream)
    require(all(isinstance(piece, str) and piece for piece in pieces), "a piece is empty or no str")
    require("".join(pieces) == stream.reply.text, "the pieces are not the text")


def streams_can_be_left(case: LLMCase) -> None:
    """Leaving a stream stops it, and the model answers again."""
    with case.model.stream(case.say("Count from 1 to 100, in words."), max_tokens=TOKENS) as stream:
        next(stream, None)
    replies_are_texts(case)


def deadlines_are_kept(case: LLMCase) -> None:
    """A call that has no time raises the error of deadlines."""
    model, say = case.model, case.say()
    case.refuses(lambda: model.chat(say, timeout=1e-9), "a reply without time", DeadlineError)
    case.refuses(lambda: list(model.stream(say, timeout=1e-9)), "a stream without time", DeadlineError)
    case.refuses(lambda: model.choose(say, ["A", "B"], timeout=1e-9), "a choice without time", DeadlineError)


def schemas_are_followed_or_not(case: LLMCase) -> None:
    """A reply to a schema holds its validated value, or the error says that it does not fit."""
    schema = case.schema()
    try:
        reply = case.model.chat(case.say(), schema=schema, max_tokens=120)
    except ReplyFormatError:
        raise Skip("the model does not follow a schema, and says so") from None
    require(isinstance(reply.value, schema), "the value is not of the schema")
    require(0 <= reply.repairs <= 2 and reply.usage.calls >= reply.repairs + 1, "repairs are not counted")


def tools_are_called_or_not(case: LLMCase) -> None:
    """Calls are of tools that were offered, with validated arguments."""
    tool = Tool("paint", "Paints the wall in a colour.", case.schema())
    try:
        reply = case.model.chat(case.say("Paint the wall red."), tools=[tool], max_tokens=120)
    except ReplyFormatError:
        raise Skip("the model does not call tools, and says so") from None
    for call in reply.tool_calls:
        require(call.name == "paint" and isinstance(call.arguments, tool.arguments), f"a call is {call!r}")
    require((reply.finish == "tool_calls") == bool(reply.tool_calls), "the end does not tell of the calls")


def choices_are_distributions(case: LLMCase) -> None:
    """Probabilities of options are such, in the order of the options."""
    for options in (["A", "B", "NA"], ["wiser", "not wiser", "not sure"]):
        try:
            choice = case.model.choose(case.say("Which?"), options, samples=4)
        except ReplyFormatError:
            raise Skip("the model names none of the options, and says so") from None
        require(choice.options == tuple(options), "the options are others")
        p = choice.probabilities
        require(p.shape == (len(options),) and (p >= 0).all(), "probabilities are missing or negative")
        require(abs(p.sum() - 1) < 1e-9 and 0 < choice.mass <= 1, "probabilities do not add up")
        require(choice.best == options[int(np.argmax(p))], "the best option is another")


def order_of_options_does_not_matter(case: LLMCase) -> None:
    """Where the question is the same, listing the options otherwise permutes the probabilities."""
    options = ["yes", "no", "both"]
    try:
        first = case.model.choose(case.say("Yes, no or both?"), options, instruct=False, method="logprobs")
        second = case.model.choose(case.say("Yes, no or both?"), options[::-1], instruct=False, method="logprobs")
    except LanguageModelError:
        raise Skip("the model tells no token probabilities of these options") from None
    if not case.model.deterministic:
        raise Skip("the model does not promise the same answer twice")
    require(np.allclose(first.probabilities, second.probabilities[::-1], atol=1e-6), "the order decides")


def a_seed_decides(case: LLMCase) -> None:
    """Models that promise it give the same reply for the same seed."""
    if not case.model.deterministic:
        raise Skip("the model does not promise the same answer twice")
    texts = [case.model.chat(case.say(), max_tokens=TOKENS, temperature=1.0, seed=7).text for _ in range(2)]
    require(texts[0] == texts[1], "one seed gives two replies")


def what_is_said_stays_hidden(case: LLMCase) -> None:
    """No `repr` shows a text."""
    messages = case.say(f"Say {SECRET}.")
    reply = case.model.chat(messages, max_tokens=TOKENS)
    stream = case.model.stream(messages, max_tokens=TOKENS)
    for shown in (case.model, messages[0], reply, stream):
        require(SECRET not in repr(shown), f"{type(shown).__name__} shows what is said")
    stream.close()


def odd_texts_are_taken(case: LLMCase) -> None:
    """Emoji, controls and other models' role markers do not break a call."""
    case.model.chat(case.say(ODD), max_tokens=TOKENS)
    case.model.chat([Message("system", ""), Message("user", "")], max_tokens=TOKENS)


def threads_do_not_mix(case: LLMCase) -> None:
    """Calls of several threads are all answered and counted."""
    before = case.model.usage
    with ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: case.model.chat(case.say(), max_tokens=4), range(8)))
    total = before
    for reply in replies:
        total += reply.usage
    require(case.model.usage == total, "calls are lost or counted twice")


def results_are_written(case: LLMCase) -> None:
    """Replies, choices and usage have a frame and JSON."""
    reply = case.model.chat(case.say(), max_tokens=TOKENS)
    require(json.loads(reply.to_json())["text"] == reply.text, "the JSON of a reply has another text")
    require(reply.to_frame().num_rows == 1 and reply.usage.to_frame().num_rows == 1, "a frame has not one row")
    require(json.loads(reply.usage.to_json())["calls"] == reply.usage.calls, "the JSON of the usage differs")


def bad_requests_are_refused(case: LLMCase) -> None:
    """What cannot be is refused before it costs anything."""
    model, say = case.model, case.say()
    tool = Tool("paint", "Paints.", case.schema())
    actions: dict[str, Callable[[], Any]] = {
        "no message": lambda: model.chat([]),
        "a text in place of messages": lambda: model.chat(cast("Any", "Hello")),
        "an unknown role": lambda: model.chat([{"role": "king", "content": "Hello"}]),
        "half a character": lambda: model.chat([{"role": "user", "content": "\ud800"}]),
        "a negative temperature": lambda: model.chat(say, temperature=-1.0),
        "no tokens": lambda: model.chat(say, max_tokens=0),
        "no time": lambda: model.chat(say, timeout=0.0),
        "a negative seed": lambda: model.chat(say, seed=-1),
        "a schema and tools": lambda: model.chat(say, schema=case.schema(), tools=[tool]),
        "two tools of one name": lambda: model.chat(say, tools=[tool, tool]),
        "one option": lambda: model.choose(say, ["A"]),
        "the same option twice": lambda: model.choose(say, ["A", "A"]),
        "an empty option": lambda: model.choose(say, ["A", " "]),
        "no samples": lambda: model.choose(say, ["A", "B"], samples=0),
    }
    before = model.usage
    for what, action in actions.items():
        case.refuses(action, what)
    require(model.usage == before, "refused requests are counted")


LLM_CHECKS: dict[str, Callable[[LLMCase], None]] = {
    check.__name__: check
    for check in (
        replies_are_texts,
        mappings_are_messages,
        usage_is_counted,
        limits_are_heeded,
        streams_come_in_pieces,
        streams_can_be_left,
        deadlines_are_kept,
        schemas_are_followed_or_not,
        tools_are_called_or_not,
        choices_are_distributions,
        order_of_options_does_not_matter,
        a_seed_decides,
        what_is_said_stays_hidden,
        odd_texts_are_taken,
        threads_do_not_mix,
        results_are_written,
        bad_requests_are_refused,
    )
}
