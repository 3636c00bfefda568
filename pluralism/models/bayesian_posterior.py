"""What every engine of the Bayesian mixture gives: Gaussian heads, memberships, and draws of the group weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.models.preparation import Prepared
from pluralism.solvers import MixtureFit
from pluralism.solvers.annotators import Annotators, Manner
from pluralism.solvers.objective import Parameters
from pluralism.solvers.polya_gamma_mixture import BayesianMixtureFit

__all__ = ["BayesianPosterior", "mean_probability", "occupied_groups"]

OCCUPIED = 0.5
ALIKE = 0.005
ASSIGNMENT_DRAWS = 500
SURE = 1.0 - 1e-9
SAMPLED_ROWS = 4096


@dataclass(frozen=True)
class BayesianPosterior:
    """A posterior over heads, weights and memberships.

    Attributes
    ----------
    mean : array of shape (coefficients, groups)
    covariance : array of shape (groups, coefficients, coefficients) or None
    basis, variance : arrays of shape (dim, dim) and (coefficients, groups), or None
    weight_draws : array of shape (draws, groups)
    starts : list of [clusters, bound]
    annotators, manner
        The population of ways to answer and how each user does, where people differ in that.
    """

    mean: Float[np.ndarray, "coefficients groups"]
    covariance: Float[np.ndarray, "groups coefficients coefficients"] | None
    basis: Float[np.ndarray, "dim dim"] | None
    variance: Float[np.ndarray, "coefficients groups"] | None
    centre: Float[np.ndarray, " coefficients"]
    responsibility: Float[np.ndarray, "users groups"]
    weight_draws: Float[np.ndarray, "draws groups"]
    ridge: float
    item_precision: float | None
    path: Float[np.ndarray, " path"]
    gradient_norm: float
    n_iter: int
    converged: bool
    starts: list[list[float]]
    annotators: Annotators | None = None
    manner: Manner | None = None

    @classmethod
    def of_fit(
        cls,
        fit: BayesianMixtureFit,
        weight_draws: Float[np.ndarray, "draws groups"],
        centre: Float[np.ndarray, " coefficients"] | None,
    ) -> BayesianPosterior:
        """From the deterministic fit."""
        return cls(
            fit.mean,
            fit.covariance,
            fit.basis,
            fit.variance,
            np.zeros(len(fit.mean)) if centre is None else centre,
            fit.responsibility,
            weight_draws,
            float(fit.terms.ridge),
            None if fit.terms.item_precision is None else float(fit.terms.item_precision),
            np.array(fit.path),
            fit.gradient_norm,
            fit.n_iter,
            fit.converged,
            [[float(k), float(value)] for k, value in fit.start_objectives],
            fit.annotators,
            fit.manner,
        )

    def to_arrays(self) -> dict[str, np.ndarray]:
        """As arrays, for a checkpoint."""
        numbers = [self.ridge, self.item_precision or 0.0, self.gradient_norm, self.n_iter, self.converged]
        arrays = {name: getattr(self, name) for name in ("mean", "centre", "responsibility", "weight_draws", "path")}
        for name in ("covariance", "basis", "variance"):
            if getattr(self, name) is not None:
                arrays[name] = getattr(self, name)
        arrays |= {"numbers": np.array(numbers, dtype=np.float64), "starts": np.array(self.starts).reshape(-1, 2)}
        if self.annotators is not None and self.manner is not None:
            grid = ("log_temperature", "lapse", "log_shares")
            arrays |= {f"annotators.{name}": getattr(self.annotators, name) for name in grid}
            arrays |= {"manner.mean": self.manner.mean, "manner.covariance": self.manner.covariance}
        return {name: np.ascontiguousarray(value) for name, value in arrays.items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> BayesianPosterior:
        """Inverse of `to_arrays`."""
        ridge, item_precision, gradient_norm, n_iter, converged = (float(value) for value in arrays["numbers"])
        annotators, manner = None, None
        if "manner.mean" in arrays:
            log_temperature, lapse = arrays["annotators.log_temperature"], arrays["annotators.lapse"]
            annotators = Annotators(log_temperature, lapse, arrays["annotators.log_shares"])
            manner = Manner(arrays["manner.mean"], arrays["manner.covariance"])
        return cls(
            mean=arrays["mean"],
            covariance=arrays.get("covariance"),
            basis=arrays.get("basis"),
            variance=arrays.get("variance"),
            centre=arrays["centre"],
            responsibility=arrays["responsibility"],
            weight_draws=arrays["weight_draws"],
            path=arrays["path"],
            ridge=ridge,
            item_precision=item_precision or None,
            gradient_norm=gradient_norm,
            n_iter=int(n_iter),
            converged=bool(converged),
            starts=arrays["starts"].tolist(),
            annotators=annotators,
            manner=manner,
        )

    def take(self, groups: np.ndarray) -> BayesianPosterior:
        """Some of the groups, in this order; memberships and weights are shared out among them."""
        responsibility, weights = self.responsibility[:, groups], self.weight_draws[:, groups]
        return replace(
            self,
            mean=self.mean[:, groups],
            covariance=None if self.covariance is None else self.covariance[groups],
            variance=None if self.variance is None else self.variance[:, groups],
            responsibility=_normalised(responsibility),
            weight_draws=_normalised(weights),
        )

    def occupied(self, voters: Float[np.ndarray, " users"]) -> BayesianPosterior:
        """The groups that hold at least half a user, the largest expected weight first."""
        counts = voters @ self.responsibility
        kept = np.flatnonzero(counts >= OCCUPIED)
        if len(kept) == 0:
            kept = np.array([int(np.argmax(counts))])
        smaller = self.take(kept)
        return smaller.take(np.argsort(-smaller.weight_draws.mean(axis=0), kind="stable"))

    def united(self, probability: Float[np.ndarray, "pairs groups"]) -> BayesianPosterior:
        """Groups that predict the same made one, given what the means predict for some pairs.

        Equal groups are a fixed point of coordinate ascent: nothing tells them apart, and nothing draws them together.
        """
        n_groups = self.mean.shape[1]
        first = np.arange(n_groups)
        for j in range(n_groups):
            alike = [i for i in range(j) if np.mean(np.abs(probability[:, i] - probability[:, j])) < ALIKE]
            first[j] = first[alike[0]] if alike else j
        kept, group = np.unique(first, return_inverse=True)
        if len(kept) == n_groups:
            return self
        together = np.eye(len(kept))[group]
        responsibility, weights = self.responsibility @ together, self.weight_draws @ together
        return replace(self.take(kept), responsibility=responsibility, weight_draws=weights)

    def as_mixture_fit(self, dim: int, n_effects: int) -> MixtureFit:
        """The means in the form of the other mixtures' fits, for what is diagnosed from a fit."""
        head, effects, covariates = np.split(self.mean, [dim, dim + n_effects])
        weights = self.weight_draws.mean(axis=0)
        parameters = Parameters(head, effects if n_effects else None, covariates, np.log(weights), 0.0, None)
        return MixtureFit(
            parameters=parameters,
            vector=self.mean.ravel(),
            responsibility=self.responsibility,
            log_likelihood=float("nan"),
            objective=float(self.path[-1]),
            gradient_norm=self.gradient_norm,
            path=self.path.tolist(),
            n_iter=self.n_iter,
            converged=self.converged,
            start_objectives=[value for _, value in self.starts],
        )


