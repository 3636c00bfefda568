"""Principles that are counted: each prefers more, or less, of a factor of the text or a covariate of the data."""

from __future__ import annotations

import numpy as np

from pluralism.data import Comparisons
from pluralism.discretion.factors.differences import factor_differences
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.discretion.principles import PrincipleSet
from pluralism.errors import UsageError

__all__ = ["factor_preferences"]


def factor_preferences(
    comparisons: Comparisons, principles: PrincipleSet, *, margin: float = 0.25
) -> PrinciplePreferences:
    """Decide principles by counting.

    Parameters
    ----------
    comparisons : Comparisons
    principles : PrincipleSet
        All with a `factor`: one of `pluralism.discretion.factor_names`, or a covariate of the comparisons.
    margin : float
        A principle decides where its factor differs by more than so many standard deviations of its differences
        (about 0, so that the order of left and right plays no part); 0 decides by any difference.

    Raises
    ------
    UsageError
        A principle has no factor, or one that is not known.
    """
    judged = [principle.id for principle in principles.principles if principle.factor is None]
    if judged:
        raise UsageError(
            f"The principle {judged[0]!r} has no factor, so it cannot be counted.",
            where=f"the set {principles.name!r}",
            fix="Add factor = ... to it, or let a language model or a table decide.",
        )
    if not (np.isfinite(margin) and margin >= 0):
        raise UsageError(f"margin={margin!r} is not possible.", fix="Use a number of at least 0.")
    names = [str(principle.factor) for principle in principles.principles]
    lead = factor_differences(comparisons, names)
    towards = np.array([1.0 if principle.prefer == "more" else -1.0 for principle in principles.principles])
    scale = np.sqrt(np.mean(lead**2, axis=0)) if len(lead) else np.zeros(len(names))
    decided = np.abs(lead) > margin * scale
    return PrinciplePreferences.from_signs(
        principles.ids, np.where(decided, np.sign(lead) * towards, 0.0), method=f"factors, margin {margin:g}"
    )
