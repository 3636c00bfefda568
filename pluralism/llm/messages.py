"""What is said to a language model: messages, tools it may call, and calls that it makes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast, get_args

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["Message", "MessageLike", "Role", "Tool", "ToolCall", "as_messages"]

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
MessageLike: TypeAlias = "Message | Mapping[str, Any]"


@dataclass(frozen=True, repr=False)
class ToolCall:
    """A call that a model makes of a tool that it was offered.

    Attributes
    ----------
    name : str
        The tool.
    arguments : pydantic.BaseModel
        What the model passes, validated by the tool's schema.
    id : str
        By which a message of the role ``tool`` answers it.
    """

    name: str
    arguments: BaseModel
    id: str = "call-0"

    def __repr__(self) -> str:
        return f"ToolCall({self.name!r}, {type(self.arguments).__name__})"


@dataclass(frozen=True, repr=False)
class Message:
    """One message of a conversation; its `repr` does not show what is said.

    Attributes
    ----------
    role : {"system", "user", "assistant", "tool"}
    content : str
    tool_calls : tuple of ToolCall
        Calls that an assistant's message makes.
    tool_call_id : str, optional
        Which call a message of the role ``tool`` answers.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise UsageError(f"A message has the role {self.role!r}.", fix=f"Use {', '.join(get_args(Role))}.")
        if not isinstance(self.content, str):
            raise UsageError(f"A message holds {type(self.content).__name__}.", fix="The content is a str.")
        try:
            self.content.encode()
        except UnicodeEncodeError as cause:
            raise UsageError("A message holds half a character (a lone surrogate).", fix="Remove it.") from cause
        if (self.role == "tool") != (self.tool_call_id is not None) or (self.tool_calls and self.role != "assistant"):
            raise UsageError(
                "Tool calls belong to an assistant's message, and tool_call_id to one of the role 'tool'.",
                fix="Answer a call by Message('tool', text, tool_call_id=call.id).",
            )

    def __repr__(self) -> str:
        return f"Message({self.role!r}, {len(self.content)} characters)"


@dataclass(frozen=True)
class Tool:
    """Something a model may call.

    Attributes
    ----------
    name : str
    description : str
        What it does and when to call it, for the model.
    arguments : type of pydantic.BaseModel
        Schema of what is passed.
    """

    name: str
    description: str
    arguments: type[BaseModel]


def as_messages(messages: Iterable[MessageLike]) -> tuple[Message, ...]:
    """Read messages, or mappings with the keys ``role`` and ``content``.

    Raises
    ------
    UsageError
        If there are none, or one is neither.

    Examples
    --------
    >>> as_messages([{"role": "user", "content": "Hello"}])
    (Message('user', 5 characters),)
    """
    if isinstance(messages, str | Mapping | Message):
        raise UsageError("A conversation is a list of messages.", fix="Put it into a list.")
    found = tuple(message if isinstance(message, Message) else _read(message) for message in messages)
    if not found:
        raise UsageError("There is no message to answer.", fix="Pass at least one message of the role 'user'.")
    return found


def _read(message: Mapping[str, Any]) -> Message:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise UsageError(
            "A message is a Message, or a mapping with the keys role and content.",
            fix="Write {'role': 'user', 'content': 'Hello'}.",
        )
    return Message(cast("Role", message["role"]), message["content"])
