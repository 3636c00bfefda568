"""Where a command's result goes: a table for people, or one JSON object, on standard output and nothing else there."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Output", "clean_text", "output", "plain_values"]

_DIRECTION_MARKS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Output:
    """The result of one command.

    Parameters
    ----------
    console : rich.console.Console
        Standard output.
    as_json : bool
        Whether to print the document instead of the table.
    """

    def __init__(self, console: Console, *, as_json: bool) -> None:
        self.console, self.as_json = console, as_json

    def show(self, document: Mapping[str, Any], render: Callable[[Console], None]) -> None:
        """Print the document as JSON, or let `render` print to the console."""
        if not self.as_json:
            render(self.console)
            return
        unicode = (getattr(self.console.file, "encoding", None) or "utf-8").lower().startswith("utf")
        text = json.dumps(plain_values(document), ensure_ascii=not unicode, allow_nan=False)
        self.console.file.write(text + "\n")
        self.console.file.flush()

    def say(self, text: str = "") -> None:
        """Print a line for people; nothing with --json."""
        if not self.as_json:
            self.console.print(text, soft_wrap=False)


@contextmanager
def output(as_json: bool) -> Iterator[Output]:
    """Give the place for a command's result; what libraries print meanwhile goes to standard error.

    Parameters
    ----------
    as_json : bool
        Whether the user asked for ``--json``.
    """
    from rich.console import Console

    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="replace")
    # Without markup: texts of users hold square brackets.
    console = Console(file=sys.stdout, markup=False, emoji=False, highlight=False)
    with redirect_stdout(sys.stderr):
        yield Output(console, as_json=as_json)


def plain_values(value: Any) -> Any:
    """Turn arrays, numpy scalars, tuples and paths into what JSON knows; NaN and infinity become None."""
    if isinstance(value, Mapping):
        return {str(key): plain_values(member) for key, member in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain_values(member) for member in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _steers(character: str) -> bool:
    return unicodedata.category(character) == "Cc" or character in _DIRECTION_MARKS


def clean_text(text: str, length: int | None = None) -> str:
    """One line without characters that steer a terminal, cut to `length` characters."""
    line = " ".join("".join(" " if _steers(character) else character for character in text).split())
    return line if length is None or len(line) <= length else line[: length - 1].rstrip() + "…"
