"""The loop of the Habermas machine: drafts, predicted rankings, Schulze's winner; critiques, revised drafts, a winner.

A model predicts how each participant would rank the group statements that were drafted; the statement that wins is
shown to all. Predictions fail at times: a person whose prediction failed is left out of the count, and with nobody left
the order is drawn at random.

References
----------
M. Tessler et al., AI can help humans find common ground in democratic deliberation, Science 386 (2024).
M. Schulze, A new monotonic, clone-independent, reversal symmetric, and condorcet-consistent single-winner election
method, Social Choice and Welfare 36 (2011).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, Int64

from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice import Profile
from pluralism.social_choice.pairwise_kernels import widest_paths

__all__ = ["Deliberation", "DeliberationRound", "Draft", "Predict", "RankedStatements", "deliberate", "rank_statements"]

Draft = Callable[[Sequence[str], str | None, Sequence[str]], Sequence[str]]
"""Writes group statements: takes opinions, the winner of the last round (None at first) and what those with these
opinions said of it (nothing at first)."""

Predict = Callable[[Sequence[str], Sequence[str], str | None, Sequence[str]], Float[np.ndarray, "voters statements"]]
"""Predicts how those with these opinions rank statements, as `rank_statements` takes it: takes opinions, statements,
the winner of the last round and the critiques of it, in the order of the opinions."""


@dataclass(frozen=True, eq=False, repr=False)
class RankedStatements:
    """Group statements in the order in which a group would put them.

    Attributes
    ----------
    statements : tuple of str
    order : tuple of int
        Positions of the statements, best first; ties are broken.
    schulze_rank : int array of shape (statements,)
        Place before ties were broken, 0 the best.
    skipped : tuple of int
        Participants whose prediction failed.
    tie_breaks : tuple of int
        Participants whose ballots broke ties, in the order in which they were drawn.
    """

    statements: tuple[str, ...]
    order: tuple[int, ...]
    schulze_rank: Int[np.ndarray, " statements"]
    skipped: tuple[int, ...]
    tie_breaks: tuple[int, ...]

    @property
    def winner(self) -> str:
        """The statement that comes first."""
        return self.statements[self.order[0]]

    def to_frame(self) -> pa.Table:
        """Columns `rank, statement, schulze_rank`, best first."""
        order = list(self.order)
        return pa.table(
            {
                "rank": list(range(1, len(order) + 1)),
                "statement": [self.statements[i] for i in order],
                "schulze_rank": self.schulze_rank[order] + 1,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`, who was skipped, and whose ballots broke ties."""
        return {
            "statements": self.to_frame().to_pylist(),
            "skipped": list(self.skipped),
            "tie_breaks": list(self.tie_breaks),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        tied = int((self.schulze_rank == 0).sum())
        note = f"; {tied} tied before a random ballot" if tied > 1 else ""
        return f"RankedStatements({len(self.statements)} statements, first: {self.winner[:60]!r}{note})"


def rank_statements(
    statements: Sequence[str], rankings: Float[np.ndarray, "voters statements"], *, rng: RNG = None
) -> RankedStatements:
    """Put statements in order by Schulze's method on predicted rankings.

    A path of majorities is as strong as the fewest voters on the winning side of any of them. Statements are sorted by
    how many others they are not behind. Ties are broken by the ballots of participants in random order, each refining
    what those before left tied, and then at random.

    Parameters
    ----------
    statements : sequence of str
    rankings : array of shape (voters, statements)
        Predicted place of each statement, smaller is better, equal is tied; a row with a NaN is a failed prediction.
    rng : int, Generator or None
    """
    names = tuple(map(str, statements))
    places = np.asarray(rankings, dtype=np.float64)
    if places.ndim != 2 or places.shape[1] != len(names) or not names or np.isinf(places).any():
        raise DataError(
            f"Rankings have shape (voters, {len(names)}), not {places.shape}.", fix="Give one place a statement."
        )
    generator = as_generator(rng, "deliberation")
    counted = np.flatnonzero(~np.isnan(places).any(axis=1))
    skipped = tuple(np.setdiff1d(np.arange(len(places)), counted).tolist())
    rank = _schulze_ranks(places[counted]) if len(counted) else np.zeros(len(names), dtype=np.int64)
    refined = rank.copy()
    used = []
    for voter in generator.permutation(counted):
        if len(np.unique(refined)) == len(names):
            break
        used.append(int(voter))
        order = np.lexsort((places[voter], refined))
        keys = np.stack([refined[order], places[voter][order]], axis=1)
        refined[order] = np.concatenate([[0], np.cumsum((np.diff(keys, axis=0) != 0).any(axis=1))])
    order = np.lexsort((generator.random(len(names)), refined))
    return RankedStatements(names, tuple(order.tolist()), rank, skipped, tuple(used))


def _schulze_ranks(places: Float[np.ndarray, "voters statements"]) -> Int64[np.ndarray, " statements"]:
    """Places by how many others each is not behind; equal numbers are tied."""
    support = Profile.from_utilities(-places).support
    paths = widest_paths(np.where(support > support.T, support, 0))
    np.fill_diagonal(paths, 0)
    wins = (paths >= paths.T).sum(axis=1)
    return np.searchsorted(np.unique(-wins), -wins).astype(np.int64)


@dataclass(frozen=True, repr=False)
class DeliberationRound:
    """One round: what was drafted, how it was ranked, and what participants said of the winner."""

    ranked: RankedStatements
    critiques: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Deliberation:
    """All rounds of a deliberation; the last winner is the group's statement."""

    opinions: tuple[str, ...]
    rounds: tuple[DeliberationRound, ...]

    @property
    def statement(self) -> str:
        """The winner of the last round."""
        return self.rounds[-1].ranked.winner

    def to_frame(self) -> pa.Table:
        """Columns `round, winner, statements, skipped, critiques`."""
        return pa.table(
            {
                "round": list(range(1, len(self.rounds) + 1)),
                "winner": [one.ranked.winner for one in self.rounds],
                "statements": [len(one.ranked.statements) for one in self.rounds],
                "skipped": [len(one.ranked.skipped) for one in self.rounds],
                "critiques": [sum(map(bool, one.critiques)) for one in self.rounds],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Opinions and rounds as plain types."""
        rounds = [{**one.ranked.to_dict(), "critiques": list(one.critiques)} for one in self.rounds]
        return {"opinions": list(self.opinions), "statement": self.statement, "rounds": rounds}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return f"Deliberation({len(self.opinions)} opinions, {len(self.rounds)} rounds: {self.statement[:60]!r})"


def deliberate(
    opinions: Sequence[str],
    draft: Draft,
    predict: Predict,
    critique: Callable[[str], Sequence[str]],
    *,
    n_critiques: int = 1,
    rng: RNG = None,
) -> Deliberation:
    """Run the loop.

    Parameters
    ----------
    opinions : sequence of str
        One of each participant.
    draft : callable
        As `Draft`. Opinions, and critiques with them, come in another order each round, so that nobody is always first.
    predict : callable
        As `Predict`.
    critique : callable
        ``critique(winner)`` asks the participants: a text of each, in the order of the opinions, empty for none.
    n_critiques : int
        Rounds of critique, 0 or more.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If nothing is drafted, or critiques are not as many as opinions.
    """
    said = tuple(map(str, opinions))
    if not said or n_critiques < 0:
        raise UsageError(
            f"{len(said)} opinions and n_critiques={n_critiques!r} are not possible.", fix="Give an opinion or more."
        )
    generator = as_generator(rng, "deliberation")
    rounds: list[DeliberationRound] = []
    winner: str | None = None
    critiques: tuple[str, ...] = ()
    for turn in range(n_critiques + 1):
        order = generator.permutation(len(said))
        asked = [critiques[i] for i in order] if critiques else []
        statements = list(dict.fromkeys(draft([said[i] for i in order], winner, asked)))
        if not statements:
            raise DataError(f"No statement was drafted in round {turn + 1}.", fix="Draft at least one.")
        ranked = rank_statements(statements, predict(said, statements, winner, critiques), rng=generator)
        winner = ranked.winner
        critiques = tuple(map(str, critique(winner))) if turn < n_critiques else ()
        if critiques and len(critiques) != len(said):
            raise DataError(
                f"There are {len(critiques)} critiques of {len(said)} participants.",
                where=f"round {turn + 1}",
                fix="Give one of each participant, empty for none.",
            )
        rounds.append(DeliberationRound(ranked, critiques))
    return Deliberation(said, tuple(rounds))
