"""What Polis finds in votes of opinion groups: statements that unite them, and statements that each stands for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.errors import DataError, UsageError
from pluralism.social_choice.proportion_tests import proportion_z, two_proportions_z
from pluralism.social_choice.representative_statements import (
    RepresentativeStatement,
    Side,
    representative_statements,
    united_statements,
)

if TYPE_CHECKING:
    from pluralism.data import Ratings
    from pluralism.models import Membership

__all__ = ["PolisConsensus", "polis_consensus", "refuse_repeated_votes"]


@dataclass(frozen=True, eq=False)
class PolisConsensus:
    """Votes on statements, by opinion group, and what follows from them.

    Attributes
    ----------
    statements : tuple of str
        Ids.
    texts : tuple of str, optional
    groups : tuple of str
    sizes : float array of shape (groups,)
        People in each group who voted (sums of memberships, if these are soft).
    agrees, disagrees, seen : float arrays of shape (groups, statements)
        Votes; a pass counts as seen.
    all_agrees, all_disagrees, all_seen : float arrays of shape (statements,)
        Votes of everybody, those in no group included.
    excluded : tuple of str
        Statements that are not chosen for anything, such as those that moderators rejected.
    """

    statements: tuple[str, ...]
    texts: tuple[str, ...] | None
    groups: tuple[str, ...]
    sizes: Float[np.ndarray, " groups"]
    agrees: Float[np.ndarray, "groups statements"]
    disagrees: Float[np.ndarray, "groups statements"]
    seen: Float[np.ndarray, "groups statements"]
    all_agrees: Float[np.ndarray, " statements"]
    all_disagrees: Float[np.ndarray, " statements"]
    all_seen: Float[np.ndarray, " statements"]
    excluded: tuple[str, ...] = ()

    def probability(self, side: Side = "agree") -> Float[np.ndarray, "groups statements"]:
        """Estimated probability that one of a group agrees (or disagrees): (votes + 1) / (seen + 2)."""
        return (self._votes(side) + 1) / (self.seen + 2)

    def consensus(self, side: Side = "agree") -> Float[np.ndarray, " statements"]:
        """Group-informed consensus: the product over groups of `probability`.

        It is high only where every group agrees (or disagrees). Being a product, it falls with the number of groups:
        compare it between statements of one conversation, and `comparable_consensus` between conversations.
        """
        return self.probability(side).prod(axis=0)

    def comparable_consensus(self, side: Side = "agree") -> Float[np.ndarray, " statements"]:
        """Geometric mean over groups of `probability`, which does not depend on how many groups there are."""
        return np.exp(np.log(self.probability(side)).mean(axis=0))

    def z(self, side: Side = "agree") -> Float[np.ndarray, "groups statements"]:
        """Test statistic of whether more than half of a group agree (or disagree)."""
        return proportion_z(self._votes(side), self.seen)

    def representativeness(self, side: Side = "agree") -> Float[np.ndarray, "groups statements"]:
        """`probability` in a group over that in the rest of the groups together."""
        votes, seen = self._votes(side), self.seen
        rest = (votes.sum(axis=0) - votes + 1) / (seen.sum(axis=0) - seen + 2)
        return self.probability(side) / rest

    def representativeness_z(self, side: Side = "agree") -> Float[np.ndarray, "groups statements"]:
        """Test statistic of whether a group agrees (or disagrees) more than the rest of the groups together."""
        votes, seen = self._votes(side), self.seen
        return two_proportions_z(votes, seen, votes.sum(axis=0) - votes, seen.sum(axis=0) - seen)

    @cached_property
    def order(self) -> tuple[str, ...]:
        """Statements by falling consensus to agree, those that nobody of a group saw or that are excluded left out."""
        chosen = self._allowed & (self.seen.sum(axis=0) > 0)
        ranked = np.argsort(-self.consensus(), kind="stable")
        return tuple(self.statements[i] for i in ranked if chosen[i])

    @cached_property
    def representative(self) -> dict[str, tuple[RepresentativeStatement, ...]]:
        """For each group the five statements that represent it best; see `representative_statements`."""
        found = representative_statements(
            self.agrees, self.disagrees, self.seen, allowed=self._allowed, statements=self.statements
        )
        return dict(zip(self.groups, found, strict=True))

    @cached_property
    def majority(self) -> dict[Side, tuple[str, ...]]:
        """The five statements that most of all people agree with, and disagree with, if clearly more than half do."""
        return {
            "agree": self._united(self.all_agrees),
            "disagree": self._united(self.all_disagrees),
        }

    def to_frame(self) -> pa.Table:
        """One row for each statement: votes, consensus, and agrees, disagrees and seen of each group."""
        columns: dict[str, Any] = {"statement": list(self.statements)}
        if self.texts is not None:
            columns["text"] = list(self.texts)
        columns |= {"agrees": self.all_agrees, "disagrees": self.all_disagrees, "seen": self.all_seen}
        columns |= {"consensus_agree": self.consensus("agree"), "consensus_disagree": self.consensus("disagree")}
        for g, name in enumerate(self.groups):
            columns |= {f"agrees_{name}": self.agrees[g], f"disagrees_{name}": self.disagrees[g]}
            columns[f"seen_{name}"] = self.seen[g]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """Groups, the statements with their consensus, what represents each group, and the majorities."""
        return {
            "groups": [{"group": name, "size": float(n)} for name, n in zip(self.groups, self.sizes, strict=True)],
            "statements": self.to_frame().to_pylist(),
            "order": list(self.order),
            "representative": {name: [one.to_dict() for one in some] for name, some in self.representative.items()},
            "majority": {side: list(names) for side, names in self.majority.items()},
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        value = dict(zip(self.statements, self.consensus(), strict=True))
        groups = ", ".join(f"{name} ({n:,.4g})" for name, n in zip(self.groups, self.sizes, strict=True))
        lines = [f"PolisConsensus of {len(self.statements):,} statements in {len(self.groups)} groups: {groups}"]
        lines.append("  all groups agree most with")
        lines += [f"    {value[name]:.3f}  {self._shown(name)}" for name in self.order[:5]]
        for name, some in self.representative.items():
            lines.append(f"  {name} stands for")
            lines += [f"    {one.summary()}  {self._shown(one.statement)}" for one in some]
        return "\n".join(lines)

    @property
    def _allowed(self) -> np.ndarray:
        return ~np.isin(self.statements, self.excluded)

    def _votes(self, side: Side) -> Float[np.ndarray, "groups statements"]:
        if side not in ("agree", "disagree"):
            raise UsageError(f"side={side!r} is not possible.", fix='Use side="agree" or side="disagree".')
        return self.agrees if side == "agree" else self.disagrees

    def _united(self, votes: Float[np.ndarray, " statements"]) -> tuple[str, ...]:
        return tuple(self.statements[i] for i in united_statements(votes, self.all_seen, self._allowed))

    def _shown(self, statement: str) -> str:
        if self.texts is None:
            return statement
        text = self.texts[self.statements.index(statement)]
        return f"{statement}: {text[:80]}{'...' if len(text) > 80 else ''}"


def polis_consensus(
    ratings: Ratings,
    membership: Membership | None = None,
    *,
    soft: bool = False,
    attribute: str | None = None,
    threshold: float = 0.0,
    exclude: Sequence[str] = (),
) -> PolisConsensus:
    """Count votes by opinion group, as Polis does.

    Parameters
    ----------
    ratings : Ratings
        One vote of a person on a statement at most: above the threshold to agree, below it to disagree, at it to pass.
    membership : Membership, optional
        The group of each person; left out, the groups that the ratings carry. People in no group count only in
        `PolisConsensus.majority`.
    soft : bool
        Whether people count in each group with the probability that they belong to it, instead of all in the most
        likely one.
    attribute : str, optional
        Which attribute of the ratings.
    threshold : float
    exclude : sequence of str
        Ids of statements not to be chosen, such as those that moderators rejected.

    Returns
    -------
    PolisConsensus

    Raises
    ------
    DataError
        If somebody votes twice on a statement.
    UsageError
        If no groups are known, or an excluded statement is not there.

    References
    ----------
    C. Small et al., Polis: Scaling Deliberation by Mapping High Dimensional Opinion Spaces, RECERCA 2021.
    """
    votes = ratings.on_one_attribute(attribute)
    statements = tuple(votes.items.ids.to_pylist())
    unknown = [name for name in exclude if name not in statements]
    if unknown:
        raise UsageError(f"{unknown[0]!r} is no statement.", fix="Exclude ids of statements.")
    refuse_repeated_votes(votes)
    weights, groups = _memberships(votes, membership, soft)
    chosen = {
        "agrees": votes.value > threshold,
        "disagrees": votes.value < threshold,
        "seen": np.ones(len(votes), dtype=bool),
    }
    everybody = np.ones((len(votes.users), 1))
    counts = {name: _table(votes, weights, rows) for name, rows in chosen.items()}
    counts |= {f"all_{name}": _table(votes, everybody, rows)[0] for name, rows in chosen.items()}
    return PolisConsensus(
        statements=statements,
        texts=None if votes.items.texts is None else tuple(votes.items.texts.to_pylist()),
        groups=groups,
        sizes=weights[np.unique(votes.user)].sum(axis=0),
        excluded=tuple(exclude),
        **counts,
    )


def _memberships(
    votes: Ratings, membership: Membership | None, soft: bool
) -> tuple[Float[np.ndarray, "users groups"], tuple[str, ...]]:
    """How far each user belongs to each group, 0 in all where that is not known."""
    if membership is not None:
        rows = membership.index(votes.users)
        posterior = membership.posterior if soft else np.eye(membership.n_groups)[membership.labels]
        weights = np.where((rows >= 0)[:, None], posterior[rows], 0.0)
        return weights, tuple(f"group {k}" for k in range(membership.n_groups))
    if votes.group is None or votes.groups is None:
        raise UsageError("The ratings know no groups.", fix="Pass membership=model.membership(...).")
    if soft:
        raise UsageError("Known groups are not soft.", fix="Pass a membership, or leave soft out.")
    weights = np.zeros((len(votes.users), len(votes.groups)))
    known = votes.group >= 0
    weights[votes.user[known], votes.group[known]] = 1.0
    if (weights.sum(axis=1) > 1).any():
        user = votes.users[int(np.argmax(weights.sum(axis=1)))].as_py()
        raise DataError(f"User {user!r} is in two groups.", fix="Give each person one group.")
    return weights, tuple(votes.groups.to_pylist())


def _table(
    votes: Ratings, weights: Float[np.ndarray, "users groups"], chosen: np.ndarray
) -> Float[np.ndarray, "groups statements"]:
    """Sums of memberships over some of the votes."""
    out = np.zeros((weights.shape[1], len(votes.items)))
    for g, column in enumerate(weights.T):
        out[g] = np.bincount(votes.item[chosen], column[votes.user[chosen]], minlength=len(votes.items))
    return out


def refuse_repeated_votes(votes: Ratings) -> None:
    """Raise a `DataError` that names whoever votes more than once on a statement."""
    pair = votes.user.astype(np.int64) * max(len(votes.items), 1) + votes.item
    order = np.sort(pair)
    again = order[1:][np.diff(order) == 0]
    if len(again):
        user, item = divmod(int(again[0]), len(votes.items))
        raise DataError(
            f"{votes.users[user].as_py()!r} votes more than once on {votes.items.ids[item].as_py()!r}.",
            fix="Keep the last vote of each person on each statement.",
        )
