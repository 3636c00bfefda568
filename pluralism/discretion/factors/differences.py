"""Differences of factors between the two items of each comparison: built-in ones, and columns of the data."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from pluralism.data import Comparisons
from pluralism.discretion.factors.built_in import factor_names, factor_values
from pluralism.errors import DataError, UsageError

__all__ = ["checked_factors", "default_factors", "factor_differences"]


def default_factors(comparisons: Comparisons) -> tuple[str, ...]:
    """All covariates of the comparisons and their items, and all built-in factors of the texts but sentiment."""
    there = list(dict.fromkeys([*comparisons.covariates, *comparisons.items.covariates]))
    if comparisons.items.texts is not None:
        there += [name for name in factor_names() if name not in (*there, "sentiment")]
    return tuple(there)


def checked_factors(comparisons: Comparisons, names: Sequence[str] | None) -> tuple[str, ...]:
    """The names, or left out those of `default_factors`.

    Raises
    ------
    UsageError
        An unknown name.
    DataError
        A built-in factor of items without texts, or no factor at all.
    """
    names = default_factors(comparisons) if names is None else names
    if not names:
        raise DataError(
            "There is no factor to look at: no covariates, and no texts or no names.",
            fix="Give items with texts, or columns of your own.",
        )
    there = {*comparisons.covariates, *comparisons.items.covariates}
    for name in names:
        if name in there:
            continue
        if name not in factor_names():
            known = ", ".join([*sorted(there), *factor_names()])
            raise UsageError(f"There is no factor {name!r}.", fix=f"Choose among {known}, or add columns to the data.")
        if comparisons.items.texts is None:
            raise DataError(
                f"The factor {name!r} is counted in texts, and the items have none.",
                fix="Give items with texts, or columns of your own.",
            )
    return tuple(names)


def factor_differences(
    comparisons: Comparisons, names: Sequence[str] | None = None
) -> Float[np.ndarray, "pairs factors"]:
    """Left less right of each factor.

    Parameters
    ----------
    comparisons : Comparisons
    names : sequence of str, optional
        Covariates of the comparisons or of their items by name, else built-in factors of the texts. Left out, those of
        `default_factors`.

    Raises
    ------
    UsageError, DataError
        As in `checked_factors`.
    """
    names = checked_factors(comparisons, names)
    there = {*comparisons.covariates, *comparisons.items.covariates}
    texts = comparisons.items.texts
    lead = np.empty((len(comparisons), len(names)))
    used = np.zeros(comparisons.n_items, dtype=bool)
    used[comparisons.left] = used[comparisons.right] = True
    for column, name in enumerate(names):
        if name in there or texts is None:
            lead[:, column] = comparisons.covariate_difference([name])[:, 0]
            continue
        values = np.zeros(comparisons.n_items)
        rows = np.flatnonzero(used)
        values[rows] = factor_values(texts.take(rows).to_pylist(), name)
        lead[:, column] = values[comparisons.left] - values[comparisons.right]
    return lead
