"""Other people's texts and our numbers, made fit to be shown."""

from __future__ import annotations

import math

from pluralism.printable import printable

__all__ = ["counted", "interval", "label", "number", "one_line", "percent", "printable", "signed"]

_SPACE = "\u00a0"


def one_line(text: str, limit: int) -> str:
    """The text as `printable`, on one line and no longer than `limit`."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip(" ,.;:-") + "…"


def label(text: str, limit: int = 40) -> str:
    r"""As `one_line`, for a figure: no formulas.

    Examples
    --------
    >>> label("It costs\n$5 or $6, which is a lot of money", 20)
    'It costs \\$5 or \\$6…'
    """
    return one_line(text, limit).replace("$", r"\$")


def number(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals, a real minus sign, and a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """As `number`, with a plus sign where it is positive."""
    shown = number(value, digits)
    return shown if shown[0] in "−–" else f"+{shown}"


def percent(share: float | None, digits: int = 0) -> str:
    r"""A share in [0, 1] as a percentage.

    Examples
    --------
    >>> percent(0.4567), percent(None)
    ('46\xa0%', '–')
    """
    if share is None or not math.isfinite(share):
        return "–"
    return f"{100 * share:.{digits}f}{_SPACE}%".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int = 3, *, of_percent: bool = False) -> str:
    """An interval, "0.712 to 0.745"; empty where there is none."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    if of_percent:
        return f"{number(100 * low, digits)} to {percent(high, digits)}"
    return f"{number(low, digits)} to {number(high, digits)}"


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """A number of things: "1 group", "1,200 people".

    Examples
    --------
    >>> counted(1200, "person", "people")
    '1,200 people'
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"
