"""The manners of an estimator: parameters, fitting, what is learned, and what is refused before that."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

import numpy as np
from sklearn.base import clone

from pluralism.errors import NotFittedError
from pluralism.testing.case import Case, close
from pluralism.testing.outcome import Failure, require

__all__ = ["CHECKS"]

LEARNED = (
    "n_groups_",
    "group_weights_",
    "users_",
    "posterior_",
    "converged_",
    "n_iter_",
    "objective_",
    "gradient_norm_",
    "feature_space_",
    "dim_",
)


def constructor_stores_parameters_unmodified(case: Case) -> None:
    """Every constructor argument is a keyword with a default and is stored as the very object given."""
    kind = type(case.model)
    arguments = [p for name, p in inspect.signature(kind.__init__).parameters.items() if name != "self"]
    for argument in arguments:
        require(argument.kind is argument.KEYWORD_ONLY, f"{argument.name} is no keyword argument")
        require(argument.default is not argument.empty, f"{argument.name} has no default")
    given = case.model.get_params(deep=False)
    require(set(given) == {argument.name for argument in arguments}, "get_params does not name all arguments")
    made = kind(**given)
    for name, value in given.items():
        require(getattr(made, name) is value, f"{name} is changed by the constructor")


def constructor_does_nothing_else(case: Case) -> None:
    """A new instance holds its parameters and nothing more."""
    extra = set(vars(case.fresh())) - set(case.model.get_params(deep=False))
    require(not extra, f"the constructor also sets {sorted(extra)}")


def clone_is_unfitted_and_equal(case: Case) -> None:
    """A clone of a fitted model has the same parameters and none of its state."""
    copy = clone(case.fitted)
    require(repr(copy) == repr(case.fresh()), "the clone has other parameters")
    require(not [name for name in vars(copy) if name.endswith("_")], "the clone keeps learned state")


def parameters_can_be_set(case: Case) -> None:
    """`set_params` takes what `get_params` gives, returns the model, and refuses unknown names."""
    model = case.fresh()
    require(model.set_params(**model.get_params(deep=False)) is model, "set_params does not return the model")
    try:
        model.set_params(no_such_parameter=1)
    except ValueError:
        return
    raise Failure("set_params accepts an unknown name")


def repr_names_the_model(case: Case) -> None:
    """The repr begins with the class name, fitted or not."""
    for model in (case.fresh(), case.fitted):
        require(repr(model).startswith(type(case.model).__name__), f"repr is {repr(model)[:60]!r}")


def fit_returns_self(case: Case) -> None:
    """`fit` returns the model it was called on."""
    model = case.fresh()
    require(case.train(model, case.data) is model, "fit returns something else")


def fit_keeps_parameters(case: Case) -> None:
    """Fitting changes no constructor parameter."""
    model = case.fresh()
    before = model.get_params(deep=False)
    case.train(model, case.data)
    for name, value in model.get_params(deep=False).items():
        require(value is before[name], f"fit changes the parameter {name}")


def fit_forgets_earlier_fits(case: Case) -> None:
    """A second fit gives what a first fit to the same data gives, with no attribute left over."""
    data = case.data
    other = data.take(data.user < 12).compact().swapped()
    twice, once = case.fit(other), case.fitted
    case.train(twice, data)
    require(set(vars(twice)) == set(vars(once)), f"left over or missing: {set(vars(twice)) ^ set(vars(once))}")
    close(twice.predict_proba(data), once.predict_proba(data), 0.0, "predictions after a second fit")


def fit_leaves_the_data_unchanged(case: Case) -> None:
    """No array of the comparisons is written to, also where it could be."""
    data = case.data
    features = np.array(data.items.features)
    data = data.with_features(features, "check")
    before = {name: value.copy() for name, value in vars(data).items() if isinstance(value, np.ndarray)}
    copy = features.copy()
    model = case.fit(data)
    for call in (model.predict_proba, model.adapt, model.membership):
        call(data)
    require(np.array_equal(features, copy), "the features are changed")
    for name, value in before.items():
        require(np.array_equal(getattr(data, name), value), f"the column {name} is changed")


def unfitted_models_say_so(case: Case) -> None:
    """Every method that needs a fit raises `NotFittedError` before one."""
    model, data = case.fresh(), case.data
    calls: dict[str, Callable[[], object]] = {
        "reward": lambda: model.reward(data.items),
        "predict_proba": lambda: model.predict_proba(data),
        "predict_group_proba": lambda: model.predict_group_proba(data),
        "membership": lambda: model.membership(),
        "adapt": lambda: model.adapt(data),
    }
    for name, call in calls.items():
        try:
            call()
        except NotFittedError:
            continue
        except Exception as error:
            raise Failure(f"{name} raises {type(error).__name__} before fit, not NotFittedError") from error
        raise Failure(f"{name} works before fit")


def learned_attributes_are_there(case: Case) -> None:
    """The attributes of the contract exist, agree in shape, and are finite."""
    model = case.fitted
    missing = [name for name in LEARNED if not hasattr(model, name)]
    require(not missing, f"missing after fit: {missing}")
    users, groups = len(model.users_), model.n_groups_
    require(np.shape(model.group_weights_) == (groups,), "group_weights_ is not of shape (groups,)")
    require(np.shape(model.posterior_) == (users, groups), "posterior_ is not of shape (users, groups)")
    require(users == case.data.n_users, "users_ does not hold the training users")
    require(isinstance(model.converged_, bool), "converged_ is no bool")
    require(np.isfinite([model.objective_, model.gradient_norm_]).all(), "objective_ or gradient_norm_ is not finite")
    require(model.dim_ == case.data.dim, "dim_ is not that of the data")
    require(model.feature_space_ == case.data.items.feature_space, "feature_space_ is not that of the data")
    require(isinstance(model.requires_features, bool), "requires_features is no bool")


def outputs_have_the_shapes_of_the_contract(case: Case) -> None:
    """Rewards, predictions and memberships have the promised shapes and ranges."""
    model, data = case.fitted, case.data
    groups = model.n_groups_
    require(model.reward(data.items).shape == (data.n_items, groups), "reward is not (items, groups)")
    p, q = model.predict_proba(data), model.predict_group_proba(data)
    require(p.shape == (len(data),), "predict_proba is not (pairs,)")
    require(q.shape == (len(data), groups), "predict_group_proba is not (pairs, groups)")
    require(p.dtype == np.float64 and q.dtype == np.float64, "probabilities are not float64")
    require(((p >= 0) & (p <= 1)).all() and ((q >= 0) & (q <= 1)).all(), "probabilities leave [0, 1]")
    require(np.isfinite(model.reward(data.items)).all(), "rewards are not finite")


def membership_is_json(case: Case) -> None:
    """A membership converts to JSON text and to a table with one column a group."""
    membership = case.fitted.membership()
    document = json.loads(membership.to_json())
    require(document["users"] == membership.users.to_pylist(), "the JSON has other users")
    require(membership.to_frame().num_rows == len(membership), "the table has another number of rows")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        constructor_stores_parameters_unmodified,
        constructor_does_nothing_else,
        clone_is_unfitted_and_equal,
        parameters_can_be_set,
        repr_names_the_model,
        fit_returns_self,
        fit_keeps_parameters,
        fit_forgets_earlier_fits,
        fit_leaves_the_data_unchanged,
        unfitted_models_say_so,
        learned_attributes_are_there,
        outputs_have_the_shapes_of_the_contract,
        membership_is_json,
    )
}
