"""What a model's settings may be, and the error that names one that cannot work."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pluralism.errors import UsageError

__all__ = ["is_number", "is_whole", "refuse"]


def refuse(model: Any, name: str, allowed: str) -> NoReturn:
    """Raise for the setting of that name.

    Raises
    ------
    UsageError
        Always; `allowed` says what the setting is, such as "a positive number".
    """
    raise UsageError(f"{name}={getattr(model, name)!r} is not possible.", fix=f"{name} is {allowed}.")


def is_number(value: Any) -> bool:
    """Whether it is a finite real number (and not a truth value)."""
    real = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return real and bool(np.isfinite(value))


def is_whole(value: Any, least: int = 1) -> bool:
    """Whether it is an integer of at least `least` (and not a truth value)."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)
