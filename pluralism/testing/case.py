"""What every check is given: clones of the model under test, small data sets, and fits made once."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import clone

from pluralism.data import Comparisons, Items, Ratings
from pluralism.data.simulate import Simulation, simulate_mixture
from pluralism.errors import PluralismError
from pluralism.testing.outcome import Failure, Skip, require

if TYPE_CHECKING:
    from pluralism.models import PreferenceModel

__all__ = ["Case", "attribute_ratings", "close", "replaced"]


class Case:
    """A model under test and the data it is tested on.

    Parameters
    ----------
    model : PreferenceModel
        Never fitted nor changed: all checks work on clones.
    tolerance : float
        Largest difference of probabilities that a reordering of the same data may bring.
    """

    def __init__(self, model: PreferenceModel, tolerance: float) -> None:
        self.model, self.tolerance = model, tolerance

    def fresh(self) -> PreferenceModel:
        """An unfitted clone."""
        return clone(self.model)

    def train(self, model: PreferenceModel, comparisons: Comparisons) -> PreferenceModel:
        """Fit a model to comparisons; one that learns from ratings alone is given ratings of their items as well."""
        if "comparisons" in model.takes:
            return model.fit(comparisons)
        fit: Callable[..., PreferenceModel] = model.fit
        return fit(attribute_ratings(comparisons), comparisons=comparisons)

    def fit(self, comparisons: Comparisons) -> PreferenceModel:
        """A clone fitted to comparisons, its warnings kept quiet."""
        return self.fit_and_listen(comparisons)[0]

    def fit_and_listen(self, comparisons: Comparisons) -> tuple[PreferenceModel, list[type[Warning]]]:
        """A clone fitted to comparisons, and the categories of the warnings on the way."""
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            model = self.train(self.fresh(), comparisons)
        return model, [warning.category for warning in heard]

    @cached_property
    def simulation(self) -> Simulation[Any]:
        """30 users of two clearly different groups, 24 answers each about 40 items with 4 features."""
        return simulate_mixture(
            n_users=30, n_groups=2, n_items=40, dim=4, pairs_per_user=24, scale=4.0, group_weights=[0.6, 0.4], rng=0
        )

    @cached_property
    def data(self) -> Comparisons:
        """The comparisons of `simulation`, without known groups."""
        return replaced(self.simulation.comparisons, group=None, groups=None)

    @property
    def space(self) -> str:
        """The feature space of `data`."""
        return str(self.data.items.feature_space)

    @cached_property
    def fitted(self) -> PreferenceModel:
        """A clone fitted to `data`; checks must not change it."""
        return self.fit(self.data)

    @cached_property
    def strangers(self) -> Comparisons:
        """Answers of five users that `data` does not have, about its items."""
        part = self.data.take(self.data.user < 5).compact()
        return replaced(part, users=[f"stranger {k}" for k in range(5)])

    def without_features(self, comparisons: Comparisons) -> Comparisons:
        """The same answers about items that are ids alone.

        Raises
        ------
        Skip
            If the model needs features.
        """
        if self.model.requires_features:
            raise Skip("the model needs features")
        return replaced(comparisons, items=Items(ids=comparisons.items.ids))

    def needs_fixed_settings(self) -> None:
        """Skip checks in which data of another size may well lead a model to other settings."""
        automatic = [name for name, value in self.model.get_params(deep=False).items() if is_automatic(value)]
        if automatic:
            raise Skip(f"{', '.join(automatic)} = 'auto' may be chosen otherwise on such data")

    def needs_no_side(self) -> None:
        """Skip checks of symmetry where the model is told that the left side is special."""
        if getattr(self.model, "position_bias", False):
            raise Skip("the model has a term for standing on the left")

    @property
    def draws_by_label(self) -> bool:
        """Whether the model draws something for each person by name, so that other names are another seed."""
        return bool(getattr(self.model, "draws_by_label", False))

    @property
    def order_tolerance(self) -> float:
        """Largest difference of probabilities that another order of the same rows may bring.

        Models that learn by minibatches say so by an attribute `minibatched`; what they find depends a little on the
        order in which rows are visited.
        """
        return max(self.tolerance, 0.05) if getattr(self.model, "minibatched", False) else self.tolerance

    def needs_separate_rewards(self) -> None:
        """Skip checks that no feature has a part in what is learnt of another one."""
        if getattr(self.fitted, "map_", None) is not None:
            raise Skip("all rewards go through one learnt map of the features")

    def refuses(self, action: Callable[[], object], what: str) -> None:
        """Require that an action raises a `PluralismError`, which says what is wrong and how to mend it."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                action()
        except PluralismError as error:
            require(error.fix, f"{what}: the error does not say how to mend it")
        except Exception as error:
            raise Failure(f"{what}: {type(error).__name__} instead of a PluralismError ({error})") from error
        else:
            raise Failure(f"{what} is accepted")


def close(found: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Require that two arrays are finite, of one shape and nowhere further apart than the tolerance."""
    found, expected = np.asarray(found, float), np.asarray(expected, float)
    require(found.shape == expected.shape, f"{what}: shape {found.shape} instead of {expected.shape}")
    require(np.isfinite(found).all() and np.isfinite(expected).all(), f"{what}: values are not finite")
    worst = float(np.abs(found - expected).max(initial=0.0))
    require(worst <= tolerance, f"{what}: off by {worst:.3g}, more than {tolerance:.3g}")


def attribute_ratings(comparisons: Comparisons) -> Ratings:
    """Ratings without noise of the items that are compared, on as many attributes as there are features.

    The attributes are a fixed rotation of the features, so that any linear taste is a direction over them.
    """
    items = comparisons.items
    dim = 1 if items.features is None else items.features.shape[1]
    mixing = np.linalg.qr(np.random.default_rng(dim).normal(size=(dim, dim)))[0]
    value = np.zeros((len(items), dim))
    if items.features is not None:
        value = np.asarray(items.features, dtype=np.float64) @ mixing
    rated = np.unique(np.concatenate([comparisons.left, comparisons.right]))
    item, attribute = np.repeat(rated, dim), np.tile(np.arange(dim), len(rated))
    names = [f"attribute {k}" for k in range(dim)]
    return Ratings(items, ["rater"], np.zeros(len(item), int), item, value[item, attribute], attribute, names)


def replaced(comparisons: Comparisons, **columns: Any) -> Comparisons:
    """The same comparisons with some columns replaced, checked as new ones."""
    return Comparisons(**{**vars(comparisons), **columns})


def is_automatic(value: object) -> bool:
    """Whether a setting is left to the model."""
    return isinstance(value, str) and value == "auto"
