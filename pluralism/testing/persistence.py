"""Saved models: everything comes back, bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import numpy as np
from sklearn.base import clone

from pluralism.errors import NotFittedError
from pluralism.files import load_bundle
from pluralism.models.base import KINDS, PreferenceModel, load
from pluralism.testing.case import Case, close
from pluralism.testing.outcome import Failure, require

__all__ = ["CHECKS"]


def saved_models_predict_the_same(case: Case) -> None:
    """A model that was saved and loaded gives the same rewards, predictions and memberships, bit for bit."""
    model, loaded, data = case.fitted, _there_and_back(case.fitted), case.data
    close(loaded.predict_proba(data), model.predict_proba(data), 0.0, "predictions of the loaded model")
    close(loaded.reward(data.items), model.reward(data.items), 0.0, "rewards of the loaded model")
    close(loaded.membership().posterior, model.membership().posterior, 0.0, "memberships of the loaded model")
    require(loaded.membership().users.equals(model.membership().users), "users of the loaded model")
    placed = loaded.adapt(case.strangers).posterior
    close(placed, model.adapt(case.strangers).posterior, 0.0, "strangers placed by the loaded model")


def saved_models_keep_their_parameters_and_attributes(case: Case) -> None:
    """Parameters and learned attributes survive saving."""
    model, loaded = case.fitted, _there_and_back(case.fitted)
    require(type(loaded) is type(model), f"the loaded model is a {type(loaded).__name__}")
    given, back = model.get_params(deep=False), loaded.get_params(deep=False)
    for name, value in given.items():
        same = np.array_equal(np.asarray(value), np.asarray(back[name])) or value == back[name]
        require(same or not isinstance(value, (str, int, float, tuple)), f"{name} comes back as {back[name]!r}")
    lost = {name for name in vars(model) if name.endswith("_")} - set(vars(loaded))
    require(not lost, f"lost in saving: {sorted(lost)}")


def saving_again_replaces_the_old(case: Case) -> None:
    """A directory that holds a model takes another one in its place."""
    data = case.data
    other = case.fit(data.take(data.user < 10).compact())
    with tempfile.TemporaryDirectory() as folder:
        other.save(folder)
        case.fitted.save(folder)
        loaded = _load(case.fitted, folder)
    close(loaded.predict_proba(data), case.fitted.predict_proba(data), 0.0, "predictions after saving over another")


def unfitted_models_are_not_saved(case: Case) -> None:
    """There is nothing to save before a fit."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            case.fresh().save(folder)
        except NotFittedError:
            return
    raise Failure("an unfitted model can be saved")


def _there_and_back(model: PreferenceModel) -> PreferenceModel:
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        return _load(model, folder)


def _load(model: PreferenceModel, folder: str) -> PreferenceModel:
    """Load by the front door; models of users, which it does not know, by the same steps."""
    if type(model).__name__ in KINDS:
        return load(folder)
    document, arrays = load_bundle(folder)
    loaded = clone(model)
    loaded._set_state(document["state"], arrays)
    return loaded


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        saved_models_predict_the_same,
        saved_models_keep_their_parameters_and_attributes,
        saving_again_replaces_the_old,
        unfitted_models_are_not_saved,
    )
}
