"""What a language model is asked for, and what it hands back before anything is checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pluralism.errors import UsageError
from pluralism.llm.deadline import Deadline
from pluralism.llm.messages import Message, Tool
from pluralism.llm.usage import Usage

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Completion", "RawCall", "Request"]

_SCHEMA = "Answer with one JSON object and nothing else. It follows this JSON schema:\n"
_TOOLS = (
    'To call a tool, answer with one JSON object of the form {"tool": NAME, "arguments": {...}} and nothing else. '
    "Otherwise answer in plain text. The tools, with the JSON schema of their arguments:\n"
)


@dataclass(frozen=True, repr=False)
class Request:
    """One call of a model.

    Attributes
    ----------
    messages : tuple of Message
    deadline : Deadline
    schema : type of pydantic.BaseModel, optional
        What the reply has to fit.
    tools : tuple of Tool
    temperature : float, optional
        None is the model's own default.
    max_tokens : int, optional
        Of the reply; None is the model's own default.
    seed : int, optional
    """

    messages: tuple[Message, ...]
    deadline: Deadline
    schema: type[BaseModel] | None = None
    tools: tuple[Tool, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 10:
            raise UsageError(f"temperature is {self.temperature}.", fix="Use 0 (always the likeliest) to 10.")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise UsageError(f"max_tokens is {self.max_tokens}.", fix="Use 1 or more.")
        if self.seed is not None and not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}.", fix="Use a non-negative int of 63 bits.")
        if self.schema is not None and self.tools:
            raise UsageError("A reply either fits a schema or calls tools.", fix="Pass schema or tools, not both.")
        names = [tool.name for tool in self.tools]
        if len(set(names)) != len(names):
            raise UsageError("Two tools have one name.", fix="Name each tool once.")

    def __repr__(self) -> str:
        return f"Request({len(self.messages)} messages)"

    def with_text(self, text: str) -> Request:
        """The same with a text at the end of what the user says."""
        last = self.messages[-1]
        if last.role == "user":
            merged = replace(last, content=f"{last.content}\n\n{text}")
            return replace(self, messages=(*self.messages[:-1], merged))
        return replace(self, messages=(*self.messages, Message("user", text)))

    def instructed(self) -> Request:
        """The same for a model that knows of no schemas and tools: both are explained in words, and calls are texts."""
        plain = replace(self, messages=tuple(_plain(message) for message in self.messages), schema=None, tools=())
        if self.schema is not None:
            return plain.with_text(_SCHEMA + json.dumps(self.schema.model_json_schema(), ensure_ascii=False))
        if self.tools:
            described = [
                {"name": tool.name, "description": tool.description, "arguments": tool.arguments.model_json_schema()}
                for tool in self.tools
            ]
            return plain.with_text(_TOOLS + "\n".join(json.dumps(tool, ensure_ascii=False) for tool in described))
        return plain

    def digest(self) -> str:
        """SHA-256 of everything that decides the answer, and not of the time that it may take."""
        document: dict[str, Any] = {
            "messages": [_document(message) for message in self.messages],
            "schema": None if self.schema is None else self.schema.model_json_schema(),
            "tools": [[tool.name, tool.description, tool.arguments.model_json_schema()] for tool in self.tools],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


class RawCall(NamedTuple):
    """A call of a tool as the model wrote it."""

    name: str
    arguments: str
    id: str


@dataclass(frozen=True, repr=False)
class Completion:
    """What a model wrote, unchecked.

    Attributes
    ----------
    text : str
    finish : {"stop", "length", "tool_calls", "refusal"}
    usage : Usage
    model : str
    calls : tuple of RawCall
    """

    text: str
    finish: Literal["stop", "length", "tool_calls", "refusal"]
    usage: Usage
    model: str
    calls: tuple[RawCall, ...] = ()

    def __repr__(self) -> str:
        return f"Completion({len(self.text)} characters, finish={self.finish!r})"


def _plain(message: Message) -> Message:
    if message.role == "tool":
        return Message("user", f"The tool answers: {message.content}")
    if message.tool_calls:
        calls = [_call(call.name, call.arguments) for call in message.tool_calls]
        return Message("assistant", "\n".join([*([message.content] if message.content else []), *calls]))
    return message


def _call(name: str, arguments: BaseModel) -> str:
    return json.dumps({"tool": name, "arguments": arguments.model_dump(mode="json")}, ensure_ascii=False)


def _document(message: Message) -> list[Any]:
    calls = [[call.id, _call(call.name, call.arguments)] for call in message.tool_calls]
    return [message.role, message.content, calls, message.tool_call_id]
