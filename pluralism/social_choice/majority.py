"""Majorities: which candidate beats which, by how much, and the sets and orders that follow from that alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Int64
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from pluralism.errors import UsageError
from pluralism.social_choice.approval_profile import ApprovalProfile
from pluralism.social_choice.profile import Profile

__all__ = [
    "Strength",
    "components",
    "condorcet_winner",
    "link_strengths",
    "named",
    "ranking_of_relation",
    "smith_set",
    "voters",
]

Strength = Literal["margins", "winning_votes"]
"""How strong a majority is: by how many more voters, or how many voters, rank the winner above the loser."""


def link_strengths(profile: Profile, strength: Strength) -> Int64[np.ndarray, "candidates candidates"]:
    """Strength of the majority of the row over the column, in units of the profile; 0 where there is none."""
    if strength == "margins":
        return np.maximum(profile.margins, 0)
    if strength == "winning_votes":
        return np.where(profile.margins > 0, profile.support, 0)
    raise UsageError(
        f"strength={strength!r} is not possible.", fix='Use strength="margins" or strength="winning_votes".'
    )


def condorcet_winner(margins: Int64[np.ndarray, "candidates candidates"]) -> int | None:
    """The candidate that beats every other, where there is one."""
    wins = (margins > 0).sum(axis=1)
    best = int(wins.argmax())
    return best if wins[best] == len(margins) - 1 else None


def components(margins: Int64[np.ndarray, "candidates candidates"]) -> list[list[int]]:
    """The finest division of the candidates in which each part beats all of the later parts.

    These are the strong components of "is not beaten by"; the first is the Smith set.
    """
    m = len(margins)
    unbeaten = margins >= 0
    np.fill_diagonal(unbeaten, False)
    graph: Any = csr_array(unbeaten)
    count, label = connected_components(graph, directed=True, connection="strong")
    # Whoever is in an earlier part is unbeaten by more candidates than whoever is in a later one.
    most = np.zeros(count, dtype=np.int64)
    np.maximum.at(most, label, unbeaten.sum(axis=1))
    place = np.argsort(np.argsort(-most, kind="stable"), kind="stable")[label]
    parts: list[list[int]] = [[] for _ in range(count)]
    for candidate in range(m):
        parts[place[candidate]].append(candidate)
    return parts


def smith_set(margins: Int64[np.ndarray, "candidates candidates"]) -> list[int]:
    """The smallest set, not empty, whose members each beat everybody outside."""
    return components(margins)[0]


def ranking_of_relation(
    candidates: Sequence[str], ahead: Bool[np.ndarray, "candidates candidates"]
) -> tuple[tuple[str, ...], ...] | None:
    """Tie groups of a relation "is ahead of", best first; None where it does not sort the candidates into such."""
    wins = ahead.sum(axis=1)
    order = sorted(range(len(wins)), key=lambda i: (-int(wins[i]), i))
    ties = [list(tie) for _, tie in groupby(order, key=lambda i: int(wins[i]))]
    place = np.empty(len(wins), dtype=np.int64)
    for rank, tie in enumerate(ties):
        place[tie] = rank
    if not np.array_equal(ahead, place[:, None] < place[None, :]):
        return None
    return tuple(tuple(candidates[i] for i in tie) for tie in ties)


def named(candidates: Sequence[str], which: Iterable[int]) -> tuple[str, ...]:
    """Names of the candidates at some positions, in the order of the candidates."""
    return tuple(candidates[i] for i in sorted(which))


def voters(profile: Profile | ApprovalProfile, units: int) -> Fraction:
    """Units of a profile as voters, exactly."""
    return Fraction(int(units), profile.denominator)
