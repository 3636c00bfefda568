"""Single measures without resamples: see `audit_discretion` for all of them with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.measures.arbitrariness import Arbitrariness, arbitrariness_of
from pluralism.discretion.measures.counts import CountedRows
from pluralism.discretion.measures.supremacy import Supremacy, supremacy_of
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.errors import DataError

__all__ = ["counted_rows", "discretion_arbitrariness", "principle_supremacy"]

LEVEL = 0.95


def discretion_arbitrariness(
    preferences: PrinciplePreferences,
    annotators: Sequence[Verdicts],
    *,
    weight: ArrayLike | None = None,
    threshold: float | None = None,
    graded: bool = False,
) -> Arbitrariness:
    """Share of verdicts against a consensus of the principles.

    Parameters
    ----------
    preferences : PrinciplePreferences
    annotators : sequence of Verdicts
        On the same comparisons.
    weight : array of shape (pairs,), optional
    threshold, graded
        As in `audit_discretion`.

    Examples
    --------
    >>> found = PrinciplePreferences.from_signs(["kind", "brief"], [[1, 1], [-1, 0], [1, -1]])
    >>> discretion_arbitrariness(found, [Verdicts("ann", [1, 1, 0])]).value.tolist()
    [0.5]
    """
    rows = counted_rows(preferences, annotators, weight, threshold, graded)
    names = tuple(annotator.name for annotator in annotators)
    return arbitrariness_of(names, preferences.principles, rows.observed(), None, LEVEL)


def principle_supremacy(
    preferences: PrinciplePreferences,
    annotator: Verdicts,
    *,
    weight: ArrayLike | None = None,
    threshold: float | None = None,
    graded: bool = False,
) -> Supremacy:
    """How often an annotator follows each principle against each other one.

    Parameters are those of `discretion_arbitrariness`.

    Examples
    --------
    >>> found = PrinciplePreferences.from_signs(["kind", "brief"], [[1, -1], [1, -1], [-1, 1]])
    >>> principle_supremacy(found, Verdicts("ann", [1, 0, 0])).probability.round(2).tolist()
    [[nan, 0.67], [0.33, nan]]
    """
    rows = counted_rows(preferences, [annotator], weight, threshold, graded)
    hard = annotator.sides(graded=False)
    return supremacy_of(
        annotator.name,
        preferences.principles,
        rows.observed().wins[0, 0],
        None,
        LEVEL,
        preferences.signs(threshold),
        (hard[:, 0] - hard[:, 1]).astype(np.int8),
        rows.weight,
    )


def counted_rows(
    preferences: PrinciplePreferences,
    annotators: Sequence[Verdicts],
    weight: ArrayLike | None,
    threshold: float | None,
    graded: bool,
    unit: Int[np.ndarray, " pairs"] | None = None,
) -> CountedRows:
    """Rows to count: decisions, or with `graded` probabilities; each its own unit where none are given.

    Raises
    ------
    DataError
        If the parts are not of the same comparisons.
    """
    n = len(preferences)
    given = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    sizes = (("weights", len(given)), *((f"verdicts of {a.name!r}", len(a)) for a in annotators))
    for what, size in sizes:
        if size != n:
            raise DataError(
                f"There are {n:,} comparisons, but {size:,} {what}.", fix="Pass one for each of the comparisons."
            )
    left, right = preferences.left, preferences.right
    if not graded:
        signs = preferences.signs(threshold)
        left, right = (signs > 0).astype(np.float64), (signs < 0).astype(np.float64)
    sides = np.stack([annotator.sides(graded=graded) for annotator in annotators], axis=1)
    return CountedRows(left, right, sides, given, np.arange(n) if unit is None else unit)
