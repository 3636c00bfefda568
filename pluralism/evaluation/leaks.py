"""Rows that must not be scored because a model, or the placing of its users, has seen the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Int

from pluralism.data.labels import label_codes
from pluralism.data.units import dense_codes, user_pairs
from pluralism.errors import DataError

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["refuse_shared_rows", "shared_rows"]

SHOWN = 5


def shared_rows(scored: Comparisons, other: Comparisons) -> Int[np.ndarray, " shared"]:
    """Rows of `scored` that `other` has too: same user, same two items, same outcome, in whatever order shown."""
    user = label_codes(other.users, scored.users)[other.user]
    item = label_codes(other.items.ids, scored.items.ids)
    left, right = item[other.left], item[other.right]
    known = (user >= 0) & (left >= 0) & (right >= 0)
    left = np.concatenate([scored.left, left[known]])
    right = np.concatenate([scored.right, right[known]])
    outcome = np.concatenate([scored.outcome, other.outcome[known]])
    pairs = user_pairs(np.concatenate([scored.user, user[known]]), left, right, scored.n_items)
    told = np.unique(np.where(left < right, outcome, 1 - outcome), return_inverse=True)[1]
    key = dense_codes(pairs * (int(told.max(initial=0)) + 1) + told)
    return np.flatnonzero(np.isin(key[: len(scored)], key[len(scored) :]))


def refuse_shared_rows(scored: Comparisons, other: Comparisons, role: str) -> None:
    """Raise where rows that are scored are also in the data of another `role`.

    Raises
    ------
    DataError
        Naming the rows, their users and items.
    """
    rows = shared_rows(scored, other)
    if len(rows):
        ids = scored.items.ids
        named = "; ".join(
            f"row {row + 1} (user {scored.users[int(scored.user[row])].as_py()!r}, items "
            f"{ids[int(scored.left[row])].as_py()!r} and {ids[int(scored.right[row])].as_py()!r})"
            for row in rows[:SHOWN]
        )
        raise DataError(
            f"{len(rows):,} of the scored comparisons are also in the {role} data, with the same answer: "
            "scores on them would be too good.",
            where=named,
            fix='Split with comparisons.split(by="pair"), or remove these rows from one side.',
        )
