"""Settings that must be numbers, checked before anything is computed with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

from pluralism.errors import UsageError

__all__ = ["is_number", "require_numbers"]


def require_numbers(settings: Any, *, whole: Sequence[str] = (), real: Sequence[str] = ()) -> None:
    """Refuse attributes that are not finite numbers, or not whole where they must be.

    Parameters
    ----------
    settings : object
    whole, real : sequence of str
        Names of its attributes.

    Raises
    ------
    UsageError
        Naming the first that is something else.
    """
    for name in (*whole, *real):
        value = getattr(settings, name)
        if not is_number(value, whole=name in whole):
            needed = "a whole number" if name in whole else "a finite number"
            raise UsageError(f"{name} must be {needed}, not {value!r}.", fix=f"Set {name} to {needed}.")


def is_number(value: Any, *, whole: bool = False) -> bool:
    """Whether something is a finite number, or a whole one."""
    kind = Integral if whole else Real
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
