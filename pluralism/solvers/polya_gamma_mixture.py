"""Deterministic variational inference for a stick-breaking mixture of Gaussian heads over users.

q = q(sticks) prod_k q(head_k) prod_u q(group of u), every factor in turn at its best given the others, so that the
evidence bound never falls. Means climb by quasi-Newton steps in the metric of their covariance, of which plain
coordinate ascent is the first; covariances are diagonal in the axes of the pooled Gram matrix on the way, and full in
the end where there are not too many coefficients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from pluralism.solvers.annotators import Annotators, Manner
from pluralism.solvers.gaussian_heads import DiagonalHeads, FullHeads, precision_by_evidence
from pluralism.solvers.initialise import assignments, user_points
from pluralism.solvers.lbfgs import minimise
from pluralism.solvers.objective import Terms, pair_gram
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.polya_gamma import Bound, BoundObjective
from pluralism.solvers.sticks import Sticks
from pluralism.solvers.tight_bound import tight_bound, widen

__all__ = ["BayesianMixtureFit", "Learning", "fit_bayesian_mixture"]

PILOT_ROUNDS = 2
PILOT_STEPS = 5
STEPS_A_ROUND = 10
FULL_ROUNDS = 20
PATIENCE = 2
EMPTY = 0.01
FULL_LIMIT = 1024
OPEN = 0.03
MAX_CONTENDERS = 3
CONTENDER_ROUNDS = 30
SETTLED = 1e-5


@dataclass(frozen=True)
class Learning:
    """Which precisions of the prior are chosen by the bound, and between which values."""

    ridge: tuple[float, float] | None = None
    item_precision: tuple[float, float] | None = None


@dataclass(frozen=True)
class BayesianMixtureFit:
    """A variational posterior, groups in order of falling expected size.

    Attributes
    ----------
    mean : array of shape (coefficients, groups)
        Of the features, then items, then covariates; the centre of the prior is included.
    covariance : array of shape (groups, coefficients, coefficients) or None
    basis, variance : arrays of shape (dim, dim) and (coefficients, groups), or None
        The diagonal form, where the full one would be too large.
    counts : array of shape (groups,)
        Expected number of users.
    objective : float
        The negative evidence bound, in nats.
    annotators, manner
        The population of ways to answer and how each person does, where people differ in that.
    """

    mean: Float[np.ndarray, "coefficients groups"]
    covariance: Float[np.ndarray, "groups coefficients coefficients"] | None
    basis: Float[np.ndarray, "dim dim"] | None
    variance: Float[np.ndarray, "coefficients groups"] | None
    responsibility: Float[np.ndarray, "users groups"]
    sticks: Sticks
    counts: Float[np.ndarray, " groups"]
    terms: Terms
    objective: float
    gradient_norm: float
    path: list[float]
    n_iter: int
    converged: bool
    start_objectives: list[tuple[int, float]]
    annotators: Annotators | None = None
    manner: Manner | None = None


class _Climb:
    """One ascent: the means, the family of covariances, the sticks, and the bound after every round."""

    def __init__(
        self,
        objective: BoundObjective,
        heads: DiagonalHeads | FullHeads,
        x: Float[np.ndarray, " parameters"],
        counts: Float[np.ndarray, " groups"],
        concentration: float,
        learning: Learning,
    ) -> None:
        self.objective, self.heads, self.x, self.learning = objective, heads, x, learning
        self.counts = counts
        self.sticks = Sticks.of_counts(counts, concentration)
        self.place()
        self.path: list[float] = []
        self.n_iter = 0

    def place(self) -> None:
        self.objective.place(self.heads.spread(), self.sticks.expected_log_weights())

    def value(self) -> float:
        """The negative evidence bound."""
        return self.objective(self.x)[0] + self.heads.divergence() + self.sticks.divergence()

    def tight_value(self, axes: DiagonalHeads) -> float:
        """The negative evidence bound with E log sigma by quadrature (see `tight_bound`)."""
        heads = axes.with_groups(self.objective)
        value = tight_bound(self.objective, self.x, heads, self.counts > EMPTY)
        return value + heads.divergence() + self.sticks.divergence()

    def means(self, tol: float, max_iter: int) -> None:
        """Climb in the means with the covariances as they are."""
        found = minimise(self.objective, self.x, self.heads, tol=tol, max_iter=max_iter)
        self.x = found.x
        self.n_iter += max(found.n_iter, 1)

    def shares(self) -> None:
        """Set the population; sort the groups by size, for which the prior prefers large ones first; set the sticks."""
        self.objective.populate(self.x)
        self.counts = self.objective.problem.voters @ self.objective.bound(self.x).responsibility
        order = np.argsort(-self.counts, kind="stable")
        self.counts = self.counts[order]
        self.x = self.objective.block(self.x)[:, order].ravel()
        self.heads.permute(order)
        self.sticks = Sticks.of_counts(self.counts, self.sticks.concentration)
        spread = np.ascontiguousarray(self.objective.spread[:, order])
        self.objective.place(spread, self.sticks.expected_log_weights())

    def covariances(self) -> None:
        """Set the covariances, and the precisions of the prior that are learnt."""
        tilt = self.objective.bound(self.x, tilt=True).tilt
        if isinstance(self.heads, FullHeads):
            self.heads.update(tilt, self.counts > EMPTY)
        else:
            curvature = self.heads.curvature(tilt)
            self.learn(curvature)
            self.heads.update(curvature)
        self.place()

    def learn(self, curvature: Float[np.ndarray, "coefficients groups"]) -> None:
        """Choose the precisions of the prior by the bound."""
        objective, block = self.objective, self.objective.block(self.x)
        terms, at = objective.terms, slice(0, objective.dim)
        if self.learning.ridge is not None and objective.dim:
            terms = terms.but(ridge=precision_by_evidence(curvature[at], block[at], self.learning.ridge))
        at = slice(objective.dim, objective.dim + objective.n_effects)
        if self.learning.item_precision is not None and objective.n_effects:
            chosen = precision_by_evidence(curvature[at], block[at], self.learning.item_precision)
            terms = terms.but(item_precision=chosen)
        objective.use(terms)

    def round(self, tol: float, steps: int = STEPS_A_ROUND) -> float:
        """All factors once; returns the bound's negative."""
        self.means(tol, steps)
        self.shares()
        self.covariances()
        self.path.append(self.value())
        return self.path[-1]


