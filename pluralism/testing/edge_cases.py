"""Data at the edge: little of them, one-sided, contradictory, falling apart, oddly named. Finite, and flagged."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluralism.data import Comparisons, Items
from pluralism.errors import ComponentWarning, SeparationWarning, UsageError
from pluralism.models.base import PreferenceModel
from pluralism.testing.case import Case, close, replaced
from pluralism.testing.outcome import Failure, require

__all__ = ["CHECKS"]

NAMES = [
    "Zoë",
    "Zoe\u0308",
    "\u0645\u062d\u0645\u062f",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "a\u200bb",
    "ab",
    "\u202eabc",
    "1",
    "01",
    " x",
    "x",
    "naïve\ttab",
]


def one_person(case: Case) -> None:
    """A single user can be fitted."""
    _finite(_fit_or_refuse(case, case.data.take(case.data.user == 0).compact()), case.data)


def one_answer_each(case: Case) -> None:
    """Users with a single answer can be fitted."""
    first = np.unique(case.data.user, return_index=True)[1]
    _finite(case.fit(case.data.take(first)), case.data)


def one_pair_of_items(case: Case) -> None:
    """A single comparison can be fitted, and its winner is predicted to win."""
    row = case.data.take(np.array([0])).compact()
    model = _fit_or_refuse(case, row)
    _finite(model, row)
    p = model.predict_proba(row)[0]
    require((p - 0.5) * (row.outcome[0] - 0.5) > 0, "the only winner is not predicted to win")


def one_talker_and_many_silent(case: Case) -> None:
    """A user with nearly all of the answers does not break the fit."""
    keep = (case.data.user == 0) | (np.arange(len(case.data)) % 24 == 0)
    _finite(case.fit(case.data.take(keep)), case.data)


def more_groups_than_people(case: Case) -> None:
    """Two users can be fitted, whatever the number of groups."""
    _finite(case.fit(case.data.take(case.data.user < 2).compact()), case.data)


def nothing_but_ties(case: Case) -> None:
    """Where all comparisons are ties, every prediction is even."""
    case.needs_no_side()
    data = replaced(case.data, outcome=np.full(len(case.data), 0.5))
    model = case.fit(data)
    _finite(model, data)
    close(model.predict_proba(data), np.full(len(data), 0.5), 0.01, "predictions after ties alone")


def contradictions_cancel(case: Case) -> None:
    """Each judgement and its opposite, by the same user, leave even predictions."""
    case.needs_no_side()
    data = case.data.concat(replaced(case.data, outcome=1 - case.data.outcome))
    model = case.fit(data)
    _finite(model, data)
    close(model.predict_proba(data), np.full(len(data), 0.5), 0.01, "predictions after contradictions alone")


def separable_answers_are_finite_and_flagged(case: Case) -> None:
    """Where a linear reward explains every answer, rewards stay finite and the user is told."""
    data = case.data
    score = np.asarray(data.items.features, dtype=np.float64)[:, 0]
    clear = np.abs(score[data.left] - score[data.right]) > 0.5
    data = replaced(data, outcome=(score[data.left] > score[data.right]).astype(float)).take(clear)
    model, warned = case.fit_and_listen(data)
    _finite(model, data)
    _flagged(model, warned, SeparationWarning, "separable answers")


def undefeated_items_are_finite_and_flagged(case: Case) -> None:
    """Where an item never lost, rewards stay finite and the user is told."""
    left, right = np.array([0, 0, 0, 1, 2, 1]), np.array([1, 2, 3, 2, 1, 3])
    data = case.without_features(Comparisons.from_arrays(left, right, user=[0, 1, 0, 1, 0, 1]))
    model, warned = case.fit_and_listen(data)
    _finite(model, data)
    _flagged(model, warned, SeparationWarning, "an undefeated item")


def disconnected_items_are_finite_and_flagged(case: Case) -> None:
    """Where no comparison joins two parts, rewards stay finite and the user is told."""
    left, right = np.array([0, 1, 2, 3, 4, 5]), np.array([1, 2, 0, 4, 5, 3])
    data = case.without_features(Comparisons.from_arrays(np.tile(left, 2), np.tile(right, 2), user=[0, 1] * 6))
    model, warned = case.fit_and_listen(data)
    _finite(model, data)
    _flagged(model, warned, ComponentWarning, "a comparison graph in two parts")


def items_alone_can_be_fitted(case: Case) -> None:
    """Without features, each item has a reward of its own; unknown items get a finite one."""
    data = case.without_features(case.data)
    model = case.fit(data)
    _finite(model, data)
    right = ((model.predict_proba(data) > 0.5) == (data.outcome > 0.5)).mean()
    require(right > 0.6, f"only {right:.0%} of the training answers are predicted")
    require(np.isfinite(model.reward(Items(ids=["never seen"]))).all(), "an unknown item has no finite reward")


def strange_names_are_only_names(case: Case) -> None:
    """Labels of any script, look-alikes included, are kept apart and given back as they are."""
    data = case.data.take(case.data.user < len(NAMES)).compact()
    named = replaced(data, users=NAMES)
    model = case.fit(named)
    require(model.users_.to_pylist() == NAMES, "labels are changed")
    if case.draws_by_label:
        _finite(model, named)
        return
    expected = case.fit(data).predict_proba(data)
    close(model.predict_proba(named), expected, case.tolerance, "predictions under strange names")


def no_rows_are_refused(case: Case) -> None:
    """There is nothing to learn from no comparison, nor from rows of weight 0 alone."""
    nothing = case.data.take(np.zeros(0, dtype=np.int64))
    case.refuses(lambda: case.fit(nothing), "fitting to no rows")
    weightless = replaced(case.data, weight=np.zeros(len(case.data)))
    case.refuses(lambda: case.fit(weightless), "fitting to rows of weight 0 alone")


def predictions_of_no_rows_are_empty(case: Case) -> None:
    """No rows in, no rows out."""
    nothing = case.data.take(np.zeros(0, dtype=np.int64))
    require(case.fitted.predict_proba(nothing).shape == (0,), "predict_proba of no rows is not empty")
    shape = case.fitted.predict_group_proba(nothing).shape
    require(shape == (0, case.fitted.n_groups_), f"predict_group_proba of no rows has the shape {shape}")


def _fit_or_refuse(case: Case, data: Comparisons) -> PreferenceModel:
    """Fit; a model that must choose its settings from the data may say that these are too few for that."""
    try:
        return case.fit(data)
    except UsageError as error:
        case.needs_fixed_settings()
        raise Failure(f"refused: {error.what}") from error


def _finite(model: PreferenceModel, data: Comparisons) -> None:
    require(np.isfinite(model.reward(data.items)).all(), "rewards are not finite")
    p = model.predict_proba(data)
    require(((p >= 0) & (p <= 1)).all(), "predictions are no probabilities")
    require(np.isfinite(model.group_weights_).all(), "group weights are not finite")


def _flagged(model: PreferenceModel, warned: list[type[Warning]], wanted: type[Warning], what: str) -> None:
    require(any(issubclass(category, wanted) for category in warned), f"{what}: no {wanted.__name__}")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        one_person,
        one_answer_each,
        one_pair_of_items,
        one_talker_and_many_silent,
        more_groups_than_people,
        nothing_but_ties,
        contradictions_cancel,
        separable_answers_are_finite_and_flagged,
        undefeated_items_are_finite_and_flagged,
        disconnected_items_are_finite_and_flagged,
        items_alone_can_be_fitted,
        strange_names_are_only_names,
        no_rows_are_refused,
        predictions_of_no_rows_are_empty,
    )
}
