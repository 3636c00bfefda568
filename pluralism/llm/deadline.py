"""How long a call may still take."""

from __future__ import annotations

import time

from pluralism.errors import DeadlineError, UsageError

__all__ = ["Deadline"]


class Deadline:
    """A moment by which a call must have ended, whatever it does.

    Parameters
    ----------
    seconds : float
        From now; infinite where it does not matter.
    what : str
        What has to answer, as the subject of a sentence.
    """

    def __init__(self, seconds: float, what: str) -> None:
        if not seconds > 0:
            raise UsageError(f"timeout is {seconds}.", fix="Give a number of seconds above zero.")
        self.seconds, self.what = seconds, what
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds that are left.

        Raises
        ------
        DeadlineError
            There are none.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise self.error()
        return left

    def error(self) -> DeadlineError:
        """The error for having passed it."""
        return DeadlineError(
            f"{self.what} did not answer within {self.seconds:g} seconds.",
            fix="Raise timeout, ask for fewer tokens, or use a faster model.",
        )
