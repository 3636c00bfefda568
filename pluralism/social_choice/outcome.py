"""What a rule says: the winners as a set, scores and rankings where the rule has them, and the steps that led there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["CommitteeOutcome", "Explanation", "Lottery", "Outcome", "Score", "Step"]

Score = int | float | Fraction


@dataclass(frozen=True)
class Outcome:
    """The winners under a rule that chooses one candidate; several are tied.

    Attributes
    ----------
    rule : str
    candidates : tuple of str
    winners : tuple of str
        The tied set, in the order of `candidates`.
    scores : tuple of numbers, optional
        One for each candidate, exact where the rule counts; None where the rule has none.
    ranking : tuple of tuples of str, optional
        All candidates in tie groups, best first, where the rule ranks them.
    notes : tuple of str
        What a reader must know: a heuristic, a bound, a convention.
    """

    rule: str
    candidates: tuple[str, ...]
    winners: tuple[str, ...]
    scores: tuple[Score, ...] | None = None
    ranking: tuple[tuple[str, ...], ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def unique(self) -> bool:
        """Whether one candidate wins alone."""
        return len(self.winners) == 1

    def break_tie(self, *, rng: RNG = None, order: Sequence[str] | None = None) -> str:
        """One of the winners, by an explicit rule.

        Parameters
        ----------
        rng : int or Generator, optional
            Draw one at random, each with the same chance.
        order : sequence of str, optional
            The first of these that is among the winners.

        Raises
        ------
        UsageError
            If neither or both are given, or no winner is in `order`.
        """
        if (rng is None) == (order is None):
            raise UsageError("A tie is broken by rng or by an order.", fix="Pass rng=0, say, or order=[...].")
        if order is None:
            return self.winners[int(as_generator(rng, "tie").integers(len(self.winners)))]
        for name in order:
            if name in self.winners:
                return name
        raise UsageError("The order names none of the winners.", fix=f"Winners are {', '.join(self.winners)}.")

    def to_frame(self) -> pa.Table:
        """Columns `candidate, winner`, and `score` and `rank` where there are such."""
        columns: dict[str, Any] = {
            "candidate": list(self.candidates),
            "winner": [name in self.winners for name in self.candidates],
        }
        if self.scores is not None:
            columns["score"] = [float(score) for score in self.scores]
        if self.ranking is not None:
            place = {name: rank for rank, tie in enumerate(self.ranking, 1) for name in tie}
            columns["rank"] = [place.get(name) for name in self.candidates]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; Fractions as "p/q"."""
        return {
            "rule": self.rule,
            "candidates": list(self.candidates),
            "winners": list(self.winners),
            "scores": None if self.scores is None else [json_ready(score) for score in self.scores],
            "ranking": None if self.ranking is None else [list(tie) for tie in self.ranking],
            "notes": list(self.notes),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        who = self.winners[0] if self.unique else f"tie of {', '.join(self.winners)}"
        scored = ""
        if self.scores is not None:
            best = sorted(zip(self.scores, self.candidates, strict=True), key=lambda pair: -float(pair[0]))[:5]
            scored = "; " + ", ".join(f"{name} {number(score)}" for score, name in best)
            scored += ", ..." if len(self.candidates) > len(best) else ""
        return f"Outcome({self.rule}: {who}{scored})"


@dataclass(frozen=True)
class CommitteeOutcome:
    """The committees that a rule elects; several are tied.

    Attributes
    ----------
    rule : str
    candidates : tuple of str
    committees : tuple of tuples of str
        Each in the order of `candidates`; at least one.
    complete : bool
        Whether all tied committees are listed.
    scores : tuple of numbers, optional
        One for each candidate or, with `objective`, none.
    objective : number, optional
        What the rule maximises, where it maximises something.
    notes : tuple of str
    """

    rule: str
    candidates: tuple[str, ...]
    committees: tuple[tuple[str, ...], ...]
    complete: bool = True
    scores: tuple[Score, ...] | None = None
    objective: Score | None = None
    notes: tuple[str, ...] = ()

    @property
    def unique(self) -> bool:
        """Whether one committee is elected, with no other tied to it."""
        return len(self.committees) == 1 and self.complete

    def break_tie(self, *, rng: RNG) -> tuple[str, ...]:
        """One of the committees listed, drawn at random with the same chance each."""
        return self.committees[int(as_generator(rng, "tie").integers(len(self.committees)))]

    def to_frame(self) -> pa.Table:
        """Columns `candidate`, and `committee_1`, ... of bools."""
        columns: dict[str, Any] = {"candidate": list(self.candidates)}
        for i, committee in enumerate(self.committees, 1):
            columns[f"committee_{i}"] = [name in committee for name in self.candidates]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; Fractions as "p/q"."""
        return {
            "rule": self.rule,
            "candidates": list(self.candidates),
            "committees": [list(committee) for committee in self.committees],
            "complete": self.complete,
            "scores": None if self.scores is None else [json_ready(score) for score in self.scores],
            "objective": None if self.objective is None else json_ready(self.objective),
            "notes": list(self.notes),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        first = ", ".join(self.committees[0])
        others = len(self.committees) - 1
        more = "" if self.complete and not others else f"; {others}{'' if self.complete else ' or more'} tied"
        return f"CommitteeOutcome({self.rule}: {first}{more})"


@dataclass(frozen=True, eq=False)
class Lottery:
    """Probabilities of candidates: how a rule chooses that chooses at random.

    Attributes
    ----------
    rule : str
    candidates : tuple of str
    probabilities : array of shape (candidates,)
    unique : bool
        Whether no other lottery satisfies the rule.
    value : float
        What the lottery guarantees in the terms of its rule.
    notes : tuple of str
    exact : tuple of Fraction, optional
        The probabilities as fractions, where they were worked out and verified as such.
    """

    rule: str
    candidates: tuple[str, ...]
    probabilities: Float[np.ndarray, " candidates"]
    unique: bool
    value: float
    notes: tuple[str, ...] = ()
    exact: tuple[Fraction, ...] | None = None

    @property
    def winners(self) -> tuple[str, ...]:
        """Candidates that can be chosen."""
        return tuple(name for name, p in zip(self.candidates, self.probabilities, strict=True) if p > 0)

    def draw(self, rng: RNG) -> str:
        """One candidate, drawn."""
        return self.candidates[int(as_generator(rng, "lottery").choice(len(self.candidates), p=self.probabilities))]

    def to_frame(self) -> pa.Table:
        """Columns `candidate, probability`."""
        return pa.table({"candidate": list(self.candidates), "probability": self.probabilities})

    def to_dict(self) -> dict[str, Any]:
        """The fields by name; Fractions as "p/q"."""
        return {
            "rule": self.rule,
            "candidates": list(self.candidates),
            "probabilities": self.probabilities.tolist(),
            "unique": self.unique,
            "value": self.value,
            "notes": list(self.notes),
            "exact": None if self.exact is None else [json_ready(share) for share in self.exact],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        order = np.argsort(-self.probabilities, kind="stable")
        shown = [f"{self.candidates[i]} {self.probabilities[i]:.3g}" for i in order[:8] if self.probabilities[i] > 0]
        more = ", ..." if len(self.winners) > len(shown) else ""
        return f"Lottery({self.rule}: {', '.join(shown)}{more}{'' if self.unique else '; not the only one'})"


@dataclass(frozen=True)
class Step:
    """One step of a count: what was done, and the numbers behind it."""

    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """An outcome with the steps that led to it, which a person can follow."""

    outcome: Outcome | CommitteeOutcome | Lottery
    steps: tuple[Step, ...]

    def to_frame(self) -> pa.Table:
        """Columns `step, text`, and `data` as JSON."""
        return pa.table(
            {
                "step": list(range(1, len(self.steps) + 1)),
                "text": [step.text for step in self.steps],
                "data": [json.dumps(json_ready(step.data), ensure_ascii=False) for step in self.steps],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The outcome and the steps."""
        return {
            "outcome": self.outcome.to_dict(),
            "steps": [{"text": step.text, "data": json_ready(step.data)} for step in self.steps],
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        lines = [f"{i}. {step.text}" for i, step in enumerate(self.steps, 1)]
        return "\n".join([*lines, repr(self.outcome)])


def number(value: Score) -> str:
    """A score as text: whole numbers whole, other numbers with four digits or more."""
    exact = Fraction(value) if not isinstance(value, float) or np.isfinite(value) else None
    if exact is not None and exact.denominator == 1:
        return f"{exact.numerator:,}"
    inexact = float(value)
    return f"{inexact:,.1f}" if 1e3 <= abs(inexact) < 1e15 else f"{inexact:.4g}"
