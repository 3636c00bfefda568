"""Warnings that libraries raise about each other, which no user can mend."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["without_rename_warnings"]

_RENAMED = r".*(gradient|activation)_checkpointing.*is deprecated.*"
"""TRL 1.16 and PEFT 0.21 ask transformers by names that it warns of since 5.23."""


@contextmanager
def without_rename_warnings() -> Iterator[None]:
    """Pass over warnings of transformers that TRL and PEFT use old names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=_RENAMED, category=FutureWarning)
        yield
