"""What people value, asked and counted: values cards, moral graphs that say how sure they are, and what to ask next."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "ValuesCard": "values_card",
    "lint_card": "card_lint",
    "lint_cards": "card_lint",
}

__all__ = ["ValuesCard", "lint_card", "lint_cards"]

if TYPE_CHECKING:
    from pluralism.elicitation.card_lint import lint_card, lint_cards
    from pluralism.elicitation.values_card import ValuesCard


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.elicitation.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.elicitation' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
