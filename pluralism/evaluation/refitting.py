"""A model fitted anew to other rows, and which of its groups are which of the first fit."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from sklearn.base import clone

from pluralism.errors import PluralismWarning

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["aligned_groups", "refit"]

ModelT = TypeVar("ModelT", bound="PreferenceModel")


def refit(model: ModelT, data: Comparisons, seed: int) -> ModelT:
    """A model with the settings and the number of groups of a fitted one, fitted to other rows.

    What was chosen automatically (groups, ridge, variance of item effects) is kept, for the sake of time.
    """
    fitted: Any = model
    fresh = clone(model)
    known = fresh.get_params(deep=False)
    chosen = {"n_groups": fitted.n_groups_, "rng": seed, "uncertainty": False}
    if getattr(fitted, "ridge_", None) is not None:
        chosen["ridge"] = float(fitted.ridge_)
        precision = getattr(fitted, "item_precision_", None)
        chosen["item_effects"] = False if precision is None else float(precision)
    fresh.set_params(**{name: value for name, value in chosen.items() if name in known})
    with warnings.catch_warnings():
        # the fit to all rows has said what there is to say of these data
        warnings.simplefilter("ignore", PluralismWarning)
        return fresh.fit(data)


def aligned_groups(model: PreferenceModel, other: PreferenceModel) -> Int[np.ndarray, " groups"]:
    """For each group of `other`, the group of `model` that most of the same people are in, one to one; -1 for none."""
    mine, others = model.membership(), other.membership()
    rows = mine.index(others.users)
    shared = rows >= 0
    overlap = others.posterior[shared].T @ mine.posterior[rows[shared]]
    found = np.full(others.n_groups, -1)
    here, there = linear_sum_assignment(-overlap)
    found[here] = there
    return found
