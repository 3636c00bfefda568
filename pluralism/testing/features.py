"""Feature matrices: every precision, on disk, shifted, constant, and those that must be refused."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from pluralism.data.features import open_features
from pluralism.testing.case import Case, close
from pluralism.testing.outcome import require

__all__ = ["CHECKS"]


def single_precision_features_give_the_same_predictions(case: Case) -> None:
    """float32 and float64 features lead to the same predictions, within the tolerance."""
    _compare_dtypes(case, np.float32, case.tolerance)


def half_precision_features_give_nearly_the_same_predictions(case: Case) -> None:
    """float16 features lead to predictions within 0.02 of those of float64."""
    _compare_dtypes(case, np.float16, 0.02)


def features_on_disk_are_as_good_as_in_memory(case: Case) -> None:
    """Read-only memory-mapped features give the very predictions of the same matrix in memory."""
    features = np.asarray(case.data.items.features, dtype=np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "features.npy"
        np.save(path, features)
        mapped = case.data.with_features(open_features(path), "check")
        found = case.fit(mapped).predict_proba(mapped)
        del mapped
    loaded = case.data.with_features(features, "check")
    close(found, case.fit(loaded).predict_proba(loaded), 1e-9, "predictions from features on disk")


def shifting_all_features_changes_nothing(case: Case) -> None:
    """Comparisons see differences only, so a constant added to all features leaves predictions as they are."""
    case.needs_fixed_settings()
    features = np.asarray(case.data.items.features, dtype=np.float64)
    shifted = case.data.with_features(features + np.array([0.5, -1.0, 2.0, 0.25]), case.space)
    found = case.fit(shifted).predict_proba(shifted)
    close(found, case.fitted.predict_proba(case.data), case.tolerance, "predictions after a shift of the features")


def features_that_never_differ_are_harmless(case: Case) -> None:
    """Constant features lead to finite rewards and to predictions that are probabilities."""
    data = case.data.with_features(np.ones((case.data.n_items, 3), np.float32), "check")
    model = case.fit(data)
    p = model.predict_proba(data)
    require(np.isfinite(model.reward(data.items)).all(), "rewards are not finite")
    require(((p >= 0) & (p <= 1)).all(), "predictions are no probabilities")


def features_of_another_dimension_are_refused(case: Case) -> None:
    """A model fitted on 4 dimensions does not take 5."""
    model = case.fitted
    wide = case.data.with_features(np.ones((case.data.n_items, 5), np.float32), case.space)
    case.refuses(lambda: model.predict_proba(wide), "predicting from 5 dimensions after a fit on 4")
    case.refuses(lambda: model.reward(wide.items), "rewarding items of 5 dimensions after a fit on 4")
    case.refuses(lambda: model.adapt(wide), "adapting to 5 dimensions after a fit on 4")


def features_of_another_space_are_refused(case: Case) -> None:
    """Vectors of another encoder mean something else, even where their number of dimensions is the same."""
    model = case.fitted
    other = case.data.with_features(np.asarray(case.data.items.features), "another encoder")
    case.refuses(lambda: model.predict_proba(other), "predicting from features of another space")


def missing_features_are_refused(case: Case) -> None:
    """A model fitted on features does not silently predict without them."""
    model = case.fitted
    bare = type(case.data.items)(ids=case.data.items.ids)
    case.refuses(lambda: model.reward(bare), "rewarding items without features after a fit on features")
    if model.requires_features:
        case.refuses(lambda: case.fit(case.data.with_items(bare)), "fitting without features")


def unusable_features_are_refused(case: Case) -> None:
    """NaN, infinite and huge features never reach a fit."""
    for value in (np.nan, np.inf, 1e30):
        features = np.array(case.data.items.features, dtype=np.float64)
        features[3, 1] = value
        case.refuses(partial(_attach_and_fit, case, features), f"a feature of {value}")


def _attach_and_fit(case: Case, features: np.ndarray) -> None:
    case.fit(case.data.with_features(features))


def _compare_dtypes(case: Case, dtype: type[np.floating], tolerance: float) -> None:
    features = np.asarray(case.data.items.features, dtype=np.float64)
    predictions = []
    for kind in (np.float64, dtype):
        data = case.data.with_features(features.astype(kind), "check")
        predictions.append(case.fit(data).predict_proba(data))
    close(predictions[1], predictions[0], tolerance, f"predictions from {np.dtype(dtype)} features")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        single_precision_features_give_the_same_predictions,
        half_precision_features_give_nearly_the_same_predictions,
        features_on_disk_are_as_good_as_in_memory,
        shifting_all_features_changes_nothing,
        features_that_never_differ_are_harmless,
        features_of_another_dimension_are_refused,
        features_of_another_space_are_refused,
        missing_features_are_refused,
        unusable_features_are_refused,
    )
}
