"""How people answer: always the same, always yes, yes to both ways of a pair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.elicitation.moral_graph import MoralGraph
from pluralism.elicitation.vote_log import ANSWERS, UPGRADE
from pluralism.errors import UsageError

__all__ = ["ResponseStyles", "response_styles"]


@dataclass(frozen=True, eq=False, repr=False)
class ResponseStyles:
    """How each participant answers.

    Attributes
    ----------
    participants : tuple of str
    counts : int array of shape (participants, 3)
        Ballots upgrade, no_upgrade and not_sure.
    both_ways : int array of shape (participants,)
        Pairs (and contexts) of which the person calls either value wiser than the other.
    p_same : array of shape (participants,)
        Chance of giving so many equal answers, all of one kind, were they drawn at the rates of all people; NaN for
        people with differing answers.
    base_rates : array of shape (3,)
        Shares of the three answers among all ballots.
    least : int
        Ballots that make a straight-liner.
    """

    participants: tuple[str, ...]
    counts: Int[np.ndarray, "participants answers"]
    both_ways: Int[np.ndarray, " participants"]
    p_same: Float[np.ndarray, " participants"]
    base_rates: Float[np.ndarray, " answers"]
    least: int

    @property
    def straight(self) -> Bool[np.ndarray, " participants"]:
        """Who gave `least` ballots or more, all of one kind."""
        total = self.counts.sum(axis=1)
        return (total >= self.least) & (self.counts.max(axis=1) == total)

    @property
    def straight_liners(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(name for name, same in zip(self.participants, self.straight, strict=True) if same)

    @property
    def expected_straight(self) -> float:
        """How many straight-liners there would be, were all answers drawn at the base rates."""
        total = self.counts.sum(axis=1)
        many = total[total >= self.least]
        return float(np.sum(self.base_rates[None] ** many[:, None]))

    def to_frame(self) -> pa.Table:
        """Columns `participant, upgrade, no_upgrade, not_sure, straight, p_same, both_ways`."""
        columns: dict[str, Any] = {"participant": pa.array(self.participants, pa.large_string())}
        columns |= {name: self.counts[:, k] for k, name in enumerate(ANSWERS)}
        columns["straight"] = self.straight
        columns["p_same"] = pa.array(self.p_same, mask=np.isnan(self.p_same))
        columns["both_ways"] = self.both_ways
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """Totals and the rows of `to_frame`."""
        return {
            "base_rates": dict(zip(ANSWERS, self.base_rates.tolist(), strict=True)),
            "straight_liners": len(self.straight_liners),
            "expected_straight_liners": self.expected_straight,
            "participants": self.to_frame().to_pylist(),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n = len(self.participants)
        rates = ", ".join(f"{name} {rate:.0%}" for name, rate in zip(ANSWERS, self.base_rates, strict=True))
        return (
            f"ResponseStyles({n:,} people: {rates}; {len(self.straight_liners):,} give {self.least} or more equal "
            f"answers and no other, {self.expected_straight:.1f} by chance; {int(self.both_ways.sum()):,} pairs are "
            f"called wiser both ways)"
        )


def response_styles(graph: MoralGraph, *, least: int = 3) -> ResponseStyles:
    """Count how people answer.

    Parameters
    ----------
    least : int
        Ballots, 2 or more, that make a straight-liner if all are of one kind.
    """
    if least < 2:
        raise UsageError(f"least={least!r} is not possible.", fix="Use a whole number of at least 2.")
    ballots = graph.ballots()
    n = ballots.n_participants
    cell = ballots.participant.astype(np.int64) * len(ANSWERS) + ballots.answer
    counts = np.bincount(cell, minlength=n * len(ANSWERS)).reshape(n, len(ANSWERS))
    total = counts.sum(axis=1)
    rates = counts.sum(axis=0) / max(int(total.sum()), 1)
    same = (counts.max(axis=1, initial=0) == total) & (total > 0)
    p_same = np.full(n, np.nan)
    p_same[same] = rates[counts[same].argmax(axis=1)] ** total[same]
    yes = ballots.answer == UPGRADE
    values = len(graph.values)
    person = ballots.participant[yes].astype(np.int64) * max(len(graph.contexts), 1) + ballots.context[yes]
    there = (person * values + ballots.source[yes]) * values + ballots.wiser[yes]
    back = (person * values + ballots.wiser[yes]) * values + ballots.source[yes]
    both = np.isin(there, back) & (ballots.source[yes] < ballots.wiser[yes])
    return ResponseStyles(
        tuple(ballots.participants.to_pylist()),
        counts.astype(np.int64),
        np.bincount(ballots.participant[yes][both], minlength=n).astype(np.int64),
        p_same,
        rates,
        least,
    )
