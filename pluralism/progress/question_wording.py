"""Questions between options in words, and answers read back: by number, never by the place of a guess."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["chosen_option", "offered", "question"]

INSTRUCTION = "Which of these responses do you prefer? Answer with its number and nothing else."
_OFFERED = re.compile(r'Response (\d+): """(.*?)"""', re.DOTALL)
_NUMBER = re.compile(r"(?<!\d)\d+(?!\d)")


def question(prompt: str, options: Sequence[str]) -> dict[str, str]:
    """A question in the two fields of the published layout, `instruction` and `input`."""
    listed = "\n".join(f'Response {k + 1}: """{option}"""' for k, option in enumerate(options))
    return {"instruction": INSTRUCTION, "input": f'Query Q: """{prompt}"""\n{listed}'}


def offered(text: str) -> tuple[str, ...]:
    """The options that a text offers in order; none where it is no question of this form.

    Examples
    --------
    >>> offered(question("Tea?", ["yes", "no"])["input"])
    ('yes', 'no')
    """
    found = _OFFERED.findall(text)
    numbers = [int(number) for number, _ in found]
    return tuple(option for _, option in found) if numbers == list(range(1, len(found) + 1)) else ()


def chosen_option(answer: str, options: Sequence[str]) -> int | None:
    """Which option an answer names, by its number or in its own words; None where that cannot be told.

    Examples
    --------
    >>> chosen_option("Response 2", ["yes", "no"]), chosen_option("Yes.", ["yes", "no"]), chosen_option("?", ["a", "b"])
    (1, 0, None)
    """
    said = answer.strip().strip("\"'.").casefold()
    whole = [k for k, option in enumerate(options) if said == option.strip().strip("\"'.").casefold()]
    if len(whole) == 1:
        return whole[0]
    named = {int(number) for number in _NUMBER.findall(said)} & set(range(1, len(options) + 1))
    return named.pop() - 1 if len(named) == 1 else None