def fit_bayesian_mixture(
    problem: PairProblem,
    n_groups: int,
    terms: Terms,
    *,
    rng: np.random.Generator,
    concentration: float = 1.0,
    learning: Learning | None = None,
    centre: Float[np.ndarray, " coefficients"] | None = None,
    n_init: int = 2,
    full: bool | None = None,
    curvature: Literal["bound", "likelihood"] = "likelihood",
    tol: float = 1e-7,
    max_iter: int = 500,
    starts: tuple[int, ...] | None = None,
    on_round: Callable[[str, int, float], None] | None = None,
) -> BayesianMixtureFit:
    """Maximise the evidence bound of a mixture truncated at `n_groups`.

    Users are cut into one cluster, two, three and so on, `n_init` ways each (spectral and random); a few rounds rank
    the starts by the bound (with E log sigma by quadrature), until more clusters are no better, and the best one climbs
    on with empty groups added.

    Parameters
    ----------
    learning : Learning, optional
        Precisions of the prior to be chosen by the bound.
    centre : array of shape (coefficients,), optional
        Mean of the prior of every head; 0 if not given.
    full : bool, optional
        Full covariances in the end; by default for up to 1,024 coefficients.
    curvature : {"bound", "likelihood"}
        What the covariances that are returned rest on: the bound itself, or, with the means found, the likelihood.
    tol : float
        Converged when a round gains less than this, in nats a comparison.
    max_iter : int
        Rounds at most.
    starts : tuple of int, optional
        The numbers of clusters to start from, if not all.
    """
    learning = learning or Learning()
    scale = max(problem.total_weight, 1.0)
    gram = pair_gram(problem, rng)
    first = BoundObjective(problem, 1, terms, centre=centre)
    axes = DiagonalHeads(first, gram)
    placed = user_points(problem, n_groups, terms, gram) if n_groups > 1 else None
    found: dict[int, _Climb] = {}
    bounds: dict[int, float] = {}
    numbers = starts or tuple(range(1, n_groups + 1))
    for k in numbers:
        runs = [
            _pilot(problem, labels, k, terms, axes, concentration, learning, centre, 1e-4 * scale)
            for labels in _labellings(problem, k, terms, gram, rng, n_init, placed)
        ]
        found[k] = min(runs, key=lambda climb: climb.path[-1])
        bounds[k] = found[k].tight_value(axes) if len(numbers) > 1 else found[k].path[-1]
        if on_round is not None:
            on_round(f"start/{k}", 0, bounds[k])
        if k - min(bounds, key=lambda j: bounds[j]) >= PATIENCE:
            break
    # more clusters take longer to settle: where pilots leave it open, contenders climb on before one is chosen
    contenders = [
        k for k in sorted(bounds, key=lambda j: bounds[j]) if bounds[k] <= min(bounds.values()) + OPEN * scale
    ]
    if len(contenders) > 1:
        for k in contenders[:MAX_CONTENDERS]:
            _ascend(found[k], SETTLED * scale, CONTENDER_ROUNDS, None)
            bounds[k] = found[k].tight_value(axes)
    best = found[min(bounds, key=lambda j: bounds[j])]
    tried = sorted(bounds.items())
    climb = _with_empty_groups(best, n_groups, axes, centre)
    converged = _ascend(climb, tol * scale, max_iter, on_round)
    size = climb.objective.n_rows
    if full or (full is None and size <= FULL_LIMIT):
        climb = _with_full(climb, axes)
        converged = _settle(climb, tol * scale, on_round) and converged
    climb.means(1e-2 * tol * scale, 100)
    climb.path.append(climb.value())
    gradient_norm = float(np.linalg.norm(climb.objective(climb.x)[1]))
    last = climb.objective.bound(climb.x)
    if curvature == "likelihood":
        widen(climb.objective, climb.x, climb.heads, climb.counts > EMPTY)
    return _collect(climb, last, gradient_norm, converged, tried)


