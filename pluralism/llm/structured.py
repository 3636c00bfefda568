"""Replies that follow a schema: what a server is told, how a text is read, and what is said about what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from pluralism.llm.messages import Tool, ToolCall

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pluralism.llm.request import Completion, RawCall

__all__ = [
    "Misfit",
    "answer_in",
    "instructed_call",
    "read_calls",
    "read_value",
    "server_schema",
    "spoken",
    "spoken_pieces",
]

# Servers that hold a model to a schema know a part of JSON Schema; these keywords are checked here alone.
_CHECKED_HERE = frozenset({"title", "default", "minLength", "maxLength", "examples", "uniqueItems"})
_THOUGHT, _THOUGHT_END = "<think>", "</think>"
_BRACES = 64


class Misfit(Exception):
    """A reply does not fit.

    Attributes
    ----------
    findings : list of str
        For the model, which may hear its own words.
    public : list of str
        For people and logs: nothing that anybody said.
    """

    def __init__(self, findings: list[str], public: list[str] | None = None) -> None:
        self.findings, self.public = findings, findings if public is None else public
        super().__init__("; ".join(self.public))

    def request(self) -> str:
        """What to tell the model."""
        lines = "\n".join(f"- {finding}" for finding in self.findings)
        return f"Your reply does not have the form that was asked for:\n{lines}\nReply again, with all of it mended."


def spoken(text: str) -> str:
    """A reply, or its beginning, without what a reasoning model thought before it.

    Examples
    --------
    >>> spoken("<think>hm</think> yes"), spoken("<think>not done")
    ('yes', '')
    """
    if not text.lstrip().startswith(_THOUGHT):
        return text
    return text.partition(_THOUGHT_END)[2].lstrip()


def spoken_pieces(pieces: Iterable[str]) -> Iterator[str]:
    """`spoken` for a reply that comes in pieces; what may be the beginning of a thought is held back."""
    held, speaking = "", False
    for piece in pieces:
        if speaking:
            yield piece
            continue
        held += piece
        said = spoken(held)
        speaking = bool(said) and not _THOUGHT.startswith(held.lstrip())
        if speaking:
            yield said
    if not speaking and spoken(held):
        yield spoken(held)


def answer_in(text: str) -> str:
    """What follows the last thought; some models end one that they never began."""
    return spoken(text).rpartition(_THOUGHT_END)[2].strip()


def read_value(completion: Completion, schema: type[BaseModel]) -> BaseModel:
    """The answer in a reply.

    Raises
    ------
    Misfit
        There is no JSON object in it, or that does not follow the schema.
    """
    document = _first_object(completion.text)
    if document is None:
        cut = ", because it was cut off: be shorter" if completion.finish == "length" else ""
        raise Misfit([f"There is no complete JSON object in it{cut}."])
    return _validated(document, schema, "")


def read_calls(completion: Completion, tools: tuple[Tool, ...]) -> tuple[ToolCall, ...]:
    """The calls in a reply.

    Raises
    ------
    Misfit
        It calls a tool that was not offered, or with arguments that do not follow its schema.
    """
    offered = {tool.name: tool for tool in tools}
    calls, findings, public = [], [], []
    for raw in completion.calls:
        try:
            calls.append(_call(raw, offered))
        except Misfit as misfit:
            findings += misfit.findings
            public += misfit.public
    if findings:
        raise Misfit(findings, public)
    return tuple(calls)


def instructed_call(text: str) -> tuple[str, str] | None:
    """Name and arguments of a call that is written as a JSON object and nothing else."""
    shown = answer_in(text)
    document = _first_object(shown) if shown.startswith(("{", "```")) else None
    if document is None or set(document) != {"tool", "arguments"}:
        return None
    return str(document["tool"]), json.dumps(document["arguments"])


def server_schema(schema: type[BaseModel]) -> dict[str, Any]:
    """A JSON schema in the strict form that servers ask for: all fields required, no others allowed."""
    strict = _strict(schema.model_json_schema())
    if not isinstance(strict, dict):
        raise TypeError(f"{schema.__name__} has no object as its schema")
    return strict


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(member) for member in node]
    if not isinstance(node, dict):
        return node
    names = ("properties", "$defs")
    made = {
        key: {name: _strict(member) for name, member in value.items()} if key in names else _strict(value)
        for key, value in node.items()
        if key not in _CHECKED_HERE
    }
    if "properties" in made:
        made |= {"required": list(made["properties"]), "additionalProperties": False}
    return made


def _call(raw: RawCall, offered: dict[str, Tool]) -> ToolCall:
    if raw.name not in offered:
        names = ", ".join(offered)
        public = f"It calls a tool that there is not; there is {names}."
        raise Misfit([f"There is no tool {raw.name[:60]!r}; there is {names}."], [public])
    try:
        arguments = json.loads(raw.arguments or "{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise Misfit([f"The arguments of {raw.name} are no JSON object."])
    return ToolCall(raw.name, _validated(arguments, offered[raw.name].arguments, f"{raw.name}."), raw.id)


def _validated(document: dict[str, Any], schema: type[BaseModel], place: str) -> BaseModel:
    from pydantic import ValidationError

    try:
        return schema.model_validate(document)
    except ValidationError as error:
        findings, public = [], []
        for entry in error.errors(include_url=False, include_input=False):
            path = place + ".".join(str(part)[:60] for part in entry["loc"])
            findings.append(f"{path}: {entry['msg']}" if path else entry["msg"])
            # Names of fields that a model invents, and what a validator of one's own says, may hold anything.
            known = entry["type"] not in ("extra_forbidden", "value_error", "assertion_error")
            outer = place + ".".join(str(part) for part in entry["loc"] if part in schema.model_fields)
            public.append(f"{path}: {entry['msg']}" if known else f"{outer or 'the whole'}: {entry['type']}")
        raise Misfit(findings, public) from None


def _first_object(text: str) -> dict[str, Any] | None:
    shown = answer_in(text)
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    start = shown.find("{")
    for _ in range(_BRACES):
        if start < 0:
            return None
        try:
            found = decoder.raw_decode(shown, start)[0]
        except (ValueError, RecursionError):
            start = shown.find("{", start + 1)
            continue
        return found if isinstance(found, dict) else None
    return None


def _no_constant(token: str) -> NoReturn:
    raise ValueError(f"{token} is not JSON")
