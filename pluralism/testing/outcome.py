"""What a check found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pluralism.errors import PluralismError

__all__ = ["CheckResult", "ChecksFailedError", "Failure", "Skip", "require"]


@dataclass(frozen=True)
class CheckResult:
    """One check of a battery.

    Attributes
    ----------
    name : str
    status : {"passed", "failed", "skipped"}
    message : str
        Why it failed, or why it does not apply; empty if it passed.
    seconds : float
    """

    name: str
    status: Literal["passed", "failed", "skipped"]
    message: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the check ran and found nothing wrong."""
        return self.status == "passed"

    def __str__(self) -> str:
        return f"{self.status:<8}{self.name}" + (f": {self.message}" if self.message else "")


class ChecksFailedError(PluralismError, AssertionError):
    """Some checks of a battery failed; `failures` holds them."""

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what, where=where, fix=fix)
        self.failures: tuple[CheckResult, ...] = ()

    @classmethod
    def of(cls, subject: str, results: Sequence[CheckResult]) -> ChecksFailedError:
        """The error for these results, some of which failed."""
        failures = tuple(result for result in results if result.status == "failed")
        error = cls(
            f"{subject} fails {len(failures)} of {len(results)} checks.",
            where="\n         ".join(f"{result.name}: {result.message}" for result in failures),
            fix=f"Mend the model and run the check again with checks={[result.name for result in failures]!r}.",
        )
        error.failures = failures
        return error


class Failure(AssertionError):
    """A check found something wrong."""


class Skip(Exception):
    """A check does not apply to this model."""


def require(condition: object, message: str) -> None:
    """Fail the check with a message unless the condition holds."""
    if not condition:
        raise Failure(message)
