"""Progress on standard error, where that is a terminal; silent elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Stages", "piece_in_words", "stages"]

_WORDS = {
    "ridge": "choosing the ridge",
    "evidence": "weighing the items' own effects",
    "groups": "scoring held-out users",
    "fit": "fitting",
}


def piece_in_words(piece: str) -> str:
    """What a fit is doing, from the name of the piece that its callback gets, such as ``ridge/3/1.5/0``.

    Examples
    --------
    >>> piece_in_words("ridge/3/1.5/0"), piece_in_words("fit/1")
    ('choosing the ridge, 3 groups', 'fitting, 1 group')
    """
    name, *rest = piece.split("/")
    words = _WORDS.get(name, name)
    if name != "evidence" and rest and rest[0].isdigit():
        words += f", {rest[0]} group{'' if rest[0] == '1' else 's'}"
    return words


class Stages:
    """Says what is being done.

    Parameters
    ----------
    progress : rich.progress.Progress
        With one task.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("", total=None)

    def __call__(self, text: str) -> None:
        """Begin a stage; how long it takes is not known."""
        if text != self.progress.tasks[0].description:
            # A new task, because one that was complete once stays marked so.
            self.progress.remove_task(self.task)
            self.task = self.progress.add_task(text, total=None)

    def share(self, done: int, total: int) -> None:
        """Say how far the stage is."""
        self.progress.update(self.task, completed=done, total=total)


@contextmanager
def stages() -> Iterator[Stages]:
    """Show one line on standard error with what is being done, how far that is, and for how long it has been going on.

    Yields
    ------
    Stages
        Call it with a text for each stage.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text

    started = time.monotonic()

    class Clock(ProgressColumn):
        """Time since the first stage began."""

        def render(self, task: Task) -> Text:
            return Text(str(timedelta(seconds=int(time.monotonic() - started))))

    console = Console(file=sys.stderr, markup=False, emoji=False, highlight=False)
    columns = (
        SpinnerColumn(),
        Clock(),
        BarColumn(bar_width=24),
        TextColumn("{task.description}", markup=False),
    )
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        yield Stages(progress)
