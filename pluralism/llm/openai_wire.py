"""The chat-completions protocol: what is sent, and how an answer is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pluralism.llm.messages import Message
from pluralism.llm.request import Completion, RawCall, Request
from pluralism.llm.structured import server_schema
from pluralism.llm.usage import Usage

__all__ = ["Malformed", "StreamReader", "body_of", "completion_of", "first_tokens", "lacking", "usage_in"]

Document = Mapping[str, Any]

# Parameters that a server may not know, and the words of its error that say so. Anything else that it refuses is an
# error: leaving it out would change what is asked for.
_SIGNS = {
    "response_format": ("response_format", "json_schema"),
    "max_tokens": ("max_completion_tokens",),
    "stream_options": ("stream_options",),
    "top_logprobs": ("top_logprobs",),
    "logprobs": ("logprobs",),
}
_REFUSED_PARAMETER = (400, 422)
_FEW, _MANY = 5, 20


class Malformed(Exception):
    """The server sent something that is no answer."""


def body_of(request: Request, model: str, *, lacks: frozenset[str], weigh: bool = False) -> dict[str, Any]:
    """What to send.

    Parameters
    ----------
    request : Request
    model : str
        Name on the server.
    lacks : frozenset of str
        Parameters that the server is known not to know.
    weigh : bool
        Whether to ask for the probabilities of the first tokens.
    """
    asked = request.instructed() if request.schema is not None else request
    body: dict[str, Any] = {"model": model, "messages": [_message(message) for message in asked.messages]}
    if request.schema is not None and "response_format" not in lacks:
        schema = {"name": request.schema.__name__, "strict": True, "schema": server_schema(request.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.arguments.model_json_schema(),
                },
            }
            for tool in request.tools
        ]
    limit = "max_completion_tokens" if "max_tokens" in lacks else "max_tokens"
    if weigh:
        body |= {"logprobs": True, "top_logprobs": _FEW if "top_logprobs" in lacks else _MANY, "temperature": 1.0}
        body[limit] = 3
    else:
        given = {"temperature": request.temperature, limit: request.max_tokens}
        body |= {name: value for name, value in given.items() if value is not None}
    if request.seed is not None:
        body["seed"] = request.seed
    return body


def lacking(cause: Any, body: Document, lacks: frozenset[str]) -> str | None:
    """Which of the parameters in `body` the server refuses, where the request can do without."""
    if getattr(cause, "status_code", None) not in _REFUSED_PARAMETER:
        return None
    said = f"{getattr(cause, 'param', '')} {getattr(cause, 'message', '')}"
    for name, signs in _SIGNS.items():
        if name in body and name not in lacks and any(sign in said for sign in signs):
            return name
    return None


def completion_of(answer: Any, model: str) -> Completion:
    """Read an answer.

    Raises
    ------
    Malformed
        It is none.
    """
    document = _document(answer)
    choice = _first(document.get("choices"))
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise Malformed("it holds no message")
    calls = []
    for k, call in enumerate(message.get("tool_calls") or ()):
        function = call.get("function") or {}
        calls.append(RawCall(str(function.get("name")), str(function.get("arguments") or ""), _id(call.get("id"), k)))
    finish = _finish(choice.get("finish_reason"), bool(calls), message.get("refusal"))
    text = _text(message.get("content"))
    return Completion(text, finish, _usage(document.get("usage")), _name(document, model), tuple(calls))


def first_tokens(answer: Any) -> list[tuple[str, float]] | None:
    """Likeliest first tokens with their log-probabilities; None where the server does not tell them.

    Some models begin with a space or a line break of its own: then the next token is the first that says something.
    """
    content = (_first(_document(answer).get("choices")).get("logprobs") or {}).get("content") or []
    for position in content:
        found = [(str(top["token"]), float(top["logprob"])) for top in position.get("top_logprobs") or ()]
        own = (str(position.get("token")), float(position.get("logprob") or 0.0))
        if not found:
            return None
        if own[0].strip():
            return found if own[0] in dict(found) else [*found, own]
    return None


def usage_in(answer: Any) -> Usage:
    """Tokens of one answer; zero where the server does not say."""
    return _usage(_document(answer).get("usage"))


class StreamReader:
    """Puts the chunks of a stream together.

    Parameters
    ----------
    model : str
        Name of the model, until the server says one.
    """

    def __init__(self, model: str) -> None:
        self._texts: list[str] = []
        self._model, self._usage = model, _usage(None)
        self._finish: str | None = None
        self._refusal = False

    def read(self, chunk: Any) -> str:
        """The text of a chunk."""
        document = _document(chunk)
        self._model = _name(document, self._model)
        if document.get("usage"):
            self._usage = _usage(document["usage"])
        choices = document.get("choices") or []
        if not choices:
            return ""
        choice = _first(choices)
        self._finish = choice.get("finish_reason") or self._finish
        delta = choice.get("delta") or {}
        self._refusal = self._refusal or bool(delta.get("refusal"))
        text = _text(delta.get("content"))
        self._texts.append(text)
        return text

    def completion(self) -> Completion:
        """The whole.

        Raises
        ------
        Malformed
            The stream broke off.
        """
        if self._finish is None:
            raise Malformed("it broke off")
        finish = _finish(self._finish, False, self._refusal)
        return Completion("".join(self._texts), finish, self._usage, self._model)


def _usage(document: Any) -> Usage:
    counts = document if isinstance(document, Mapping) else {}
    return Usage(1, int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0))


def _message(message: Message) -> dict[str, Any]:
    document: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        document["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments.model_dump_json()},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        document["tool_call_id"] = message.tool_call_id
    return document


def _document(answer: Any) -> Document:
    if not hasattr(answer, "model_dump"):
        raise Malformed("it is no JSON")
    document = answer.model_dump(warnings=False)
    if not isinstance(document, Mapping):
        raise Malformed("it is no object")
    return document


def _first(choices: Any) -> Document:
    if not isinstance(choices, Iterable) or isinstance(choices, str | Mapping):
        raise Malformed("it holds no choices")
    choice = next(iter(choices), None)
    if not isinstance(choice, Mapping):
        raise Malformed("it holds no choice")
    return choice


def _finish(reason: Any, calls: bool, refusal: Any) -> Literal["stop", "length", "tool_calls", "refusal"]:
    if refusal or reason == "content_filter":
        return "refusal"
    if calls:
        return "tool_calls"
    return "length" if reason == "length" else "stop"


def _text(content: Any) -> str:
    return content if isinstance(content, str) else ""


def _id(given: Any, k: int) -> str:
    return str(given) if given else f"call-{k}"


def _name(document: Document, model: str) -> str:
    name = document.get("model")
    return name if isinstance(name, str) and name else model
