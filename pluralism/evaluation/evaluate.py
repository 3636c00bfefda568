"""Evaluate one fitted model on comparisons it was not fitted to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from pluralism.calibration import Temperature, brier, ece, log_loss
from pluralism.errors import DataError
from pluralism.evaluation.groups import GroupsArgument, choose_groups
from pluralism.evaluation.leaks import refuse_shared_rows
from pluralism.evaluation.placement import drop_weightless, place_users
from pluralism.evaluation.result import Calibrated, Evaluation
from pluralism.evaluation.scoring import Settings, evaluate_predictions, null_band
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import Membership, PreferenceModel

__all__ = ["evaluate", "predictions"]


def evaluate(
    model: PreferenceModel,
    test: Comparisons,
    *,
    support: Comparisons | None = None,
    calibration: Comparisons | None = None,
    groups: GroupsArgument = None,
    n_bins: int = 15,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    min_user_rows: int = 5,
    rng: RNG = 0,
) -> Evaluation:
    """Score a fitted model on comparisons, overall, by group and by user.

    Users of the training data are placed by their training membership, other users by their `support` answers alone
    (`model.adapt`), and those with neither by the population prior; the scored answers never place anybody.

    Parameters
    ----------
    model : PreferenceModel
        Fitted.
    test : Comparisons
        Rows to score, none of which the model was fitted to. Rows of weight 0 are left out.
    support : Comparisons, optional
        Answers of unseen users, none of them in `test`.
    calibration : Comparisons, optional
        Rows to fit a temperature on, none of them in `test` or `support`; the scores after scaling are in
        `calibrated`, all others stay those of the model as it is.
    groups : "data", "model" or mapping of user label to group name, optional
        Groups to report by: the `group` column of `test`, the model's most likely group of each placed user, or
        your own. By default the first of these that there is.
    n_bins : int
        Bins of confidence in [0.5, 1] of the expected calibration error.
    n_bootstrap : int
        Bootstrap draws of users; 0 for no intervals.
    level : float
        Coverage of the intervals.
    min_user_rows : int
        Decided rows a user needs to count for the tenth-percentile user.
    rng : int, numpy.random.Generator or None
        For the bootstrap and the null bands.

    Returns
    -------
    Evaluation

    Raises
    ------
    DataError
        If there is nothing to score, or scored rows are also in `support` or `calibration`.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> from pluralism.models import BradleyTerry
    >>> data = simulate_mixture(n_users=40, n_groups=2, n_items=60, dim=4, rng=0).comparisons
    >>> train, test = data.split(test=0.2, by="pair", rng=0)
    >>> evaluation = evaluate(BradleyTerry(ridge=1.0).fit(train), test)
    >>> evaluation.n, evaluation.users, evaluation.n_users_seen
    (160, 40, 40)
    """
    settings = Settings(n_bins, n_bootstrap, level, min_user_rows, as_seed(rng))
    test = drop_weightless(test)
    if len(test) == 0:
        raise DataError("There are no comparisons of positive weight to score.", fix="Pass test data with rows.")
    placement = place_users(model, test, support)
    p = predictions(model, test, placement.membership)
    evaluation = evaluate_predictions(
        p,
        test.outcome,
        test.weight,
        test.user,
        choose_groups(model, test, placement, groups),
        placement.counts(test.user),
        settings,
    )
    if calibration is None:
        return evaluation
    scaler = _fit_temperature(model, test, support, drop_weightless(calibration))
    return replace(evaluation, calibrated=_after_scaling(scaler, p, test, settings))


def predictions(
    model: PreferenceModel, comparisons: Comparisons, membership: Membership | None
) -> Float[np.ndarray, " pairs"]:
    """Predictions of a model, checked to be probabilities.

    Raises
    ------
    DataError
        If a prediction is NaN or outside [0, 1].
    """
    p = model.predict_proba(comparisons, membership=membership)
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)))
    if len(bad):
        raise DataError(
            f"{type(model).__name__} predicts {len(bad):,} values that are no probabilities; the first is {p[bad[0]]}.",
            where=f"row {bad[0] + 1}",
            fix="Run pluralism.testing.check_preference_model on the model.",
        )
    return np.asarray(p, dtype=np.float64)


def _fit_temperature(
    model: PreferenceModel, test: Comparisons, support: Comparisons | None, calibration: Comparisons
) -> Temperature:
    refuse_shared_rows(test, calibration, "calibration")
    placement = place_users(model, calibration, support)
    p = predictions(model, calibration, placement.membership)
    decided = calibration.outcome != 0.5
    if not decided.any():
        raise DataError("There are no decided calibration rows.", fix="Hold out rows with a preference.")
    return Temperature().fit(p[decided], calibration.outcome[decided], weight=calibration.weight[decided])


def _after_scaling(
    scaler: Temperature, p: Float[np.ndarray, " pairs"], test: Comparisons, settings: Settings
) -> Calibrated:
    p, decided = scaler.transform(p), test.outcome != 0.5
    low, high = null_band(p[decided], test.weight[decided], settings)
    return Calibrated(
        temperature=scaler.temperature_,
        standard_error=scaler.standard_error_,
        n_rows=scaler.n_rows_,
        nll=log_loss(p, test.outcome, weight=test.weight),
        nll_decided=log_loss(p[decided], test.outcome[decided], weight=test.weight[decided])
        if decided.any()
        else np.nan,
        brier=brier(p, test.outcome, weight=test.weight),
        ece=ece(p[decided], test.outcome[decided], n_bins=settings.n_bins, weight=test.weight[decided])
        if decided.any()
        else np.nan,
        ece_null_low=low,
        ece_null_high=high,
    )
