"""The rules by name."""

from __future__ import annotations

from typing import Any

from pluralism.errors import UsageError
from pluralism.social_choice.borda import borda
from pluralism.social_choice.rule import Rule

__all__ = ["find_rule", "rules"]

_RULES: tuple[Rule[Any], ...] = (borda,)


def rules() -> dict[str, Rule[Any]]:
    """All rules of this package, by name."""
    return {each.name: each for each in _RULES}


def find_rule(name: str) -> Rule[Any]:
    """A rule by its name, such as "borda" or "ranked-pairs".

    Raises
    ------
    UsageError
        If there is no such rule; the message lists those there are.
    """
    known = rules()
    if name not in known:
        raise UsageError(f"There is no rule {name!r}.", fix=f"Rules are {', '.join(sorted(known))}.")
    return known[name]
