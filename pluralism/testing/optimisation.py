"""Fitting: it converges, says so, never goes uphill, repeats itself, learns, and knows how sure it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pluralism.errors import UsageError
from pluralism.testing.case import Case, close, replaced
from pluralism.testing.outcome import Skip, require

__all__ = ["CHECKS"]


def easy_data_converge(case: Case) -> None:
    """On easy data the fit converges: `converged_` is True and the gradient small beside the number of answers."""
    model = case.fitted
    require(model.converged_ is True, "converged_ is not True")
    require(model.n_iter_ >= 1, "n_iter_ is below 1")
    limit = 1e-3 * len(case.data)
    require(abs(model.gradient_norm_) < limit, f"gradient_norm_ is {model.gradient_norm_:.3g}, above {limit:.3g}")


def the_objective_never_goes_uphill(case: Case) -> None:
    """`objective_path_` moves in one direction and ends at `objective_`."""
    model = case.fitted
    if not hasattr(model, "objective_path_"):
        raise Skip("the model has no objective_path_")
    path = np.asarray(model.objective_path_, dtype=np.float64)
    require(np.isfinite(path).all() and len(path) > 0, "objective_path_ is empty or not finite")
    scale = 1e-9 * (1 + np.abs(path).max())
    steps = np.diff(path)
    require((steps <= scale).all() or (steps >= -scale).all(), "objective_path_ goes both up and down")
    close(path[-1:], np.array([model.objective_]), 1e-6 * (1 + abs(model.objective_)), "end of the path")


def equal_seeds_give_equal_fits(case: Case) -> None:
    """The same data and seed give the same predictions, bit for bit."""
    if "rng" in case.model.get_params(deep=False) and not isinstance(case.model.get_params(deep=False)["rng"], int):
        raise Skip("rng is no int, so fits may differ")
    again = case.fit(case.data)
    close(again.predict_proba(case.data), case.fitted.predict_proba(case.data), 0.0, "predictions of a second fit")
    close(again.reward(case.data.items), case.fitted.reward(case.data.items), 0.0, "rewards of a second fit")


def predictions_do_not_depend_on_the_batch(case: Case) -> None:
    """A row is predicted the same alone and among others."""
    model, data = case.fitted, case.data
    whole = model.predict_proba(data)
    parts = [model.predict_proba(data.take(slice(start, start + 7))) for start in range(0, len(data), 7)]
    close(np.concatenate(parts), whole, 1e-12, "predictions in batches of 7")
    some = np.arange(0, data.n_items, 3)
    close(model.reward(data.items.take(some)), model.reward(data.items)[some], 1e-9, "rewards of some items alone")


def it_learns(case: Case) -> None:
    """On easy data held-out answers are predicted better than by chance, and better than by halves."""
    train, test = case.data.split(test=0.25, by="pair", rng=0)
    model = case.fit(train)
    p = model.predict_proba(test)
    right = ((p > 0.5) == (test.outcome > 0.5)).mean()
    loss = -np.log(np.clip(np.where(test.outcome > 0.5, p, 1 - p), 1e-12, 1)).mean()
    require(right > 0.55, f"held-out accuracy is {right:.2f}")
    require(loss < np.log(2), f"held-out loss is {loss:.3f}, above that of predicting one half")


def uncertainty_shrinks_with_data(case: Case) -> None:
    """`reward_std` is positive, finite, and falls when every answer is given four times."""
    model = case.fitted
    if not hasattr(model, "reward_std"):
        raise Skip("the model has no reward_std")
    case.needs_fixed_settings()
    items = case.data.items
    try:
        spread = model.reward_std(items)
    except UsageError as error:
        raise Skip(f"the model has no reward_std: {error.what}") from error
    require(spread.shape == (len(items), model.n_groups_), "reward_std is not (items, groups)")
    require(np.isfinite(spread).all() and (spread > 0).all(), "reward_std is not positive and finite")
    more = case.fit(replaced(case.data, weight=4 * case.data.weight)).reward_std(items)
    require(more.mean() < 0.8 * spread.mean(), f"four times the data: mean {spread.mean():.3g} to {more.mean():.3g}")


CHECKS: dict[str, Callable[[Case], None]] = {
    check.__name__: check
    for check in (
        easy_data_converge,
        the_objective_never_goes_uphill,
        equal_seeds_give_equal_fits,
        predictions_do_not_depend_on_the_batch,
        it_learns,
        uncertainty_shrinks_with_data,
    )
}
