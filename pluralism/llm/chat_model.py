"""The protocol of language models: `chat`, `stream` and `choose`, whatever answers."""

from __future__ import annotations

import abc
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias, final

import numpy as np
from jaxtyping import Float64

from pluralism.errors import LanguageModelError, RefusalError, ReplyFormatError, UsageError
from pluralism.llm.deadline import Deadline
from pluralism.llm.messages import Message, MessageLike, Tool, as_messages
from pluralism.llm.options import Options
from pluralism.llm.reply import Choice, Reply, ReplyStream
from pluralism.llm.request import Completion, Request
from pluralism.llm.structured import Misfit, read_calls, read_value, spoken, spoken_pieces
from pluralism.llm.usage import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["REPAIRS", "ChatModel", "Method", "Weights"]

REPAIRS = 2
Method: TypeAlias = Literal["auto", "logprobs", "sampled"]

# Below this a server's few likeliest tokens say next to nothing about the options.
_LEAST_MASS = 0.01


@dataclass(frozen=True, eq=False)
class Weights:
    """How likely an answer begins with each option, by tokens.

    Attributes
    ----------
    log_probabilities : array, shape (options,)
        Natural logarithms; the probabilities sum to at most 1.
    method : {"exact", "logprobs"}
    usage : Usage
    told : bool
        False where a server answered, and is to be paid, but told no probabilities: all of them are then 0.
    """

    log_probabilities: Float64[np.ndarray, " options"]
    method: Literal["exact", "logprobs"]
    usage: Usage
    told: bool = True


