"""Faults to inject into the system calls that write files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

CALLS = ("open", "write", "fsync", "replace")


class Faults:
    """Makes the k-th system call of a block fail; counts and names the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.trace: list[str] = []

    @contextmanager
    def at(self, k: int, code: int) -> Iterator[None]:
        """Fail call number `k` (from 1; 0 fails none) with the errno `code`."""
        self.trace = []
        with self._monkeypatch.context() as patch:
            for name in CALLS:
                patch.setattr(os, name, self._wrap(name, getattr(os, name), k, code))
            yield

    def _wrap(self, name: str, call: Callable[..., object], k: int, code: int) -> Callable[..., object]:
        def wrapped(*args: object, **kwargs: object) -> object:
            self.trace.append(name)
            if len(self.trace) == k:
                raise OSError(code, os.strerror(code))
            return call(*args, **kwargs)

        return wrapped


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """System calls that fail on demand."""
    return Faults(monkeypatch)
