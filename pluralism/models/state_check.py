"""A saved linear-head model is believed only if every piece is there, of its type, and of a size that fits the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["check_state"]

# The extent of each array by axis; a name stands for a number that all arrays must agree on.
SHAPES: dict[str, tuple[str, ...]] = {
    "coef_": ("groups", "dim"),
    "item_effects_": ("groups", "items"),
    "covariate_effects_": ("groups", "covariates"),
    "covariate_scale_": ("covariates",),
    "group_weights_": ("groups",),
    "effective_n_": ("groups",),
    "posterior_": ("users", "groups"),
    "n_answers_": ("users",),
    "objective_path_": ("path",),
    "covariance_": ("groups", "coefficients", "coefficients"),
    "user_temperature_": ("users",),
}
OPTIONAL = {"coef_", "item_effects_", "covariance_", "user_temperature_"}
NUMBERS = ("objective_", "gradient_norm_", "log_likelihood_", "tie_", "restart_agreement_")
OPTIONAL_NUMBERS = ("ridge_", "item_precision_", "bic_", "icl_")
COUNTS = ("n_iter_", "n_comparisons_", "n_components_")


def check_state(document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse a state that `fit` could not have left.

    Raises
    ------
    ValueError
        Naming the piece that is missing, of another type or size, or out of range.
    KeyError
        If a scalar is missing.
    """
    for name in NUMBERS + OPTIONAL_NUMBERS:
        value = document[name]
        if value is None and name in OPTIONAL_NUMBERS:
            continue
        _require(isinstance(value, (int, float)) and not isinstance(value, bool), f"{name} is not a number")
    for name in COUNTS:
        value = document[name]
        _require(isinstance(value, int) and not isinstance(value, bool) and value >= 0, f"{name} is not a count")
    for name in ("converged_", "separable_"):
        _require(isinstance(document[name], bool), f"{name} is not true or false")
    names = document["covariate_names_"]
    _require(isinstance(names, list) and all(isinstance(n, str) for n in names), "covariate_names_ are not names")
    for name in ("feature_space_", "blocks_"):
        _require(document[name] is None or isinstance(document[name], str), f"{name} is not a name")
    _require(document["tie_"] >= 0, "tie_ is negative")
    extents: dict[str, int] = {"covariates": len(names)}
    if document["dim_"] is not None:
        _require(isinstance(document["dim_"], int), "dim_ is not a count")
        extents["dim"] = document["dim_"]
    _require((document["dim_"] is None) == ("coef_" not in arrays), "coefficients and dimensions disagree")
    _require("coef_" in arrays or "item_effects_" in arrays, "there are neither coefficients nor item effects")
    for name, axes in SHAPES.items():
        if name not in arrays:
            _require(name in OPTIONAL, f"the array {name} is missing")
            continue
        array = arrays[name]
        expected = np.int64 if name == "n_answers_" else np.float64
        _require(array.dtype == expected, f"the array {name} is of type {array.dtype}")
        _require(array.ndim == len(axes), f"the array {name} has {array.ndim} axes")
        for axis, size in zip(axes, array.shape, strict=True):
            _require(extents.setdefault(axis, size) == size, f"the array {name} does not fit the others in {axis}")
        _require(bool(np.isfinite(array).all()), f"the array {name} is not finite")
    sizes = extents.get("dim", 0) + extents.get("items", 0) + extents["covariates"]
    _require(extents.get("coefficients", sizes) == sizes, "the covariance does not fit the coefficients")
    for name in ("group_weights_", "posterior_"):
        array = arrays[name]
        _require(bool(np.all(array >= 0) and np.allclose(array.sum(axis=-1), 1.0)), f"{name} are no probabilities")


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)
