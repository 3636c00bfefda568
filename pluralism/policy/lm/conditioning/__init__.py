"""Answers for a group without training: words before the prompt, choices among samples, and changes to the decoding."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_NAMES = {
    "Conditioner": "conditioner",
}

__all__ = [
    "Conditioner",
]

if TYPE_CHECKING:
    from pluralism.policy.lm.conditioning.conditioner import Conditioner


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"pluralism.policy.lm.conditioning.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'pluralism.policy.lm.conditioning' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