def _labellings(
    problem: PairProblem,
    k: int,
    terms: Terms,
    gram: Float[np.ndarray, "dim dim"] | None,
    rng: np.random.Generator,
    n_init: int,
    placed: tuple[Float[np.ndarray, "users axes"], Float[np.ndarray, " users"]] | None,
) -> list[Int[np.ndarray, " users"]]:
    if k == 1 or placed is None:
        return [np.zeros(problem.n_users, dtype=np.int64)]
    points, weight = placed
    return assignments(problem, k, terms, gram, rng, n_init, placed=(points[:, -k:], weight))


def _pilot(
    problem: PairProblem,
    labels: Int[np.ndarray, " users"],
    k: int,
    terms: Terms,
    axes: DiagonalHeads,
    concentration: float,
    learning: Learning,
    centre: Float[np.ndarray, " coefficients"] | None,
    tol: float,
) -> _Climb:
    """A few rounds from a labelling of the users."""
    objective = BoundObjective(problem, k, terms, centre=centre)
    heads = axes.with_groups(objective)
    share = np.eye(k)[labels]
    row = problem.weight[:, None] * share[problem.user]
    heads.update(heads.curvature(0.2 * row))
    # one step of coordinate ascent from the centre with the memberships of the labelling
    z = (objective.central_scores[problem.left] - objective.central_scores[problem.right])[:, 0]
    if centre is not None:
        z = z + problem.design @ centre[objective.n_rows - objective.n_covariates :]
    residual = row * (problem.outcome - 1.0 / (1.0 + np.exp(-z)))[:, None]
    by_item = np.empty((problem.n_items, k))
    for j in range(k):
        by_item[:, j] = np.bincount(problem.left, residual[:, j], problem.n_items)
        by_item[:, j] -= np.bincount(problem.right, residual[:, j], problem.n_items)
    x = heads(objective.pull(by_item, problem.design.T @ residual).ravel())
    climb = _Climb(objective, heads, x, problem.voters @ share, concentration, learning)
    for _ in range(PILOT_ROUNDS):
        climb.round(tol, PILOT_STEPS)
    return climb