def occupied_groups(
    responsibility: Float[np.ndarray, "users groups"], rng: np.random.Generator
) -> Float[np.ndarray, " groups"]:
    """Probability that 1, 2, ... groups have a member, by draws of everybody's group."""
    n_groups = responsibility.shape[1]
    # who is sure to be somewhere need not be drawn
    certain = responsibility.max(axis=1) >= SURE
    taken = np.zeros(n_groups, dtype=bool)
    taken[responsibility[certain].argmax(axis=1)] = True
    edges = np.cumsum(responsibility[~certain], axis=1)
    edges /= edges[:, -1:]
    counts = np.zeros(n_groups)
    for _ in range(ASSIGNMENT_DRAWS):
        group = np.sum(rng.random((len(edges), 1)) >= edges[:, :-1], axis=1)
        found = taken.copy()
        found[group] = True
        counts[int(found.sum()) - 1] += 1.0
    return counts / ASSIGNMENT_DRAWS


def mean_probability(prepared: Prepared, posterior: BayesianPosterior) -> Float[np.ndarray, "rows groups"]:
    """What the means of the heads predict for some of the training rows."""
    problem = prepared.problem
    rows = np.linspace(0, len(problem.left) - 1, min(len(problem.left), SAMPLED_ROWS)).astype(np.int64)
    dim = 0 if problem.features is None else problem.features.dim
    head, effects, covariates = np.split(posterior.mean, [dim, len(posterior.mean) - problem.design.shape[1]])
    z = problem.design[rows] @ covariates
    for side, sign in ((problem.left[rows], 1.0), (problem.right[rows], -1.0)):
        if problem.features is not None:
            z += sign * (problem.features.rows(side) @ head)
        if len(effects):
            z += sign * effects[side]
    return expit(z)


def _normalised(values: Float[np.ndarray, "rows groups"]) -> Float[np.ndarray, "rows groups"]:
    """Rows divided by their sums; a row of nothing becomes even."""
    total = values.sum(axis=1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), 1.0 / values.shape[1])
