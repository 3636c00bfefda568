"""Rules as objects: a pure function with a name, a source and declared axioms, which can explain itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from pluralism.errors import DataError, UsageError
from pluralism.social_choice.outcome import CommitteeOutcome, Explanation, Lottery, Outcome, Step

__all__ = ["AXIOMS", "Log", "Rule", "explaining", "rule"]

AXIOMS = (
    "anonymity",
    "neutrality",
    "majority",
    "condorcet",
    "condorcet_loser",
    "smith",
    "pareto",
    "monotonicity",
    "clone_independence",
    "participation",
    "reinforcement",
    "reversal_symmetry",
)
"""Names of the axioms that a rule may declare; `pluralism.social_choice.axioms` checks them."""

Result = TypeVar("Result", Outcome, CommitteeOutcome, Lottery)


class Log(Protocol):
    """Notes one step of a count; does nothing unless the rule is asked to explain itself."""

    def __call__(self, text: str, /, **data: Any) -> None:
        """Note a step.

        Parameters
        ----------
        text : str
            What was done, as a sentence.
        **data
            The numbers behind it.
        """


@dataclass(frozen=True, eq=False)
class Rule(Generic[Result]):
    """A social choice rule.

    Attributes
    ----------
    name : str
    takes : type
        What it counts: a `Profile`, an `ApprovalProfile` or `Utilities`.
    source : str
        Where the rule is defined.
    axioms : mapping of str to bool
        Axioms that the rule is known to satisfy or to fail; those left out are not claimed either way.
    function : callable
        ``function(profile, log, **options)``.
    """

    name: str
    takes: type[Any]
    source: str
    axioms: Mapping[str, bool]
    function: Callable[..., Result]

    def __call__(self, profile: Any, /, **options: Any) -> Result:
        """The outcome for a profile.

        Raises
        ------
        DataError
            If the profile has no voters or no candidates.
        UsageError
            If it is of another kind than the rule takes, or an option is not possible.
        """
        self._check(profile)
        return self.function(profile, _silent, **options)

    def explain(self, profile: Any, /, **options: Any) -> Explanation:
        """The outcome with the steps that led to it."""
        self._check(profile)
        steps: list[Step] = []
        outcome = self.function(profile, lambda text, /, **data: steps.append(Step(text, data)), **options)
        return Explanation(outcome, tuple(steps))

    def _check(self, profile: Any) -> None:
        if not isinstance(profile, self.takes):
            raise UsageError(
                f"The rule {self.name!r} counts {self.takes.__name__}, not {type(profile).__name__}.",
                fix=f"Make {self.takes.__name__} of your data first.",
            )
        if not profile.candidates:
            raise DataError("There are no candidates.", fix="Give at least one candidate.")
        if getattr(profile, "total", 1) == 0:
            raise DataError("There are no voters.", fix="Give at least one ballot with a count above 0.")

    def __repr__(self) -> str:
        return f"Rule({self.name!r}, of a {self.takes.__name__}; {self.source})"


def rule(
    name: str, *, takes: type[Any], source: str, axioms: Mapping[str, bool] | None = None
) -> Callable[[Callable[..., Result]], Rule[Result]]:
    """Make a `Rule` of a function ``f(profile, log, **options)``.

    Parameters
    ----------
    name : str
        By which the rule is found, in lower case with hyphens.
    takes : type
        What the function counts.
    source : str
        Where the rule is defined.
    axioms : mapping of str to bool, optional
        Of the names in `AXIOMS`.
    """
    declared = dict(axioms or {})
    unknown = declared.keys() - set(AXIOMS)
    if unknown:
        raise UsageError(f"{sorted(unknown)[0]!r} is no axiom.", fix=f"Axioms are {', '.join(AXIOMS)}.")

    def decorate(function: Callable[..., Result]) -> Rule[Result]:
        made = Rule(name, takes, source, declared, function)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return decorate


def explaining(log: Log) -> bool:
    """Whether steps are noted at all: where they cost more than the count itself, ask before writing them."""
    return log is not _silent


def _silent(text: str, /, **data: Any) -> None:
    """Note nothing."""