def _with_empty_groups(
    climb: _Climb, n_groups: int, axes: DiagonalHeads, centre: Float[np.ndarray, " coefficients"] | None
) -> _Climb:
    """The same state with empty groups, which are as the prior has them."""
    narrow = climb.objective
    extra = n_groups - narrow.n_groups
    objective = BoundObjective(narrow.problem, n_groups, narrow.terms, centre=centre)
    objective.use(narrow.terms)
    objective.hyper = narrow.hyper
    heads = axes.with_groups(objective)
    if isinstance(climb.heads, DiagonalHeads):
        heads.variance[:, : narrow.n_groups] = climb.heads.variance
    block = np.hstack([narrow.block(climb.x), np.zeros((narrow.n_rows, extra))])
    counts = np.append(climb.counts, np.zeros(extra))
    return _Climb(objective, heads, block.ravel(), counts, climb.sticks.concentration, climb.learning)


def _with_full(climb: _Climb, axes: DiagonalHeads) -> _Climb:
    heads = FullHeads(climb.objective, axes.blocks)
    tilt = climb.objective.bound(climb.x, tilt=True).tilt
    heads.update(tilt, climb.counts > EMPTY)
    wide = _Climb(climb.objective, heads, climb.x, climb.counts, climb.sticks.concentration, climb.learning)
    wide.n_iter = climb.n_iter
    wide.path = [*climb.path, wide.value()]
    return wide


def _ascend(climb: _Climb, tol: float, max_rounds: int, on_round: Callable[[str, int, float], None] | None) -> bool:
    """Rounds until one gains less than `tol`; True if that came before `max_rounds`."""
    last = np.inf if not climb.path else climb.path[-1]
    for _ in range(max_rounds):
        value = climb.round(0.1 * tol)
        if on_round is not None:
            on_round("fit", len(climb.path), value)
        if last - value <= tol:
            return True
        last = value
    return False


def _settle(climb: _Climb, tol: float, on_round: Callable[[str, int, float], None] | None) -> bool:
    """Rounds with full covariances, which are dear: they are set anew only where means and shares have moved."""
    for _ in range(FULL_ROUNDS):
        last = climb.path[-1]
        climb.means(0.1 * tol, STEPS_A_ROUND)
        climb.shares()
        climb.path.append(climb.value())
        if on_round is not None:
            on_round("fit", len(climb.path), climb.path[-1])
        if last - climb.path[-1] <= tol:
            return True
        climb.covariances()
        climb.path.append(climb.value())
    return False


def _collect(
    climb: _Climb,
    last: Bound,
    gradient_norm: float,
    converged: bool,
    tried: list[tuple[int, float]],
) -> BayesianMixtureFit:
    objective, heads = climb.objective, climb.heads
    diagonal = heads if isinstance(heads, DiagonalHeads) else None
    return BayesianMixtureFit(
        mean=objective.block(climb.x) + objective.centre[:, None],
        covariance=heads.covariance if isinstance(heads, FullHeads) else None,
        basis=None if diagonal is None else diagonal.basis,
        variance=None if diagonal is None else diagonal.variance,
        responsibility=last.responsibility,
        sticks=climb.sticks,
        counts=climb.counts,
        terms=objective.terms,
        objective=climb.path[-1],
        gradient_norm=gradient_norm,
        path=climb.path,
        n_iter=climb.n_iter,
        converged=converged,
        start_objectives=tried,
        annotators=None if objective.population is None else objective.population.at(objective.hyper),
        manner=last.manner,
    )