class ChatModel(abc.ABC):
    """A language model that answers messages.

    Subclasses write `complete`, `pieces` and, where they know token probabilities, `weigh`; everything else follows
    from these. All methods may be called by several threads at once.

    Parameters
    ----------
    name : str
        What to call it in records, without anything secret.
    timeout : float
        Seconds that one call may take, tries and repairs included.

    Attributes
    ----------
    deterministic : bool
        Whether a seed decides the reply.
    """

    deterministic = False

    def __init__(self, name: str, *, timeout: float) -> None:
        Deadline(timeout, name)
        self.name, self.timeout = name, timeout
        self._spent = Usage()
        self._counting = threading.Lock()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __enter__(self) -> ChatModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def usage(self) -> Usage:
        """Calls and tokens of this object so far."""
        return self._spent

    @final
    def chat(
        self,
        messages: Sequence[MessageLike],
        *,
        schema: type[BaseModel] | None = None,
        tools: Sequence[Tool] | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Reply:
        """Answer messages.

        An answer that does not fit `schema` or `tools` is repaired: the model is told what is wrong, at most twice.

        Parameters
        ----------
        messages : sequence of Message or mapping
            Mappings have the keys ``role`` and ``content``.
        schema : type of pydantic.BaseModel, optional
            What the answer has to fit; `Reply.value` holds it.
        tools : sequence of Tool, optional
            What the model may call; `Reply.tool_calls` holds the calls.
        temperature : float, optional
            0 always takes the likeliest token. Default: the model's own.
        max_tokens : int, optional
            Of the reply. Default: the model's own.
        seed : int, optional
            Local models give the same answer for the same seed; servers may.
        timeout : float, optional
            Seconds for the whole call; that of the model by default.

        Raises
        ------
        ReplyFormatError
            The answer does not fit after two repairs.
        RefusalError
            The model declines.
        DeadlineError
            It takes too long.
        LanguageModelError
            It cannot be reached or used.
        """
        request = self._request(messages, timeout, schema, tools, temperature, max_tokens, seed)
        spent = Usage()
        misfit = Misfit([])
        for repairs in range(REPAIRS + 1):
            completion = self.complete(request)
            self._count(completion.usage)
            spent += completion.usage
            if completion.finish == "refusal":
                raise self._refused()
            try:
                reply = self._checked(completion, request)
            except Misfit as found:
                misfit = found
                said = (Message("assistant", completion.text),) if completion.text else ()
                request = replace(request, messages=(*request.messages, *said, Message("user", misfit.request())))
                continue
            return replace(reply, usage=spent, repairs=repairs)
        raise ReplyFormatError(
            f"{self.name} gave {REPAIRS + 1} answers that do not fit: {misfit}",
            fix="Use a stronger model or a simpler schema, or raise max_tokens if the answer is cut off.",
        )

    @final
    def stream(
        self,
        messages: Sequence[MessageLike],
        *,
        temperature: float | None = None,
        max_tokens: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> ReplyStream:
        """Answer messages in pieces, as they are written; parameters and errors as in `chat`.

        A stream that breaks before its first piece is tried again; later the error is raised, because what was shown
        cannot be taken back.

        Examples
        --------
        >>> from pluralism.llm import ScriptedChat
        >>> stream = ScriptedChat(["One two."]).stream([{"role": "user", "content": "Count."}])
        >>> list(stream), stream.reply.finish
        (['One ', 'two.'], 'stop')
        """
        request = self._request(messages, timeout, None, None, temperature, max_tokens, seed)
        ended: list[Completion] = []

        def texts() -> Iterator[str]:
            for piece in self.pieces(request):
                if isinstance(piece, Completion):
                    ended.append(piece)
                elif piece:
                    yield piece

        def finished() -> Reply:
            if not ended:
                raise LanguageModelError(f"{self.name} ended without saying why.", fix="Try again.")
            self._count(ended[0].usage)
            if ended[0].finish == "refusal":
                raise self._refused()
            return self._checked(ended[0], request)

        return ReplyStream(spoken_pieces(texts()), finished)

    @final
    def choose(
        self,
        messages: Sequence[MessageLike],
        options: Sequence[str],
        *,
        method: Method = "auto",
        samples: int = 16,
        instruct: bool = True,
        max_tokens: int | None = None,
        seed: int | None = None,
        timeout: float | None = None,
    ) -> Choice:
        """Probabilities of options as the answer.

        Parameters
        ----------
        messages : sequence of Message or mapping
        options : sequence of str
            2 to 26 different texts. Short ones that begin with different letters are asked for as they are; others
            are lettered, and the letters asked for.
        method : {"auto", "logprobs", "sampled"}
            ``logprobs`` uses token probabilities: exact ones of a local model, or the likeliest that a server tells.
            ``sampled`` counts verdicts at temperature 1. ``auto`` counts verdicts where a server tells no token
            probabilities, or such that give the options together less than 1 %; `Choice.method` says which it was.
        samples : int
            Verdicts to count.
        instruct : bool
            Whether to append a line that asks for one of the options.
        max_tokens : int, optional
            Of each sampled verdict.
        seed : int, optional
            Verdict k is drawn with seed + k.
        timeout : float, optional
            Seconds for the whole call, all samples included.

        Raises
        ------
        ReplyFormatError
            No answer names an option.
        UsageError
            Options that cannot be told apart, or no sample.
        LanguageModelError
            As in `chat`; also for ``logprobs`` where the model does not tell them.

        Examples
        --------
        >>> from pluralism.llm import ScriptedChat
        >>> model = ScriptedChat(lambda request: {"A": 0.6, "B": 0.2})
        >>> model.choose([{"role": "user", "content": "Which?"}], ["A", "B"])
        Choice({'A': 0.75, 'B': 0.25}, method='exact', mass=0.8)
        """
        offered = Options.of(options)
        if method not in ("auto", "logprobs", "sampled") or samples < 1:
            raise UsageError(
                f"method={method!r} with {samples} samples cannot be.",
                fix="Use method 'auto', 'logprobs' or 'sampled', and one sample or more.",
            )
        request = self._request(messages, timeout, None, None, None, max_tokens, seed)
        if instruct:
            request = request.with_text(offered.instruction())
        weighed = Usage()
        if method != "sampled":
            weights = self.weigh(request, offered)
            weighed = Usage() if weights is None else weights.usage
            self._count(weighed)
            choice = None if weights is None else _choice(weights, offered, least=0.0 if method == "logprobs" else None)
            if choice is not None:
                return choice
            if method == "logprobs":
                self._no_probabilities(told=weights is not None and weights.told)
        return self._sample(request, offered, samples, weighed)

    @abc.abstractmethod
    def complete(self, request: Request) -> Completion:
        """One answer, unchecked; it heeds `request.deadline`."""

    @abc.abstractmethod
    def pieces(self, request: Request) -> Iterator[str | Completion]:
        """The texts of one answer as they are written, then the whole."""

    def weigh(self, request: Request, options: Options) -> Weights | None:
        """Token probabilities of the options' labels; None where the model does not tell them."""
        return None

    def close(self) -> None:  # noqa: B027  (most models hold nothing open)
        """Let go of what is held open; a later call opens it again."""

    def _request(
        self,
        messages: Sequence[MessageLike],
        timeout: float | None,
        schema: type[BaseModel] | None,
        tools: Sequence[Tool] | None,
        temperature: float | None,
        max_tokens: int | None,
        seed: int | None,
    ) -> Request:
        deadline = Deadline(self.timeout if timeout is None else timeout, self.name)
        return Request(as_messages(messages), deadline, schema, tuple(tools or ()), temperature, max_tokens, seed)

    def _count(self, usage: Usage) -> None:
        with self._counting:
            self._spent += usage

    def _checked(self, completion: Completion, request: Request) -> Reply:
        value = None if request.schema is None else read_value(completion, request.schema)
        calls = read_calls(completion, request.tools)
        finish: Literal["stop", "length", "tool_calls"] = "stop"
        if completion.finish == "length" or calls:
            finish = "tool_calls" if calls else "length"
        return Reply(spoken(completion.text), value, calls, finish, completion.usage, 0, completion.model)

    def _sample(self, request: Request, offered: Options, samples: int, weighed: Usage) -> Choice:
        counts = np.zeros(len(offered.options))
        spent = weighed
        for k in range(samples):
            seed = None if request.seed is None else request.seed + k
            completion = self.complete(replace(request, temperature=1.0, seed=seed))
            self._count(completion.usage)
            spent += completion.usage
            verdict = None if completion.finish == "refusal" else offered.read(completion.text)
            if verdict is not None:
                counts[verdict] += 1
        if not counts.any():
            raise ReplyFormatError(
                f"None of {samples} answers of {self.name} names one of the options.",
                fix="Use a stronger model, or word the question so that the answer is one of them.",
            )
        mass = float(counts.sum() / samples)
        return Choice(offered.options, counts / counts.sum(), mass, "sampled", samples, spent)

    def _no_probabilities(self, *, told: bool) -> None:
        if not told:
            raise LanguageModelError(f"{self.name} does not tell token probabilities.", fix="Use method='sampled'.")
        raise ReplyFormatError(
            f"The likeliest answers of {self.name} name none of the options.",
            fix="Use method='sampled', or word the question so that the answer is one of them.",
        )

    def _refused(self) -> RefusalError:
        return RefusalError(f"{self.name} declines to answer.", fix="Word the request otherwise, or use another model.")


def _choice(weights: Weights, offered: Options, least: float | None) -> Choice | None:
    """The choice that token probabilities make; None where they hardly speak of the options."""
    log_mass = float(np.logaddexp.reduce(weights.log_probabilities))
    if least is None:
        least = 0.0 if weights.method == "exact" else _LEAST_MASS
    if log_mass == -np.inf or np.exp(log_mass) < least:
        return None
    probabilities = np.exp(weights.log_probabilities - log_mass)
    mass = min(float(np.exp(log_mass)), 1.0)
    return Choice(offered.options, probabilities, mass, weights.method, 0, weights.usage)
