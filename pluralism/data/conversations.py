r"""Conversations as texts: lists of messages with a role and a content, written so that they can be read back.

One message of the expected role (a user who asks, an assistant who answers) is its content alone. Anything else is
written turn by turn, each as its role, a colon and its content, with an empty line between turns:
``"User: Hi.\n\nAssistant: Hello!\n\nUser: Tea or milk?"``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["as_messages", "as_text", "reads_back"]

Message = dict[str, str]

_MARK = re.compile(r"(?:\A|\n\n)([A-Z][a-z_]*): ")
_ROLES = ("System", "User", "Assistant", "Tool", "Developer")


def as_text(messages: Sequence[Mapping[str, Any]], lone: str) -> str:
    """Write messages as one text; `lone` is the role whose single message is written without a mark.

    Examples
    --------
    >>> as_text([{"role": "user", "content": "Tea or milk?"}], lone="user")
    'Tea or milk?'

    Raises
    ------
    ValueError
        If a message has no role, or its content is no text (a picture, a call of a tool).
    """
    turns = [_turn(message) for message in messages]
    if len(turns) == 1 and turns[0][0] == lone and not _begins_with_mark(turns[0][1]):
        return turns[0][1]
    return "\n\n".join(f"{role.capitalize()}: {content}" for role, content in turns)


def as_messages(text: str, lone: str) -> list[Message]:
    r"""Read messages back from `as_text`.

    Examples
    --------
    >>> as_messages("User: Hi.\n\nAssistant: Hello!", lone="user")
    [{'role': 'user', 'content': 'Hi.'}, {'role': 'assistant', 'content': 'Hello!'}]
    """
    if not _begins_with_mark(text):
        return [{"role": lone, "content": text}]
    marks = [mark for mark in _MARK.finditer(text) if mark[1] in _ROLES]
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [{"role": mark[1].lower(), "content": text[mark.end() : end]} for mark, end in zip(marks, ends, strict=True)]


def reads_back(messages: Sequence[Mapping[str, Any]], lone: str) -> bool:
    """Whether `as_messages` gives these messages back; not if a content looks as if a new turn began in it."""
    turns = [{"role": role, "content": content} for role, content in map(_turn, messages)]
    return as_messages(as_text(messages, lone), lone) == turns


def _begins_with_mark(text: str) -> bool:
    mark = _MARK.match(text)
    return mark is not None and mark.start(1) == 0 and mark[1] in _ROLES


def _turn(message: Mapping[str, Any]) -> tuple[str, str]:
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or not isinstance(content, str):
        raise ValueError("a message needs a role and a content that is text")
    if message.get("tool_calls"):
        raise ValueError("a message calls a tool")
    return role, content
