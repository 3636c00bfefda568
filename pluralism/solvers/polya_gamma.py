"""The evidence bound of a mixture of Gaussian heads, as one smooth function of the heads' means.

With the Polya-Gamma identity (Polson, Scott & Windle 2013; the bound is that of Jaakkola & Jordan 2000) a row with
outcome y in [0, 1] and E z, E z^2 under q has

    E log p >= (y - 1/2) E z - log 2 cosh(c / 2),   tight at c^2 = E z^2,   E omega = tanh(c / 2) / (2 c).

With c and the memberships at their best values, the bound is a smooth function of the means alone: its gradient is the
coordinate-ascent one, sum_u r_uk sum_i w_i (y_i - 1/2 - E omega_ik z_ik) v_i - Lambda m_k, and a step along it in the
metric of the covariance S_k is the closed-form update.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.solvers.annotators import AnnotatorPrior, Manner, annotator_pass
from pluralism.solvers.chunks import over_chunks
from pluralism.solvers.objective import MixtureObjective, Terms
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.polya_gamma_kernels import bound_chunk, bound_parallel

__all__ = ["Bound", "BoundObjective"]


@dataclass(frozen=True)
class Bound:
    """What one sweep gives; `tilt` is responsibility x weight x E omega, the curvature of each row in each group.

    Where people differ in how they answer, `kinds` are expected numbers of them and `manner` is how each does.
    """

    evidence: Float[np.ndarray, " users"]
    responsibility: Float[np.ndarray, "users groups"]
    scores_gradient: Float[np.ndarray, "items groups"]
    effects_gradient: Float[np.ndarray, "covariates groups"]
    tilt: Float[np.ndarray, "rows groups"]
    kinds: Float[np.ndarray, "temperatures lapses"] | None = None
    manner: Manner | None = None


class BoundObjective(MixtureObjective):
    """x -> (negative bound up to the terms that do not depend on the means, gradient).

    Parameters
    ----------
    problem : PairProblem
    n_groups : int
    terms : Terms
        Ridge, item precision and covariate precision, temperatures and lapses; the other terms have no such bound.
    centre : array of shape (coefficients,)
        Mean of the prior of every head: the vector x holds departures from it.
    """

    def __init__(
        self,
        problem: PairProblem,
        n_groups: int,
        terms: Terms,
        *,
        centre: Float[np.ndarray, " coefficients"] | None = None,
    ) -> None:
        super().__init__(problem, n_groups, terms.plain.but(shared=None, ties=False))
        self.n_logits, self.size = 0, self.block_size
        self.terms, self.population, self.hyper = terms.but(shared=None, ties=False), None, np.zeros(0)
        if terms.temperature or terms.lapse:
            self.population = AnnotatorPrior(temperature=terms.temperature, lapse=terms.lapse, tie_share=0.0)
            self.hyper = self.population.start()
        self.spread = np.zeros((len(problem.left), n_groups))
        self.log_weights = np.full(n_groups, -np.log(n_groups))
        self.centre = np.zeros(self.n_rows) if centre is None else centre
        self.central_scores = np.zeros((problem.n_items, 1))
        if centre is not None:
            if problem.features is not None:
                self.central_scores = problem.features.matmul(centre[: self.dim, None])
            if self.n_effects:
                self.central_scores = self.central_scores + centre[self.dim : self.dim + self.n_effects, None]

    def place(self, spread: Float[np.ndarray, "pairs groups"], log_weights: Float[np.ndarray, " groups"]) -> None:
        """Set the variance of each row's z in each group, and the expected log weights."""
        self.spread, self.log_weights, self.last_bound = spread, log_weights, None

    def use(self, terms: Terms) -> None:
        """Set the precisions of the prior."""
        self.terms = terms
        rows = [np.full(self.dim, terms.ridge), np.full(self.n_effects, terms.item_precision or 0.0)]
        precision = np.concatenate([*rows, np.full(self.n_covariates, terms.covariate_precision)])
        self.precision = np.repeat(precision[:, None], self.n_columns, axis=1)

    def populate(self, x: Float[np.ndarray, " parameters"]) -> None:
        """Set the population of annotators to its best at x, where people differ in how they answer."""
        kinds = self.bound(x).kinds
        if self.population is not None and kinds is not None:
            self.hyper, self.last_bound = self.population.best(kinds), None

    last_bound: tuple[Float[np.ndarray, " parameters"], Bound] | None = None

    def bound(self, x: Float[np.ndarray, " parameters"], *, tilt: bool = False) -> Bound:
        """The sweep at x; the last one is kept."""
        if self.last_bound is not None and not tilt and np.array_equal(self.last_bound[0], x):
            return self.last_bound[1]
        problem, n_groups = self.problem, self.n_groups
        parameters = self.unpack(x)
        n_chunks = len(problem.chunks) - 1
        effects = parameters.covariate_effects + self.centre[self.n_rows - self.n_covariates :, None]
        scores = self.scores(parameters) + self.central_scores
        if self.population is not None:
            annotators = self.population.at(self.hyper)
            one = annotator_pass(problem, scores, effects, self.log_weights, annotators, spread=self.spread, tilt=tilt)
            found = Bound(
                one.log_likelihood,
                one.responsibility,
                one.scores_gradient,
                one.effects_gradient,
                one.tilt,
                one.kinds,
                one.manner,
            )
            self.last_bound = (x.copy(), found)
            return found
        posterior = np.empty((problem.n_users, n_groups))
        evidence = np.empty(problem.n_users)
        scores_gradient = np.zeros((n_chunks, problem.n_items, n_groups))
        effects_gradient = np.zeros((n_chunks, self.n_covariates, n_groups))
        curvature = np.empty((len(problem.left) if tilt else 0, n_groups))
        over_chunks(
            bound_chunk,
            bound_parallel,
            *problem.columns,
            problem.design,
            np.ascontiguousarray(scores),
            np.ascontiguousarray(effects),
            self.log_weights,
            self.spread,
            posterior,
            evidence,
            scores_gradient,
            effects_gradient,
            curvature,
        )
        found = Bound(evidence, posterior, scores_gradient.sum(axis=0), effects_gradient.sum(axis=0), curvature)
        self.last_bound = (x.copy(), found)
        return found

    def __call__(self, x: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        """Value and gradient at x."""
        found, block = self.bound(x), self.block(x)
        value = 0.5 * float(np.sum(self.precision * block * block)) - float(self.problem.voters @ found.evidence)
        if self.population is not None and found.kinds is not None:
            value += self.population.penalised(self.hyper, found.kinds)[0]
        return value, (self.precision * block - self.pull(found.scores_gradient, found.effects_gradient)).ravel()

    def pull(
        self, by_item: Float[np.ndarray, "items groups"], by_covariate: Float[np.ndarray, "covariates groups"]
    ) -> Float[np.ndarray, "coefficients groups"]:
        """The gradient with respect to the coefficients, from that with respect to the items' scores."""
        parts = [] if self.problem.features is None else [self.problem.features.rmatmul(by_item)]
        if self.n_effects:
            parts.append(by_item)
        return np.concatenate([*parts, by_covariate])
