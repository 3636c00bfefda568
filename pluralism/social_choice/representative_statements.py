"""Which statements represent each opinion group, and which unite everybody, chosen as Polis chooses them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int64

from pluralism.social_choice.proportion_tests import SUFFICIENT, proportion_z, two_proportions_z

__all__ = ["RepresentativeStatement", "Side", "representative_statements", "united_statements"]

Side = Literal["agree", "disagree"]
"""Whether a group stands for a statement or against it."""


@dataclass(frozen=True)
class RepresentativeStatement:
    """A statement that a group stands for or against more than the others do.

    Attributes
    ----------
    statement : str
    side : {"agree", "disagree"}
    votes, seen : float
        How many of the group voted so, and how many voted at all.
    probability : float
        (votes + 1) / (seen + 2).
    z : float
        Statistic of whether more than half of the group vote so.
    representativeness : float
        `probability` over that in the rest of the groups.
    representativeness_z : float
        Statistic of whether the group votes so more than the rest.
    sufficient : bool
        Whether both statistics are above 1.2816.
    best_agree : bool
        Whether the statement is here as what the group agrees with best.
    """

    statement: str
    side: Side
    votes: float
    seen: float
    probability: float
    z: float
    representativeness: float
    representativeness_z: float
    sufficient: bool
    best_agree: bool

    @property
    def metric(self) -> float:
        """By what statements are ordered: the product of both probabilities and both statistics."""
        return self.representativeness * self.representativeness_z * self.probability * self.z

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def summary(self) -> str:
        """The votes and the ratio, as text."""
        return f"{self.side}s {self.votes:,.4g} of {self.seen:,.4g}, {self.representativeness:.2f} times the others"


def representative_statements(
    agrees: Float[np.ndarray, "groups statements"],
    disagrees: Float[np.ndarray, "groups statements"],
    seen: Float[np.ndarray, "groups statements"],
    *,
    statements: tuple[str, ...],
    allowed: Bool[np.ndarray, " statements"] | None = None,
    most: int = 5,
) -> list[tuple[RepresentativeStatement, ...]]:
    """For each group, the statements that represent it, those that it agrees with first.

    A statement is sufficient if the group votes one way in more than half of the cases and more than the rest does,
    both with a statistic above 1.2816. The best statement to agree with comes first, whether sufficient or not; then
    the sufficient ones by `RepresentativeStatement.metric`, up to `most`. A group without a sufficient statement has
    one: the best to agree with or else the one that sets it apart most clearly.

    Parameters
    ----------
    agrees, disagrees, seen : arrays of shape (groups, statements)
        Votes; a pass counts as seen.
    statements : tuple of str
    allowed : bool array of shape (statements,), optional
        Which statements may be chosen.
    most : int

    Returns
    -------
    list of tuples of RepresentativeStatement

    Notes
    -----
    Polis' own program names the best statement to agree with as one to disagree with where the group disagrees with it
    even more distinctly; here it is always shown by its agreements.
    """
    may = np.ones(len(statements), dtype=bool) if allowed is None else allowed
    found = []
    for g in range(len(seen)):
        agree, disagree = _Side("agree", agrees, seen, g), _Side("disagree", disagrees, seen, g)
        found.append(_of_group(agree, disagree, np.flatnonzero(may), statements, most))
    return found


def united_statements(
    votes: Float[np.ndarray, " statements"],
    seen: Float[np.ndarray, " statements"],
    allowed: Bool[np.ndarray, " statements"],
    most: int = 5,
) -> list[int]:
    """Statements on which clearly more than half of everybody vote one way, the clearest first."""
    p, z = (votes + 1) / (seen + 2), proportion_z(votes, seen)
    chosen = np.flatnonzero(allowed & (p > 0.5) & (z > SUFFICIENT))
    return chosen[np.argsort(-(p * z)[chosen], kind="stable")][:most].tolist()


class _Side:
    """The votes of a group one way, beside those of the rest of the groups."""

    def __init__(self, side: Side, votes: np.ndarray, seen: np.ndarray, group: int) -> None:
        rest, rest_seen = votes.sum(axis=0) - votes[group], seen.sum(axis=0) - seen[group]
        self.side: Side = side
        self.votes, self.seen = votes[group], seen[group]
        self.probability = (self.votes + 1) / (self.seen + 2)
        self.z = proportion_z(self.votes, self.seen)
        self.ratio = self.probability * (rest_seen + 2) / (rest + 1)
        self.ratio_z = two_proportions_z(self.votes, self.seen, rest, rest_seen)
        self.sufficient = (self.z > SUFFICIENT) & (self.ratio_z > SUFFICIENT)

    def entry(self, i: int, name: str, *, best_agree: bool = False) -> RepresentativeStatement:
        return RepresentativeStatement(
            name,
            self.side,
            float(self.votes[i]),
            float(self.seen[i]),
            float(self.probability[i]),
            float(self.z[i]),
            float(self.ratio[i]),
            float(self.ratio_z[i]),
            bool(self.sufficient[i]),
            best_agree,
        )


def _of_group(
    agree: _Side, disagree: _Side, allowed: Int64[np.ndarray, " allowed"], names: tuple[str, ...], most: int
) -> tuple[RepresentativeStatement, ...]:
    best_agree = _best_to_agree(agree, disagree, allowed)
    head = [] if best_agree is None else [agree.entry(best_agree, names[best_agree], best_agree=True)]
    clearer = np.where(agree.ratio_z > disagree.ratio_z, 0, 1)
    sufficient = [i for i in allowed.tolist() if agree.sufficient[i] or disagree.sufficient[i]]
    if not sufficient and head:
        return tuple(head)
    if not sufficient:
        if len(allowed) == 0:
            return ()
        strongest = int(allowed[np.argmax(np.maximum(agree.ratio_z, disagree.ratio_z)[allowed])])
        return ((agree, disagree)[clearer[strongest]].entry(strongest, names[strongest]),)
    entries = [(agree, disagree)[clearer[i]].entry(i, names[i]) for i in sufficient if i != best_agree]
    entries = [*head, *sorted(entries, key=lambda entry: -entry.metric)][:most]
    return tuple(sorted(entries, key=lambda entry: entry.side != "agree"))


def _best_to_agree(agree: _Side, disagree: _Side, allowed: Int64[np.ndarray, " allowed"]) -> int | None:
    """The statement that the group agrees with best.

    The first that looks good begins; while the best so far is one that the group agrees with more than the rest do, it
    takes a higher product of both tests to replace it, else a clearer agreement of the group alone.
    """
    product = agree.ratio * agree.ratio_z * agree.probability * agree.z
    alone = agree.probability * agree.z
    best: int | None = None
    for i in allowed.tolist():
        if agree.votes[i] == 0 and disagree.votes[i] == 0:
            continue
        if best is None:
            better = agree.z[i] > SUFFICIENT or (agree.ratio[i] > 1 and agree.probability[i] > 0.5)
        elif agree.ratio[best] > 1:
            better = product[i] > product[best]
        else:
            better = alone[i] > alone[best]
        if better:
            best = i
    return best
