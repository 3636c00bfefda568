"""Optional dependencies: import them where they are used, and say which line installs a missing one."""

from __future__ import annotations

import importlib
from types import ModuleType

from pluralism.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module.

    Parameters
    ----------
    module : str
        Dotted name.
    extra : str
        The extra of this package that brings it.
    purpose : str
        What needs it, as the subject of a sentence: ``"The packaged MiniLM encoder"``.

    Raises
    ------
    MissingExtraError
        The module is not installed. A module that is there but fails to import raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as cause:
        if cause.name is None or not f"{module}.".startswith(f"{cause.name}."):
            raise
        raise MissingExtraError(
            f"{purpose} needs the module {cause.name!r}, which is not installed.",
            fix=f"pip install 'pluralism[{extra}]'",
        ) from cause
