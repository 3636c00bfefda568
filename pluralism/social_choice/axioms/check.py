"""What the check of an axiom found: a verdict and, where the axiom is violated, the profiles that show it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa

from pluralism.errors import UsageError
from pluralism.social_choice.committees import listed
from pluralism.social_choice.outcome import Lottery, Outcome
from pluralism.social_choice.profile import Profile
from pluralism.social_choice.rule import Rule

__all__ = ["AxiomCheck", "AxiomReport", "Chooser", "Counterexample", "Verdict", "violation"]

Verdict = Literal["holds", "violated", "vacuous", "not_refuted"]
"""See `AxiomCheck`."""

_WORDS = {"holds": "holds", "violated": "violated", "vacuous": "asks for nothing", "not_refuted": "not refuted"}


@dataclass(frozen=True)
class Counterexample:
    """Profiles and their winners under a rule, which together violate an axiom.

    Attributes
    ----------
    profiles : tuple of Profile
        First the profile that was given or found, then what was made of it.
    winners : tuple of tuples of str
        Of each.
    """

    profiles: tuple[Profile, ...]
    winners: tuple[tuple[str, ...], ...]

    def to_dict(self) -> dict[str, Any]:
        """The profiles as in `Profile.to_json`, and their winners."""
        return {
            "profiles": [json.loads(profile.to_json()) for profile in self.profiles],
            "winners": [list(winners) for winners in self.winners],
        }


@dataclass(frozen=True)
class AxiomCheck:
    """Whether a rule satisfies an axiom on a profile.

    Attributes
    ----------
    axiom : str
    verdict : {"holds", "violated", "vacuous", "not_refuted"}
        What the axiom asks of this profile is the case, or is not; it asks for nothing; or it compares the profile
        with others, of which `tried` were tried and none violates it.
    text : str
        What was found, as a sentence.
    tried : int
        Other profiles tried.
    counterexample : Counterexample, optional
        Where the axiom is violated.
    """

    axiom: str
    verdict: Verdict
    text: str
    tried: int = 0
    counterexample: Counterexample | None = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        found = self.counterexample
        return {
            "axiom": self.axiom,
            "verdict": self.verdict,
            "text": self.text,
            "tried": self.tried,
            "counterexample": None if found is None else found.to_dict(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return f"AxiomCheck({self.axiom} {_WORDS[self.verdict]}: {self.text})"


@dataclass(frozen=True)
class AxiomReport:
    """The axioms that a rule satisfies and violates on a profile.

    Attributes
    ----------
    rule : str
    winners : tuple of str
        Of the profile.
    checks : tuple of AxiomCheck
    """

    rule: str
    winners: tuple[str, ...]
    checks: tuple[AxiomCheck, ...]

    def __getitem__(self, axiom: str) -> AxiomCheck:
        for check in self.checks:
            if check.axiom == axiom:
                return check
        raise UsageError(
            f"There is no check of {axiom!r}.", fix=f"Choose one of {', '.join(check.axiom for check in self.checks)}."
        )

    @property
    def violated(self) -> tuple[str, ...]:
        """Axioms that are violated."""
        return tuple(check.axiom for check in self.checks if check.verdict == "violated")

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {
            "rule": self.rule,
            "winners": list(self.winners),
            "checks": [check.to_dict() for check in self.checks],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_frame(self) -> pa.Table:
        """Columns `axiom, verdict, tried, text`, one row for each axiom."""
        names = ("axiom", "verdict", "tried", "text")
        return pa.table({name: [getattr(check, name) for check in self.checks] for name in names})

    def __repr__(self) -> str:
        width = max(len(check.axiom) for check in self.checks)
        rows = [
            f"  {check.axiom.ljust(width)}  {_WORDS[check.verdict].ljust(16)}  {check.text}" for check in self.checks
        ]
        return "\n".join([f"{self.rule} elects {listed(self.winners)}", *rows])


@dataclass(frozen=True)
class Chooser:
    """A rule with its options, asked for nothing but the winners."""

    rule: Rule[Any] | Callable[..., Outcome | Lottery]
    options: dict[str, Any]

    @property
    def name(self) -> str:
        """The name of the rule."""
        return str(getattr(self.rule, "name", None) or getattr(self.rule, "__name__", "the rule"))

    def __call__(self, profile: Profile) -> tuple[str, ...]:
        """The winners; of a lottery, those that can be drawn."""
        outcome = self.rule(profile, **self.options)
        if not isinstance(outcome, Outcome | Lottery):
            raise UsageError(
                f"{self.name} gives a {type(outcome).__name__}, not one winner.",
                fix="These axioms are of rules that choose one candidate; see proportionality() for committees.",
            )
        return outcome.winners

    def draws(self, profile: Profile) -> bool:
        """Whether the rule gives a lottery."""
        return isinstance(self.rule(profile, **self.options), Lottery)


def violation(
    axiom: str, text: str, profiles: tuple[Profile, ...], winners: tuple[tuple[str, ...], ...], tried: int = 0
) -> AxiomCheck:
    """A check that found a violation."""
    return AxiomCheck(axiom, "violated", text, tried, Counterexample(profiles, winners))
