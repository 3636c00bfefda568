"""A model whose answers are written beforehand: for tests, demonstrations and dry runs, over the same protocol."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pluralism.errors import LanguageModelError
from pluralism.llm.chat_model import ChatModel, Weights
from pluralism.llm.messages import ToolCall
from pluralism.llm.options import Options
from pluralism.llm.request import Completion, RawCall, Request
from pluralism.llm.usage import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Answer", "ScriptedChat"]

Answer: TypeAlias = "str | Mapping[str, Any] | BaseModel | ToolCall | Exception"

_PIECES = re.compile(r"\S*\s*")


class ScriptedChat(ChatModel):
    """Answers from a list, one after the other, or from a function of the request.

    A text is the reply; a mapping or a pydantic model is its JSON; a `ToolCall` calls a tool; an exception is raised.
    When `choose` asks, a mapping from options to probabilities is what the model thinks, and a text is one verdict.

    Parameters
    ----------
    answers : sequence, or callable
        The function gets the `Request`; it is called by one thread at a time.
    name : str
    timeout : float
        Seconds that one call may take, repairs included.

    Attributes
    ----------
    requests : list of Request
        What was asked for.

    Examples
    --------
    >>> model = ScriptedChat(["Hello.", {"mood": "good"}])
    >>> model.chat([{"role": "user", "content": "Hi"}]).text
    'Hello.'
    """

    def __init__(
        self, answers: Sequence[Answer] | Callable[[Request], Answer], *, name: str = "scripted", timeout: float = 60.0
    ) -> None:
        super().__init__(name, timeout=timeout)
        self.requests: list[Request] = []
        self._answers = answers
        self._turns = threading.RLock()

    def complete(self, request: Request) -> Completion:
        """The next answer."""
        return self._completion(request, self._next(request))

    def pieces(self, request: Request) -> Iterator[str | Completion]:
        """The next answer word by word."""
        completion = self.complete(request)
        for piece in _PIECES.findall(completion.text):
            request.deadline.remaining()
            yield piece
        yield completion

    def weigh(self, request: Request, options: Options) -> Weights | None:
        """The next answer, where it is a mapping from options to probabilities."""
        with self._turns:
            answer = self._answers(request) if callable(self._answers) else next(iter(self._answers), None)
            if not isinstance(answer, Mapping) or not set(answer) <= set(options.options):
                return None
            self.requests.append(request)
            if not callable(self._answers):
                self._answers = self._answers[1:]
        return Weights(options.weigh(answer), "exact", _usage(request, ""))

    def _next(self, request: Request) -> Answer:
        request.deadline.remaining()
        with self._turns:
            self.requests.append(request)
            if callable(self._answers):
                answer: Answer = self._answers(request)
            elif self._answers:
                answer, self._answers = self._answers[0], self._answers[1:]
            else:
                raise LanguageModelError(f"{self.name} has no more answers.", fix="Write one for each call.")
        request.deadline.remaining()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _completion(self, request: Request, answer: Answer) -> Completion:
        if isinstance(answer, ToolCall):
            call = RawCall(answer.name, answer.arguments.model_dump_json(), answer.id)
            return Completion("", "tool_calls", _usage(request, call.arguments), self.name, (call,))
        text = answer if isinstance(answer, str) else _document(answer)
        words = _PIECES.findall(text)[:-1]
        if request.max_tokens is not None and len(words) > request.max_tokens:
            text = "".join(words[: request.max_tokens])
            return Completion(text, "length", _usage(request, text), self.name)
        return Completion(text, "stop", _usage(request, text), self.name)


def _document(answer: Any) -> str:
    return answer.model_dump_json() if hasattr(answer, "model_dump_json") else json.dumps(answer, ensure_ascii=False)


def _usage(request: Request, text: str) -> Usage:
    """Words, where a real model counts tokens."""
    return Usage(1, sum(len(message.content.split()) for message in request.messages), len(text.split()))
