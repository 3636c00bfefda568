"""Rules of pref_voting and abcvoting behind the interface of this package: the long tail, and second opinions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pluralism.errors import UsageError
from pluralism.social_choice.abcvoting_rules import abcvoting_names, abcvoting_rule
from pluralism.social_choice.pref_voting_rules import pref_voting_names, pref_voting_rule
from pluralism.social_choice.rule import Rule

__all__ = ["external", "external_rules"]

_LIBRARIES: dict[str, tuple[Callable[[], tuple[str, ...]], Callable[[str], Rule[Any]]]] = {
    "pref_voting": (pref_voting_names, pref_voting_rule),
    "abcvoting": (abcvoting_names, abcvoting_rule),
}


def external(name: str) -> Rule[Any]:
    """A rule of another library, which needs the extra `voting`.

    Parameters
    ----------
    name : str
        Library and rule, such as "pref_voting:Stable Voting" (a `Profile` in, an `Outcome` out) or "abcvoting:monroe"
        (an `ApprovalProfile` and `seats` in, a `CommitteeOutcome` out). `external_rules` lists them.

    Returns
    -------
    Rule
        It declares no axioms and explains nothing but its source. Options go to the library.

    Raises
    ------
    UsageError
        If there is no such library or rule.
    MissingExtraError
        If the library is not installed.
    """
    library, _, method = name.partition(":")
    if library not in _LIBRARIES or not method:
        raise UsageError(
            f"{name!r} names no rule of another library.",
            fix='Write "pref_voting:Stable Voting" or "abcvoting:monroe", say.',
        )
    return _LIBRARIES[library][1](method)


def external_rules(library: str) -> tuple[str, ...]:
    """Names of the rules of "pref_voting" or "abcvoting" that `external` takes.

    Raises
    ------
    UsageError
        If there is no such library.
    MissingExtraError
        If it is not installed.
    """
    if library not in _LIBRARIES:
        raise UsageError(f"Rules of {library!r} cannot be used.", fix=f"Libraries are {', '.join(sorted(_LIBRARIES))}.")
    return tuple(f"{library}:{method}" for method in _LIBRARIES[library][0]())
