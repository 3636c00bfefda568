"""Generative social choice: a slate of statements, written as it is chosen, that speaks for everybody in proportion.

In each round somebody who can write (a language model, or a pool of candidate statements) is shown the people whom no
statement represents yet, and proposes some; the one that its would-be supporters like best is taken, and represents
them.

References
----------
S. Fish et al., Generative Social Choice, EC 2024 (arXiv:2309.01291).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice import check_balanced_representation, greedy_bjr
from pluralism.social_choice.greedy_bjr import BalancedCheck, Slate

__all__ = ["Generate", "GenerativeSlate", "Rate", "from_pool", "generative_slate"]

Generate = Callable[[Int[np.ndarray, " unrepresented"], int], Sequence[str]]
"""Writes statements: takes the voters whom none represents yet, and how many of them one should speak for."""

Rate = Callable[[Sequence[str]], Float[np.ndarray, "voters statements"]]
"""Says what each statement is worth to each of all voters, on one scale."""


@dataclass(frozen=True, eq=False, repr=False)
class GenerativeSlate:
    """The slate, and all statements that were proposed on the way.

    Attributes
    ----------
    slate : Slate
        Statements in the order in which they were chosen, and whom each represents.
    utilities : array of shape (voters, candidates)
        Of all statements proposed.
    proposed_in : tuple of int
        The round, from 1, in which each candidate was first proposed.
    check : BalancedCheck
        Whether any of the candidates is deserved by a coalition of n / k voters whom the slate serves worse. Of
        statements that nobody proposed it says nothing: the guarantee is as good as the writer.
    """

    slate: Slate
    utilities: Float[np.ndarray, "voters candidates"]
    proposed_in: tuple[int, ...]
    check: BalancedCheck

    def to_frame(self) -> pa.Table:
        """As that of the slate: `statement, voters, threshold, mean_utility`."""
        return self.slate.to_frame()

    def to_dict(self) -> dict[str, Any]:
        """The slate, the check and when candidates were proposed."""
        return {**self.slate.to_dict(), "proposed_in": list(self.proposed_in), "check": self.check.to_dict()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        return f"{self.slate!r}\n  of {len(self.proposed_in):,} statements proposed; {self.check!r}"


def generative_slate(
    n_voters: int,
    seats: int,
    generate: Generate,
    rate: Rate,
    *,
    repeats: bool = True,
    rng: RNG = None,
) -> GenerativeSlate:
    """Choose a slate while it is written.

    Parameters
    ----------
    n_voters : int
    seats : int
        Statements of the slate, at most the number of voters.
    generate : callable
        Called once a round, as `Generate`; statements proposed before stay candidates. `from_pool` makes one of a list.
    rate : callable
        Called with the new statements of a round, as `Rate`.
    repeats : bool
        Whether a statement may be chosen again; see `greedy_bjr`.
    rng : int or Generator, optional
        Breaks ties; left out, the first statement and the first voters of those tied are taken.

    Raises
    ------
    DataError
        If nothing was proposed, or the ratings do not fit.
    """
    if not 1 <= seats <= n_voters:
        raise UsageError(f"seats={seats!r} is not possible with {n_voters} voters.", fix=f"Give 1 to {n_voters}.")
    generator = None if rng is None else as_generator(rng, "slate")
    candidates: list[str] = []
    proposed_in: list[int] = []
    values = np.zeros((n_voters, 0))
    left = np.arange(n_voters)
    assignment = np.full(n_voters, -1, dtype=np.int64)
    chosen: list[int] = []
    thresholds: list[float] = []
    ties: list[str] = []
    for place in range(seats):
        share = -(-len(left) // (seats - place))
        fresh = [text for text in dict.fromkeys(map(str, generate(left, share))) if text not in candidates]
        if fresh:
            values = np.concatenate([values, _rated(rate, fresh, n_voters)], axis=1)
            candidates += fresh
            proposed_in += [place + 1] * len(fresh)
        open_ = [c for c in range(len(candidates)) if repeats or c not in chosen]
        if not open_:
            raise DataError(
                f"No statement is left to choose in round {place + 1}.", fix="Propose more, or allow repeats."
            )
        # the first choice of a slate for those who are left, with the seats that are left
        names = [candidates[c] for c in open_]
        found = greedy_bjr(values[np.ix_(left, np.array(open_))], seats - place, candidates=names, rng=generator)
        represented = left[found.assignment == 0]
        chosen.append(candidates.index(found.statements[0]))
        thresholds.append(found.thresholds[0])
        ties += [tie.replace("round 1:", f"round {place + 1}:") for tie in found.ties if tie.startswith("round 1:")]
        assignment[represented] = place
        left = np.setdiff1d(left, represented)
    utility = values[np.arange(n_voters), np.array(chosen)[assignment]]
    statements = tuple(candidates[c] for c in chosen)
    slate = Slate(statements, tuple(candidates), assignment, utility, tuple(thresholds), tuple(ties))
    return GenerativeSlate(slate, values, tuple(proposed_in), check_balanced_representation(values, slate))


def from_pool(pool: Sequence[str]) -> Generate:
    """A writer that proposes the same statements in every round."""
    if not pool:
        raise UsageError("The pool is empty.", fix="Give at least one statement.")
    return lambda left, share: list(pool)


def _rated(rate: Rate, statements: Sequence[str], n_voters: int) -> Float[np.ndarray, "voters statements"]:
    values = np.asarray(rate(statements), dtype=np.float64)
    if values.shape != (n_voters, len(statements)) or not np.isfinite(values).all():
        raise DataError(
            f"The ratings have shape {values.shape}; finite numbers of shape {(n_voters, len(statements))} are needed.",
            fix="Give each of all voters' ratings of each statement.",
        )
    return values
