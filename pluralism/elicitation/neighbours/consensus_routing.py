"""Which statements a participant is shown next, as Polis does it: those that unite, divide, or are new.

With A agrees, P passes and S votes on a statement, and E how far it lies out in the plane of the two principal
components of opinion, its priority is

    [(1 - p_pass) (1 + E) p_agree (1 + 8 * 2^(-S / 5))]^2,  p_pass = (P + 1) / (S + 2),  p_agree = (A + 1) / (S + 2),

and statements are drawn with probabilities in proportion to it. A statement of which all groups agree can be favoured
over one that a large group alone agrees with: then p_agree is the geometric mean over groups of theirs (group-informed
consensus, made comparable between numbers of groups).

References
----------
C. Small et al., Polis: Scaling Deliberation by Mapping High Dimensional Opinion Spaces, RECERCA 2021.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator
from pluralism.social_choice.polis_consensus import polis_consensus, refuse_repeated_votes

if TYPE_CHECKING:
    from pluralism.data import Ratings
    from pluralism.models import Membership

__all__ = ["Agreement", "StatementPriorities", "extremity", "statement_priorities"]

Agreement = Literal["everybody", "group-informed"]
"""Whose agreement raises a priority: that of all votes together, or that of every group."""

META_PRIORITY = 49.0
ENOUGH_VOTES, ENOUGH_PEOPLE = 7, 15


@dataclass(frozen=True, eq=False, repr=False)
class StatementPriorities:
    """How much it is worth to show each statement.

    Attributes
    ----------
    statements : tuple of str
        Ids.
    agree, skip : arrays of shape (statements,)
        Estimated probabilities of agreeing, as `agreement` says, and of passing.
    votes : array of shape (statements,)
    extremity : array of shape (statements,)
    priority : array of shape (statements,)
        Not negative; 0 for statements that are excluded.
    seen : bool array of shape (users, statements)
        Who has voted on what.
    users : tuple of str
    agreement : {"everybody", "group-informed"}
    """

    statements: tuple[str, ...]
    agree: Float[np.ndarray, " statements"]
    skip: Float[np.ndarray, " statements"]
    votes: Float[np.ndarray, " statements"]
    extremity: Float[np.ndarray, " statements"]
    priority: Float[np.ndarray, " statements"]
    seen: Bool[np.ndarray, "users statements"]
    users: tuple[str, ...]
    agreement: Agreement

    def draw(self, n: int, participant: str | None = None, *, rng: RNG = None) -> tuple[str, ...]:
        """Statements to show next, the first first: drawn in proportion to priority, none of them twice.

        Parameters
        ----------
        n : int
            How many; fewer where there are no more.
        participant : str, optional
            Who is shown them: nothing that they have voted on. Somebody who is not known has voted on nothing.
        rng : int, Generator or None
        """
        if n < 1:
            raise UsageError(f"n={n!r} is not possible.", fix="Ask for one statement or more.")
        open_ = self.priority > 0
        if participant is not None and participant in self.users:
            open_ &= ~self.seen[self.users.index(participant)]
        rows = np.flatnonzero(open_)
        # the order of exponential clocks is that of drawing in proportion without replacement
        waits = as_generator(rng, "statements").exponential(size=len(rows)) / self.priority[rows]
        return tuple(self.statements[i] for i in rows[np.argsort(waits)[:n]])

    def to_frame(self) -> pa.Table:
        """Columns `statement, priority, agree, pass, votes, extremity`, the highest priority first."""
        order = np.argsort(-self.priority, kind="stable")
        return pa.table(
            {
                "statement": [self.statements[i] for i in order],
                "priority": self.priority[order],
                "agree": self.agree[order],
                "pass": self.skip[order],
                "votes": self.votes[order],
                "extremity": self.extremity[order],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Whose agreement counted, and the rows of `to_frame`."""
        return {"agreement": self.agreement, "statements": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        first = ", ".join(self.to_frame()["statement"].to_pylist()[:3])
        return f"StatementPriorities({len(self.statements):,} statements, {self.agreement}; first: {first})"


def statement_priorities(
    ratings: Ratings,
    membership: Membership | None = None,
    *,
    agreement: Agreement = "everybody",
    meta: Sequence[str] = (),
    exclude: Sequence[str] = (),
    attribute: str | None = None,
    threshold: float = 0.0,
) -> StatementPriorities:
    """Priorities from the votes so far.

    Parameters
    ----------
    ratings : Ratings
        One vote of a person on a statement at most: above the threshold to agree, below it to disagree, at it to pass.
    membership : Membership, optional
        Groups, for ``agreement="group-informed"``; left out, those that the ratings carry.
    agreement : {"everybody", "group-informed"}
        "everybody" is what Polis does.
    meta : sequence of str
        Statements that ask who people are; they have a fixed priority of 49.
    exclude : sequence of str
        Statements that are never shown, such as those that moderators rejected.
    attribute : str, optional
        Which attribute of the ratings.
    threshold : float

    Raises
    ------
    UsageError
        If a statement is not there, or the groups are not known.
    DataError
        If somebody votes twice on a statement.
    """
    if agreement not in get_args(Agreement):
        raise UsageError(f"agreement={agreement!r} is not possible.", fix=f"Use one of {get_args(Agreement)}.")
    votes = ratings.on_one_attribute(attribute)
    names = tuple(votes.items.ids.to_pylist())
    unknown = [name for name in (*meta, *exclude) if name not in names]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no statement.", fix="Name ids of statements.")
    refuse_repeated_votes(votes)
    opinion = np.full((len(votes.users), len(names)), np.nan)
    opinion[votes.user, votes.item] = np.sign(votes.value - threshold)
    seen = ~np.isnan(opinion)
    shown = seen.sum(axis=0).astype(np.float64)
    if agreement == "group-informed":
        counted = polis_consensus(ratings, membership, attribute=attribute, threshold=threshold)
        agree = counted.comparable_consensus()
    else:
        agree = ((opinion == 1).sum(axis=0) + 1) / (shown + 2)
    skip = ((opinion == 0).sum(axis=0) + 1) / (shown + 2)
    far = extremity(opinion)
    priority = ((1 - skip) * (1 + far) * agree * (1 + 8 * 2 ** (-shown / 5))) ** 2
    priority[np.isin(names, meta)] = META_PRIORITY
    priority[np.isin(names, exclude)] = 0.0
    users = tuple(votes.users.to_pylist())
    return StatementPriorities(names, agree, skip, shown, far, priority, seen, users, agreement)


def extremity(opinion: Float[np.ndarray, "users statements"]) -> Float[np.ndarray, " statements"]:
    """How far somebody who has only agreed with a statement lies from the middle of the opinions.

    Opinions that are not known count as the statement's mean; people with few votes are left out. A person is projected
    on the two principal components by the statements seen, and stretched by sqrt(statements / seen).

    Parameters
    ----------
    opinion : array of shape (users, statements)
        1 agree, -1 disagree, 0 pass, NaN not seen.
    """
    n_statements = opinion.shape[1]
    n_votes = (~np.isnan(opinion)).sum(axis=1)
    active = n_votes >= min(ENOUGH_VOTES, n_statements)
    if active.sum() < ENOUGH_PEOPLE:
        active[np.argsort(-n_votes, kind="stable")[:ENOUGH_PEOPLE]] = True
    known = opinion[active & (n_votes > 0)]
    if len(known) < 2:
        return np.zeros(n_statements)
    counts = (~np.isnan(known)).sum(axis=0)
    mean = np.nansum(known, axis=0) / np.maximum(counts, 1)
    _, _, components = np.linalg.svd(np.where(np.isnan(known), 0.0, known - mean), full_matrices=False)
    return np.sqrt(n_statements) * np.abs(1.0 - mean) * np.linalg.norm(components[:2], axis=0)
