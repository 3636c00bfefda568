"""People say which of two items each principle favours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from pluralism.data import Comparisons
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.discretion.questions import DistinctPairs
from pluralism.errors import DataError, UsageError

__all__ = ["people_preferences"]


def people_preferences(
    comparisons: Comparisons,
    principles: PrincipleSet,
    votes: Mapping[str, Comparisons],
    *,
    missing: Literal["error", "neither"] = "error",
) -> PrinciplePreferences:
    """Shares of people for either side.

    Parameters
    ----------
    comparisons : Comparisons
        What is audited.
    principles : PrincipleSet
    votes : mapping of str to Comparisons
        For each principle, judgements by it alone, of items with the same ids; a tie says that it favours neither.
    missing : {"error", "neither"}
        What it means that nobody judged a pair by a principle.

    Raises
    ------
    DataError
        A pair without votes, unless they count as neither.
    """
    if missing not in ("error", "neither"):
        raise UsageError(f"missing={missing!r} is not possible.", fix='Use missing="error" or "neither".')
    absent = [name for name in principles.ids if name not in votes]
    if absent:
        raise UsageError(f"There are no votes on {absent[0]!r}.", fix=f"Pass votes on {', '.join(principles.ids)}.")
    pairs = DistinctPairs.of(comparisons)
    place = {name: code for code, name in enumerate(comparisons.items.ids.to_pylist())}
    n_items = max(len(place), 1)
    keys = pairs.first * n_items + pairs.second
    left, right = np.zeros((len(pairs), len(principles))), np.zeros((len(pairs), len(principles)))
    for column, name in enumerate(principles.ids):
        own = votes[name]
        code = np.array([place.get(item, -1) for item in own.items.ids.to_pylist()], dtype=np.int64)
        a, b = code[own.left], code[own.right]
        turned = a > b
        key = np.where((a < 0) | (b < 0), -1, np.minimum(a, b) * n_items + np.maximum(a, b))
        where = np.clip(np.searchsorted(keys, key), 0, max(len(keys) - 1, 0))
        rows = np.flatnonzero(keys[where] == key) if len(keys) else np.zeros(0, dtype=np.int64)
        mass = np.where(turned, 1.0 - own.outcome, own.outcome)[rows]
        tie = mass == 0.5
        weight = own.weight[rows]
        total = np.bincount(where[rows], weight, len(keys))
        if missing == "error" and (total == 0).any():
            question = int(np.flatnonzero(total == 0)[0])
            ids = [comparisons.items.ids[int(side[question])].as_py() for side in (pairs.first, pairs.second)]
            raise DataError(
                f"Nobody judged {ids[0]!r} and {ids[1]!r} by {name!r}.",
                fix='Ask for these votes, or pass missing="neither".',
            )
        scale = np.where(total > 0, total, 1.0)
        left[:, column] = np.bincount(where[rows], weight * np.where(tie, 0.0, mass), len(keys)) / scale
        right[:, column] = np.bincount(where[rows], weight * np.where(tie, 0.0, 1.0 - mass), len(keys)) / scale
    return pairs.to_rows(PrinciplePreferences(principles.ids, left, right, method="votes of people"))
