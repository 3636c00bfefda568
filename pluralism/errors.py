"""Errors and warnings that say what is wrong, where, and how to mend it.

Every error a user can cause is a `PluralismError`. It carries a stable code (explained in the docs under
"Errors"), the place (file, row, column) where that is known, and the next thing to do. The command line prints
exactly this and exits with code 2; no traceback reaches a user.
"""

from __future__ import annotations

__all__ = [
    "AccessError",
    "BudgetError",
    "CacheError",
    "ComparabilityWarning",
    "ComponentWarning",
    "ConflictError",
    "ConvergenceWarning",
    "DataError",
    "DataWarning",
    "DeadlineError",
    "EncoderError",
    "InterviewError",
    "LanguageModelError",
    "MissingExtraError",
    "ModelFileError",
    "NotFittedError",
    "NotFoundError",
    "PluralismError",
    "PluralismWarning",
    "RefusalError",
    "ReplyFormatError",
    "SeparationError",
    "SeparationWarning",
    "StorageError",
    "UsageError",
]


class PluralismError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence.
    where : str, optional
        Where: file, row (1-based, as an editor counts lines or rows), column, or item ids.
    fix : str, optional
        What to do next: a line to run, an option to set, a value to change.
    """

    code = "PL000"

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        lines = [f"[{self.code}] {self.what}"]
        if self.where:
            lines.append(f"  where: {self.where}")
        if self.fix:
            lines.append(f"  fix:   {self.fix}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def _rebuild(kind: type[PluralismError], what: str, where: str | None, fix: str | None) -> PluralismError:
    return kind(what, where=where, fix=fix)


class UsageError(PluralismError, ValueError):
    """An argument or option has a value that cannot work."""

    code = "PL001"


class DataError(PluralismError, ValueError):
    """The data cannot be used as they are."""

    code = "PL010"


class SeparationError(DataError):
    """Without a prior the likelihood has no finite maximum: some items or directions always win."""

    code = "PL011"


class EncoderError(PluralismError, ValueError):
    """An encoder is unknown, cannot be loaded, or returned unusable vectors."""

    code = "PL020"


class CacheError(PluralismError, RuntimeError):
    """The embedding cache is damaged or cannot be written."""

    code = "PL021"


class MissingExtraError(PluralismError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    code = "PL030"


class NotFittedError(PluralismError, ValueError, AttributeError):
    """The model has not been fitted yet."""

    code = "PL040"


class ModelFileError(PluralismError, ValueError):
    """A saved model is damaged, hostile, or of a schema this version does not know."""

    code = "PL041"


class StorageError(PluralismError, OSError):
    """A file could not be written or read: disk full, read-only, no permission, or a failing device."""

    code = "PL050"


class LanguageModelError(PluralismError, RuntimeError):
    """A language model cannot be loaded or reached, or its answer cannot be used."""

    code = "PL060"


class ReplyFormatError(LanguageModelError):
    """A language model's reply does not have the form that was asked for, even after it was told so."""

    code = "PL061"


class RefusalError(LanguageModelError):
    """A language model refuses to answer."""

    code = "PL062"


class DeadlineError(LanguageModelError, TimeoutError):
    """A language model did not answer in time."""

    code = "PL063"


class BudgetError(LanguageModelError):
    """Another call of a language model would cost more than is allowed."""

    code = "PL064"


class InterviewError(PluralismError, ValueError):
    """A step of an interview is not possible now, or its content cannot be taken."""

    code = "PL070"


class ConflictError(InterviewError):
    """The record of an interview has changed meanwhile: another window or process went on with it."""

    code = "PL071"


class AccessError(PluralismError, PermissionError):
    """A link opens nothing, or not this: it is unknown, expired, revoked or used up, or nobody consented to this."""

    code = "PL080"


class NotFoundError(PluralismError, LookupError):
    """A study has no such participant, card, hypothesis or merge, or there is no such study."""

    code = "PL081"


class PluralismWarning(UserWarning):
    """Base of all warnings."""


class DataWarning(PluralismWarning):
    """The data can be used, but something about them deserves a look."""


class ComponentWarning(DataWarning):
    """The comparison graph falls apart: rewards across its components rest on the prior alone."""


class SeparationWarning(DataWarning):
    """Some items or directions always win: their rewards are finite only because of the prior."""


class ConvergenceWarning(PluralismWarning):
    """A fit stopped before it converged; the last finite state is kept."""


class ComparabilityWarning(PluralismWarning):
    """Utilities of different groups are compared although their zero or their unit means nothing."""
