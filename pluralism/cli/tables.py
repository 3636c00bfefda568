"""Tables and numbers as people read them in a terminal."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

__all__ = ["heading", "number", "percent", "percent_span", "print_table", "span", "table", "wrapped"]

Number = float | int | None
Side = Literal["left", "right"]
Column = str | tuple[str, Side]


def table(columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> Table:
    """A table with one line under the header; columns are to the right unless said otherwise, the first to the left."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    made = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False, header_style="bold")
    for position, column in enumerate(columns):
        other: Side = "right" if position else "left"
        name, side = (column, other) if isinstance(column, str) else column
        made.add_column(name, justify=side, overflow="fold", no_wrap=side == "right")
    for row in rows:
        made.add_row(*["" if cell is None else str(cell) for cell in row])
    return made


def print_table(console: Console, columns: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Print a table, and an empty line after it."""
    console.print(table(columns, rows))
    console.print()


def heading(console: Console, text: str) -> None:
    """Print a heading."""
    console.print(text, style="bold")


def wrapped(console: Console, text: str, *, mark: str = "", style: str | None = None) -> None:
    """Print running text in lines of at most 100 characters, hanging from a mark such as a bullet."""
    lines = textwrap.wrap(text, min(console.width, 100), initial_indent=mark, subsequent_indent=" " * len(mark))
    console.print("\n".join(lines), style=style, soft_wrap=True)


def number(value: Number, digits: int = 3, *, sign: bool = False) -> str:
    """A number, or a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if not text.strip("+-0."):
        return text.lstrip("+-")
    return text.replace("-", "−")


def span(bounds: Sequence[Number] | None, digits: int = 3) -> str:
    """An interval, or a dash where there is none."""
    if bounds is None or any(bound is None or not math.isfinite(bound) for bound in bounds):
        return "–"
    low, high = (number(bound, digits) for bound in bounds)
    return f"{low}–{high}" if not f"{low}{high}".count("−") else f"{low} to {high}"


def percent(value: Number, digits: int = 0) -> str:
    """A share as a percentage."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def percent_span(bounds: Sequence[Number] | None, digits: int = 0) -> str:
    """An interval of shares as percentages."""
    if bounds is None or any(bound is None or not math.isfinite(bound) for bound in bounds):
        return "–"
    low, high = (f"{100 * (bound or 0.0):.{digits}f}" for bound in bounds)
    return f"{low}–{high} %"
