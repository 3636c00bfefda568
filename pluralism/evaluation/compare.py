"""Several models on the same data, with differences that say whether they are more than chance."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from sklearn.base import clone

from pluralism.data.labels import label_codes
from pluralism.errors import DataError, DataWarning, UsageError
from pluralism.evaluation.comparison import METRICS, Comparison, ComparisonRow
from pluralism.evaluation.evaluate import predictions
from pluralism.evaluation.few_shot import FewShotCurve, few_shot_curve
from pluralism.evaluation.groups import Grouping, GroupsArgument, choose_groups
from pluralism.evaluation.leaks import shared_rows
from pluralism.evaluation.paired import Paired, paired_scores
from pluralism.evaluation.placement import Placement, drop_weightless, place_users
from pluralism.evaluation.scoring import Settings, evaluate_predictions
from pluralism.random import RNG, as_seed

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import PreferenceModel

__all__ = ["compare"]

Callback = Callable[[str, str, int, float], None]
HELD_OUT = 5
LEAST_USERS = 5
REPEATS = 3


def compare(
    models: Mapping[str, PreferenceModel],
    train: Comparisons,
    test: Comparisons,
    *,
    support: Comparisons | None = None,
    reference: str | None = None,
    groups: GroupsArgument = None,
    n_bins: int = 15,
    n_bootstrap: int = 1000,
    level: float = 0.95,
    min_user_rows: int = 5,
    shots: Sequence[int] = (0, 2, 5, 10, 20),
    refit: bool = True,
    callback: Callback | None = None,
    rng: RNG = 0,
) -> Comparison:
    """Fit models to the same data and score them on the same rows.

    Parameters
    ----------
    models : mapping of str to PreferenceModel
        Each is cloned, so those given stay as they are.
    train, test : Comparisons
        A `DataWarning` says so if they share rows.
    support, groups, n_bins, n_bootstrap, level, min_user_rows, rng
        As in `evaluate`. Without groups in the data, those of the model with most groups are used for all models.
    reference : str, optional
        Name of the model that differences are taken to; the first by default.
    shots : sequence of int
        Where test and support have users that are not in the training data, all models are also scored on these
        after so many answers, by `few_shot_curve`; numbers that nobody has answers enough for are left out.
    refit : bool
        Whether clones of the models are fitted to `train`; False for models that were fitted to it already.
    callback : callable, optional
        Called while fitting, as (model name, piece, iteration, objective).

    Returns
    -------
    Comparison

    Raises
    ------
    UsageError
        If there is no model, or no such reference.
    """
    if not models:
        raise UsageError("There are no models to compare.", fix='Pass a mapping such as {"bt": BradleyTerry()}.')
    reference = next(iter(models)) if reference is None else reference
    if reference not in models:
        raise UsageError(f"There is no model {reference!r} to refer to.", fix=f"Choose one of {sorted(models)}.")
    settings = Settings(n_bins, n_bootstrap, level, min_user_rows, as_seed(rng))
    test = drop_weightless(test)
    if len(test) == 0:
        raise DataError("There are no comparisons of positive weight to score.", fix="Pass test data with rows.")
    shared = shared_rows(test, drop_weightless(train))
    if len(shared):
        warnings.warn(
            f"{len(shared):,} of the {len(test):,} test rows are also in the training data, with the same answer "
            f"(the first is row {shared[0] + 1}): scores are too good. Split with comparisons.split(by='pair').",
            DataWarning,
            stacklevel=2,
        )
    fitted, seconds = {}, {}
    for name, model in models.items():
        start = time.perf_counter()
        fitted[name] = _fit(name, clone(model), train, callback) if refit else model
        seconds[name] = time.perf_counter() - start if refit else float("nan")
    placements = {name: place_users(model, test, support) for name, model in fitted.items()}
    grouping = _common_groups(fitted, test, placements, groups)
    p = {name: predictions(model, test, placements[name].membership) for name, model in fitted.items()}
    controls = {
        name: predictions(model.control_, test, None)
        for name, model in fitted.items()
        if getattr(model, "control_", None) is not None
    }
    paired = paired_scores(
        {("model", name): values for name, values in p.items()}
        | {("control", name): values for name, values in controls.items()},
        test.outcome,
        test.weight,
        test.user,
        settings,
    )
    curves = _few_shot(fitted, train, test if support is None else test.concat(support), shots, settings)
    rows = []
    for name, model in fitted.items():
        evaluation = evaluate_predictions(
            p[name],
            test.outcome,
            test.weight,
            test.user,
            grouping,
            placements[name].counts(test.user),
            settings,
        )
        rows.append(
            ComparisonRow(
                name=name,
                n_groups=int(model.n_groups_),
                fit_seconds=seconds[name],
                converged=bool(model.converged_),
                evaluation=evaluation,
                differences={m: paired.difference(m, ("model", name), ("model", reference)) for m in METRICS},
                control=_control(paired, name) if name in controls else None,
                best=tuple(m for m in METRICS if _beats_all(paired, m, name, list(fitted))),
                as_good_as_best=tuple(m for m in METRICS if _as_good_as_best(paired, m, name, list(fitted))),
                few_shot=curves.get(name),
            )
        )
    return Comparison(tuple(rows), reference, fitted, grouping.source, level)


def _fit(name: str, model: PreferenceModel, train: Comparisons, callback: Callback | None) -> PreferenceModel:
    if callback is None:
        return model.fit(train)

    def tell(piece: str, iteration: int, objective: float) -> None:
        callback(name, piece, iteration, objective)

    return model.fit(train, callback=tell)


def _common_groups(
    fitted: Mapping[str, PreferenceModel],
    test: Comparisons,
    placements: Mapping[str, Placement],
    groups: GroupsArgument,
) -> Grouping:
    name = max(fitted, key=lambda name: fitted[name].n_groups_)
    grouping = choose_groups(fitted[name], test, placements[name], groups)
    if len(fitted) > 1 and "model" in grouping.source:
        return Grouping(grouping.code, grouping.names, f"{grouping.source} (of {name!r}, for all models)")
    return grouping


def _control(paired: Paired, name: str) -> dict[str, Any]:
    out: dict[str, Any] = {metric: paired.value(metric, ("control", name)) for metric in METRICS}
    return out | {f"{m}_gain": paired.difference(m, ("model", name), ("control", name)) for m in METRICS}


def _few_shot(
    fitted: Mapping[str, PreferenceModel],
    train: Comparisons,
    answers: Comparisons,
    shots: Sequence[int],
    settings: Settings,
) -> dict[str, FewShotCurve]:
    """Curves of all models on the same unseen users; none where there are no such users."""
    answers = drop_weightless(answers)
    unseen = label_codes(answers.users, train.users.take(pa.array(np.unique(train.user)))) < 0
    rows = np.bincount(answers.user, minlength=answers.n_users)[unseen]
    possible = [s for s in shots if np.sum(rows >= s + HELD_OUT) >= LEAST_USERS]
    if not any(possible):
        return {}
    return {
        name: few_shot_curve(
            model,
            answers.take(unseen[answers.user]).compact(),
            shots=possible,
            repeats=REPEATS,
            min_held_out=HELD_OUT,
            n_bootstrap=settings.n_bootstrap,
            level=settings.level,
            rng=settings.seed,
        )
        for name, model in fitted.items()
    }


def _as_good_as_best(paired: Paired, metric: str, name: str, names: list[str]) -> bool:
    """Whether no other model is better by more than chance."""
    for other in names:
        if other == name:
            continue
        _, low, high = paired.difference(metric, ("model", name), ("model", other))
        if (high < 0) if metric == "accuracy" else (low > 0):
            return False
    return True


def _beats_all(paired: Paired, metric: str, name: str, names: list[str]) -> bool:
    others = [other for other in names if other != name]
    bounds = np.array([paired.difference(metric, ("model", name), ("model", other))[1:] for other in others])
    if not others:
        return False
    return bool((bounds[:, 0] > 0).all() if metric == "accuracy" else (bounds[:, 1] < 0).all())
