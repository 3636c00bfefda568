"""Progress of a long job: a callback, or a bar on standard error where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["ProgressOption", "reporter"]

ProgressOption = bool | Callable[[int, int], None]


@contextmanager
def reporter(progress: ProgressOption, description: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (done, total).

    Parameters
    ----------
    progress : bool or callable
        A callable is called with (done, total); True shows a bar if standard error is a terminal; False does nothing.
    description : str
        Stands before the bar.
    """
    if callable(progress):
        yield progress
        return
    if not progress or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
