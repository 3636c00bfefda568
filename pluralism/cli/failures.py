"""What a user sees when something goes wrong: one message on standard error and an exit code, never a traceback."""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from pluralism.cli.wording import as_options
from pluralism.errors import PluralismError, PluralismWarning, UsageError

__all__ = ["DEBUG_VARIABLE", "debugging", "readable_warnings", "report_failure", "stopped"]

DEBUG_VARIABLE = "PLURALISM_DEBUG"
BAD_INPUT, DEFECT, INTERRUPTED, CLOSED_PIPE = 2, 1, 130, 141


def debugging() -> bool:
    """Whether the user asked for tracebacks and for the warnings of other libraries."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def stopped(resumable: bool) -> int:
    """Say that Ctrl-C was heard; returns the exit code."""
    how = "What is finished is kept: resume with the same command." if resumable else "Nothing was written."
    sys.stderr.write(f"\nStopped. {how}\n")
    return INTERRUPTED


def report_failure(error: BaseException, command: str) -> int:
    """Write one message about `error` to standard error; returns the exit code.

    Parameters
    ----------
    error : BaseException
        What was raised.
    command : str
        What to ask for help, such as ``"pluralism fit"``.
    """
    if isinstance(error, BrokenPipeError):
        # The reader of our output has gone; Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED_PIPE
    if debugging():
        traceback.print_exception(error)
    if isinstance(error, PluralismError):
        fix = error.fix and as_options(error.fix)
        return _say(str(type(error)(error.what, where=error.where, fix=fix)), BAD_INPUT)
    if hasattr(error, "format_message"):
        if type(error).__name__ == "NoArgsIsHelpError":
            return BAD_INPUT
        usage = UsageError(_sentence(error.format_message()), where=command, fix=f"{command} --help lists the options.")
        return _say(str(usage), BAD_INPUT)
    if isinstance(error, OSError) and error.filename is not None:
        from pluralism.files.atomic import storage_error

        return _say(str(storage_error("read or write", str(error.filename), error)), BAD_INPUT)
    if isinstance(error, MemoryError):
        return _say("There is not enough memory for this. Use fewer rows, or features in half precision.", DEFECT)
    text = " ".join(f"{type(error).__name__}: {error}".split())
    hint = f"set {DEBUG_VARIABLE}=1 and run it again to see where"
    return _say(f"Something went wrong inside pluralism, which is a defect of it ({text}); {hint}.", DEFECT)


@contextmanager
def readable_warnings() -> Iterator[None]:
    """Show each warning of this package once, as one line; those of other libraries only when debugging."""
    shown: set[str] = set()

    def say(text: str) -> None:
        line = " ".join(text.split())
        if line not in shown:
            shown.add(line)
            sys.stderr.write(f"warning: {line}\n")

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        ours = issubclass(category, PluralismWarning)
        say(as_options(str(message)) if ours else f"{message} ({filename}:{lineno})")

    logger, handler = logging.getLogger("pluralism"), _Lines(say)
    logger.addHandler(handler)
    propagate, logger.propagate = logger.propagate, False
    try:
        with warnings.catch_warnings():
            if not debugging():
                warnings.simplefilter("ignore")
            warnings.simplefilter("always", PluralismWarning)
            warnings.showwarning = show
            yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(handler)


class _Lines(logging.Handler):
    """Passes warnings that are logged to a function."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self.say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on what was logged."""
        self.say(record.getMessage())


def _say(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    return text if text.endswith((".", "?", "!")) else f"{text}."
