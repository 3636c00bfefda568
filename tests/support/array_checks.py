"""Checks array annotations at each call, in the test run only.

`jaxtyping` calls the checker twice for a function: with a stand-in that takes the arguments, before the function runs,
and with one that takes the arguments and the result (as `ret0`), afterwards. Only the second is checked, so that a
function may refuse bad arguments with an error of its own, and tests can see that it does; and only annotations that
speak of arrays, since mypy holds the others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, get_args

import beartype
from jaxtyping import AbstractArray

__all__ = ["check_arrays"]

F = TypeVar("F", bound=Callable[..., Any])

# An int is welcome where a float is asked for (PEP 484).
_check = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))


def check_arrays(stand_in: F) -> F:
    """The typechecker to name in `jaxtyping.install_import_hook`."""
    if "ret0" not in stand_in.__annotations__:
        return stand_in
    stand_in.__annotations__ = {k: hint for k, hint in stand_in.__annotations__.items() if speaks_of_arrays(hint)}
    return _check(stand_in) if stand_in.__annotations__ else stand_in


def speaks_of_arrays(hint: object) -> bool:
    """Whether a shape or a dtype occurs anywhere within an annotation."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(speaks_of_arrays(part) for part in get_args(hint))
