"""Directional preference alignment: attributes from ratings, people as directions over them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.special import expit

from pluralism.data import Comparisons, Ratings
from pluralism.errors import ConvergenceWarning, DataError, SeparationWarning, UsageError
from pluralism.files import Checkpoint
from pluralism.models.attribute_ratings import attribute_labels, rating_features, ratings_digest
from pluralism.models.attribute_space import attribute_space
from pluralism.models.base import Callback, Places
from pluralism.models.direction_choice import DirectionChoice
from pluralism.models.membership import Membership
from pluralism.models.state import StateSpec, require_state
from pluralism.random import RNG, as_seed
from pluralism.solvers import FeatureMatrix
from pluralism.solvers.multi_ridge import fit_multi_ridge, group_folds
from pluralism.solvers.sphere_posterior import (
    DirectionPosterior,
    DirectionProblem,
    Population,
    fit_population,
    place_directions,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pluralism.data import Items

__all__ = ["DirectionalReward"]

N_FOLDS = 5


class DirectionalReward(DirectionChoice):
    """Attributes predicted from frozen features by ridge regression, and each person a direction over them.

    P(left preferred) = sigmoid(t v . (s_left - s_right)): s are the attributes of an item in comparable units, v a
    unit vector with signed components, t a temperature of the population.

    Parameters
    ----------
    ridge : "auto" or float
        Penalty of the regressions. "auto": each attribute's own, by cross-validation with whole prompts held out.
    decorrelate : str or None
        An attribute, such as "verbosity", whose multiple is taken off all others so that they are uncorrelated with it.
    correlation : {"spearman", "linear"}
        Which correlation is made 0.
    whiten : bool
        Make all attributes uncorrelated and of variance 1, so that directions are at right angles in what they pick;
        otherwise each is divided by its standard deviation.
    n_draws : int
        Draws of each person's posterior, for more than two attributes.
    rng : int, Generator or None

    Attributes
    ----------
    attributes_ : list of str
    coef_ : array of shape (attributes, dim)
    intercept_, ridge_, r2_ : arrays of shape (attributes,)
        `r2_` is cross-validated (NaN with one prompt alone).
    space_mean_, space_matrix_ : arrays of shape (attributes,), (attributes, attributes)
        Coordinates are ``space_matrix_ @ (attributes - space_mean_)``.
    direction_, concentration_, temperature_, temperature_spread_
        The population: mean direction, concentration around it (0: anywhere), median temperature and the standard
        deviation of its logarithm.
    position_, covariance_ : arrays of shape (users, attributes), (users, attributes, attributes)
        Posterior mean and covariance of each training user's direction. The mean is no unit vector: its length says how
        sure the direction is.
    ess_ : array of shape (users,)
        Effective number of draws behind each user's posterior.

    References
    ----------
    H. Wang et al., Arithmetic control of LLMs for diverse user preferences: directional preference alignment with
    multi-objective rewards, ACL 2024, arXiv:2402.18571.
    """

    requires_features = True
    takes = ("ratings",)
    places: Places = "factors"
    spec = StateSpec(
        arrays={
            "coef_": ("factors", "dim"),
            "intercept_": ("factors",),
            "ridge_": ("factors",),
            "space_mean_": ("factors",),
            "space_matrix_": ("factors", "factors"),
            "direction_": ("factors",),
            "group_weights_": ("groups",),
            "posterior_": ("users", "groups"),
            "n_answers_": ("users",),
            "position_": ("users", "factors"),
            "covariance_": ("users", "factors", "factors"),
            "ess_": ("users",),
            "objective_path_": ("path",),
        },
        numbers=("objective_", "gradient_norm_", "concentration_", "temperature_", "temperature_spread_"),
        counts=("n_iter_", "n_ratings_", "n_comparisons_", "seed_"),
        names=("attributes_",),
        plain=("r2_",),
    )

    def __init__(
        self,
        *,
        ridge: float | Literal["auto"] = "auto",
        decorrelate: str | None = None,
        correlation: Literal["spearman", "linear"] = "spearman",
        whiten: bool = False,
        n_draws: int = 1024,
        rng: RNG = 0,
    ) -> None:
        self.ridge = ridge
        self.decorrelate = decorrelate
        self.correlation = correlation
        self.whiten = whiten
        self.n_draws = n_draws
        self.rng = rng

    def fit(
        self,
        ratings: Ratings | Comparisons,
        *,
        comparisons: Comparisons | None = None,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit the attributes to ratings and, with comparisons, the directions of people and of their population.

        Parameters
        ----------
        ratings : Ratings
            Of items with features, on one attribute or more; missing ratings are simply missing.
        comparisons : Comparisons, optional
            Of items of the same feature space. Left out, nothing is known of directions: the prior is uniform.
        checkpoint : path, optional
            Directory for finished pieces of the fit.
        callback : callable, optional
            Called as (piece, iteration, objective).

        Raises
        ------
        UsageError
            If comparisons come in the place of ratings, or a setting cannot work.
        DataError
            If there are no ratings or no features, or the comparisons do not fit them.
        """
        self._forget()
        if not isinstance(ratings, Ratings):
            raise UsageError(
                f"DirectionalReward learns attributes from ratings, and was given {type(ratings).__name__}.",
                fix="Pass Ratings, and comparisons as fit(ratings, comparisons=...); on the command line that is "
                "`pluralism directions RATINGS --comparisons FILE`. The recipes bt and maxmin take comparisons alone.",
            )
        self._check(ratings)
        if len(ratings) == 0:
            raise DataError("There are no ratings to fit: the data have no rows.", fix="Check the file.")
        if comparisons is not None and not np.any(comparisons.weight > 0):
            raise DataError(
                "There are no comparisons of positive weight to fit.",
                where=f"{len(comparisons)} rows",
                fix="Check the file with `pluralism check`, or leave the comparisons out.",
            )
        features = rating_features(ratings, like=None if comparisons is None else comparisons.items)
        seed = as_seed(self.rng)
        error = self._fit_attributes(ratings, features, seed, checkpoint, callback)
        self._fit_people(comparisons, error, seed, callback)
        return self

    def _fit_attributes(
        self,
        ratings: Ratings,
        features: Float[np.ndarray, "items dim"],
        seed: int,
        checkpoint: str | Path | None,
        callback: Callback | None,
    ) -> float:
        """Set the attributes; returns the sum of their mean squared errors."""
        labels = attribute_labels(ratings)
        fold = group_folds(labels.group, N_FOLDS, np.random.default_rng([seed, 1]))
        ridge = None if self.ridge == "auto" else float(self.ridge)
        if fold is None and ridge is None:
            raise UsageError(
                "All rated items are of one prompt, so no prompt can be held out to choose the ridge.",
                fix="Pass ridge=..., or ratings of several prompts.",
            )
        matrix = FeatureMatrix(features)
        if callback is not None:
            callback("attributes", 0, float("nan"))

        def regress() -> dict[str, np.ndarray]:
            found = fit_multi_ridge(
                matrix, labels.value, item=labels.item, weight=labels.weight, fold=fold, ridge=ridge
            )
            return {name: getattr(found, name) for name in ("coef", "intercept", "ridge", "r2", "residual_variance")}

        store = None if checkpoint is None else Checkpoint(checkpoint)
        key = f"DirectionalReward/{seed}/{self!r}/{ratings_digest(ratings, features)}"
        kept = None if store is None else store.get(key)
        found = regress() if kept is None else kept[0]
        if store is not None and kept is None:
            store.put(key, found, {})
        self.attributes_ = ratings.attributes.to_pylist()
        self.coef_ = np.ascontiguousarray(found["coef"].T)
        self.intercept_, self.ridge_ = found["intercept"], found["ridge"]
        self.r2_ = [None if np.isnan(value) else float(value) for value in found["r2"]]
        self.dim_, self.feature_space_ = int(features.shape[1]), ratings.items.feature_space
        self.n_ratings_ = len(ratings)
        rated = np.unique(labels.item)
        predicted = (matrix.matmul(found["coef"]) + self.intercept_)[rated]
        against = None if self.decorrelate is None else self.attributes_.index(self.decorrelate)
        self.space_mean_, self.space_matrix_ = attribute_space(
            predicted, against=against, by=self.correlation, whiten=self.whiten
        )
        return float(found["residual_variance"].sum())

    def _fit_people(self, comparisons: Comparisons | None, error: float, seed: int, callback: Callback | None) -> None:
        k = len(self.attributes_)
        self.group_weights_ = np.ones(1)
        self.n_comparisons_ = 0 if comparisons is None else len(comparisons)
        self.seed_ = seed
        if comparisons is None:
            self._set_population(Population(np.eye(k)[0], 0.0, 0.0, 1.0))
            self.objective_, self.objective_path_ = error, np.array([error])
            self.n_iter_, self.gradient_norm_ = 1, 0.0
            self.users_ = pa.array([], pa.large_string())
            self.posterior_, self.n_answers_ = np.ones((0, 1)), np.zeros(0, np.int64)
            self.position_, self.covariance_, self.ess_ = np.zeros((0, k)), np.zeros((0, k, k)), np.zeros(0)
            self.converged_ = True
            return
        if callback is not None:
            callback("directions", 0, float("nan"))
        present = np.unique(comparisons.user)
        problem = self._problem(comparisons)
        population, path, n_iter, converged, gradient = fit_population(problem, rng=np.random.default_rng([seed, 2]))
        self._set_population(population)
        self.objective_, self.objective_path_ = path[-1], np.array(path)
        self.n_iter_, self.gradient_norm_ = n_iter, gradient
        found = self._place(problem)
        self.users_ = comparisons.users.take(pa.array(present))
        self.posterior_ = np.ones((len(present), 1))
        self.n_answers_ = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users)[present].astype(
            np.int64
        )
        self.position_, self.covariance_ = found.mean[present], found.covariance[present]
        # without answers the posterior is the prior, which is known exactly
        self.ess_ = np.where(np.isfinite(found.ess[present]), found.ess[present], float(self.n_draws))
        self.converged_ = bool(converged)
        if not converged:
            warnings.warn(
                f"The population of directions was still moving after {n_iter} steps; the last one is kept.",
                ConvergenceWarning,
                stacklevel=3,
            )
        decided = (comparisons.weight > 0) & (comparisons.outcome != 0.5)
        z = np.sum(self._differences(comparisons) * found.mean[comparisons.user], axis=1)
        if decided.any() and np.all((z * (comparisons.outcome - 0.5))[decided] > 0):
            warnings.warn(
                "The directions explain every decided comparison: the data are separable, and the temperature is set "
                "by the prior.",
                SeparationWarning,
                stacklevel=3,
            )

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Expected reward for a person of whom nothing is known, in logits, as one column."""
        self._check_fitted()
        return self.temperature_ * (self.coordinates(items) @ self._population().mean())[:, None]

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits."""
        self._check_fitted()
        placed = self._own(membership)
        return self.temperature_ * self.coordinates(items) @ _position(placed, len(self.space_mean_)).T

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) for a person of whom nothing is known, in one column."""
        self._check_fitted()
        return self._probability(comparisons, self._prior(), np.zeros(len(comparisons), np.int64))[:, None]

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row, averaged over the posterior of the user's direction."""
        self._check_fitted()
        return self._probability(comparisons, self._placed(comparisons, membership), comparisons.user)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Posterior of each user's direction by these answers alone; users without answers have the prior."""
        self._check_fitted()
        found = self._place(self._problem(comparisons))
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return self._membership(comparisons.users, np.ones((comparisons.n_users, 1)), n, found.mean, found.covariance)

    def directions(self, membership: Membership | None = None) -> Float[np.ndarray, "users attributes"]:
        """Unit directions of users: their posterior mean, normalised (the population's where that is 0)."""
        self._check_fitted()
        position = _position(self._own(membership), len(self.space_mean_))
        length = np.linalg.norm(position, axis=1, keepdims=True)
        return np.where(length > 1e-12, position / np.maximum(length, 1e-300), self.direction_)

    def _population(self) -> Population:
        return Population(
            self.direction_, self.concentration_, float(np.log(self.temperature_)), self.temperature_spread_
        )

    def _set_population(self, population: Population) -> None:
        self.direction_ = population.direction
        self.concentration_ = float(population.concentration)
        self.temperature_ = float(np.exp(population.log_temperature))
        self.temperature_spread_ = float(population.spread)

    def _differences(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs attributes"]:
        weight = self.coef_.T @ self.space_matrix_.T
        scores = self._features(comparisons.items).matmul(weight)
        return scores[comparisons.left] - scores[comparisons.right]

    def _problem(self, comparisons: Comparisons) -> DirectionProblem:
        order = np.argsort(comparisons.user, kind="stable")
        start = np.zeros(comparisons.n_users + 1, np.int64)
        np.cumsum(np.bincount(comparisons.user, minlength=comparisons.n_users), out=start[1:])
        return DirectionProblem(
            start,
            np.ascontiguousarray(self._differences(comparisons)[order]),
            np.ascontiguousarray(comparisons.outcome[order]),
            np.ascontiguousarray(comparisons.weight[order]),
        )

    def _place(self, problem: DirectionProblem) -> DirectionPosterior:
        rng = np.random.default_rng([self.seed_, 3])
        return place_directions(problem, self._population(), n_draws=self.n_draws, rng=rng)

    def _trained(self) -> Membership:
        return self._membership(self.users_, self.posterior_, self.n_answers_, self.position_, self.covariance_)

    def _prior(self) -> Membership:
        population = self._population()
        nobody = pa.array([""], pa.large_string())
        return self._membership(
            nobody, np.ones((1, 1)), np.zeros(1, np.int64), population.mean()[None], population.covariance()[None]
        )

    def _probability(
        self, comparisons: Comparisons, placed: Membership, user: Int[np.ndarray, " pairs"]
    ) -> Float[np.ndarray, " pairs"]:
        """E sigma(t v . d) for v with the placed moments (MacKay 1992: the logit shrunk by its variance)."""
        difference = self.temperature_ * self._differences(comparisons)
        z = np.sum(difference * _position(placed, len(self.space_mean_))[user], axis=1)
        spread = np.zeros(len(z))
        if placed.covariance is not None:
            spread = np.einsum("na,nab,nb->n", difference, placed.covariance[user], difference)
        return expit(z / np.sqrt(1.0 + np.pi / 8.0 * np.maximum(spread, 0.0)))

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        extents = self.spec.give(self, document, arrays)
        require_state(len(self.attributes_) == extents["factors"], "the attributes and the coefficients disagree")
        require_state(document["temperature_"] > 0, "temperature_ is not positive")
        require_state(document["concentration_"] >= 0, "concentration_ is negative")
        require_state(document["temperature_spread_"] > 0, "temperature_spread_ is not positive")
        require_state(isinstance(self.r2_, list) and len(self.r2_) == extents["factors"], "r2_ is no list of numbers")
        require_state(abs(float(np.linalg.norm(self.direction_)) - 1.0) < 1e-6, "direction_ is no unit vector")

    def _check(self, ratings: Ratings) -> None:
        def refuse(name: str, allowed: str) -> None:
            raise UsageError(f"{name}={getattr(self, name)!r} is not possible.", fix=f"{name} is {allowed}.")

        number = isinstance(self.ridge, (int, float, np.number)) and not isinstance(self.ridge, bool)
        if self.ridge != "auto" and not (number and np.isfinite(self.ridge) and self.ridge >= 0):
            refuse("ridge", '"auto" or a number of at least 0')
        names = ratings.attributes.to_pylist()
        if self.decorrelate is not None and self.decorrelate not in names:
            refuse("decorrelate", f"None or one of {', '.join(map(repr, names))}")
        if self.correlation not in ("spearman", "linear"):
            refuse("correlation", '"spearman" or "linear"')
        if self.whiten not in (True, False):
            refuse("whiten", "True or False")
        if not isinstance(self.n_draws, int) or isinstance(self.n_draws, bool) or self.n_draws < 64:
            refuse("n_draws", "a whole number of at least 64")


def _position(placed: Membership, width: int) -> Float[np.ndarray, "users attributes"]:
    if placed.position is None:
        raise UsageError(
            "The membership says nothing of directions.", fix="Use the membership that this model's adapt() returned."
        )
    if placed.position.shape[1] != width:
        raise UsageError(
            f"The membership is over {placed.position.shape[1]} attributes, the model has {width}.",
            fix="Use the membership that this model's adapt() returned.",
        )
    return placed.position
