"""How strong the ridge and how many prototypes: by held-out blocks and held-out users, as for mixtures."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp

from pluralism.errors import DataWarning, UsageError
from pluralism.models.fitting import Memory, held_out_blocks
from pluralism.models.preparation import Prepared
from pluralism.models.selection import GroupChoice
from pluralism.solvers import PairProblem, group_log_likelihood
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.item_tables import ItemTable
from pluralism.solvers.prototypes import PrototypeFit, fit_prototypes
from pluralism.solvers.simplex_users import user_posterior

if TYPE_CHECKING:
    from pluralism.models.prototypes import PrototypeModel

__all__ = ["PrototypeSearch"]

DECADES = (4.0, 1.0)
FIRST_CONCENTRATION = 1.0
SELECTION_TOL = 1e-6
N_FOLDS = 5
PATIENCE = 2
USER_FOLDS = 3
FACTORS = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0])


class PrototypeSearch:
    """Ridges, numbers of prototypes and fits of one model on one data set, each found once.

    The ridge is in units of the features' mean squared distance from their mean, so that the grid means the same for
    every encoder.
    """

    def __init__(
        self, model: PrototypeModel, prepared: Prepared, features: CentredFeatures, memory: Memory, seed: int
    ) -> None:
        self.model: Any = model
        self.prepared, self.features, self.memory, self.seed = prepared, features, memory, seed
        self.unit, self.prefix = features.scale**2, ""
        self.given = None if model.ridge == "auto" else float(model.ridge)
        self.blocks: str | None = None
        self._ridges: dict[int, tuple[float, float, list[list[float]] | None]] = {}
        self._fits: dict[int, PrototypeFit] = {}
        self.masks: list[tuple[np.ndarray, np.ndarray]] | None = None
        self.given_concentration = None if model.concentration == "auto" else float(model.concentration)
        if model.ridge == "auto" or model.concentration == "auto":
            self.masks, self.blocks = held_out_blocks(prepared, self.model.blocks, seed)
            if self.masks is None:
                warnings.warn(
                    f"Too few comparisons ({len(prepared.comparisons)}) to choose ridge and concentration; they are "
                    "set to the mean squared norm of the features and to 1. Pass numbers to set them yourself.",
                    DataWarning,
                    stacklevel=4,
                )

    def deeper(
        self,
        prepared: Prepared,
        features: CentredFeatures,
        masks: list[tuple[np.ndarray, np.ndarray]] | None,
    ) -> PrototypeSearch:
        """A search over other features of the same items, that validates on these masks."""
        found = copy.copy(self)
        found.prepared, found.features, found.masks = prepared, features, masks
        found.unit, found.prefix = 1.0, "deep/"
        found._ridges, found._fits = {}, {}
        if self.model.ridge != "auto":
            found.given = float(self.model.ridge) / self.unit
        return found

    @property
    def partition(self) -> bool:
        """Whether each user is at one prototype."""
        return bool(self.model.weights == "partition")

    def table(self, n_groups: int) -> ItemTable:
        """The item table with the ridge of this number of prototypes."""
        return self.model._item_table(self.prepared, self.features, n_groups, self.ridge(n_groups) / self.unit)

    def ridge(self, n_groups: int) -> float:
        """The ridge for a number of prototypes."""
        if n_groups not in self._ridges:
            self._ridges[n_groups] = self._find_ridge(n_groups)
        return self._ridges[n_groups][0]

    def concentration(self, n_groups: int) -> float:
        """The strength of the users' prior while prototypes are fitted."""
        self.ridge(n_groups)
        return self._ridges[n_groups][1]

    def path(self, n_groups: int) -> list[list[float]] | None:
        """Ridges and concentrations tried, with the held-out NLL of each pair; None where both were given."""
        self.ridge(n_groups)
        return self._ridges[n_groups][2]

    def fit(self, n_groups: int) -> PrototypeFit:
        """The fit on all rows."""
        if n_groups not in self._fits:
            found = self._run(f"fit/{n_groups}", self.prepared.problem, self.table(n_groups), 3)
            plain = self.partition or self.given_concentration is not None
            self._fits[n_groups] = found if plain else self._cross_fitted(found, n_groups)
        return self._fits[n_groups]

    def _cross_fitted(self, fit: PrototypeFit, n_groups: int) -> PrototypeFit:
        """The fit with its alpha times the factor under which users are most likely whom the prototypes never saw.

        Prototypes fit the noise of those they were fitted to, whose weights then look more different than they are.
        The most cautious factor within one standard error is taken.
        """
        problem = self.prepared.problem
        n_folds = min(USER_FOLDS, int(problem.voters.sum()))
        if n_groups == 1 or n_folds < 2:
            return fit
        table = self.table(n_groups)
        fold = np.random.default_rng([self.seed, 14]).permutation(problem.n_users) % n_folds
        evidence = np.zeros((len(FACTORS), problem.n_users))
        for f in range(n_folds):
            held = fold[problem.user] == f
            if not np.any(problem.weight[~held] > 0) or not np.any(problem.weight[held] > 0):
                continue
            name = f"users/{n_groups}/{f}"
            other = self._run(name, self.prepared.subset(~held), table, 20 + f, tol=SELECTION_TOL, n_init=1)
            scores, unseen = table.table(other.x), self.prepared.subset(held)
            evidence += [user_posterior(unseen, scores, factor * other.alpha).evidence for factor in FACTORS]
        voters = problem.voters > 0
        loss = (evidence[np.argmax(evidence.sum(axis=1))] - evidence)[:, voters]
        error = np.sqrt(voters.sum()) * loss.std(axis=1)
        return replace(fit, alpha=fit.alpha * FACTORS[np.flatnonzero(loss.sum(axis=1) <= error).max()])

    def number(self) -> tuple[int, list[dict[str, object]]]:
        """Fewest prototypes within one standard error of the best held-out user likelihood, and the table behind it."""
        problem = self.prepared.problem
        users = int(problem.voters.sum())
        n_folds = min(N_FOLDS, users)
        name = self.model._number
        if n_folds < 2:
            raise UsageError(
                f'{name}="auto" needs at least two users with answers.',
                where=f"{users} users",
                fix=f"Set {name} to a number.",
            )
        values: dict[int, np.ndarray] = {}
        most = getattr(self.model, f"max_{name.removeprefix('n_')}")
        for k in range(1, min(most, users) + 1):
            values[k] = self._held_out_users(k, n_folds)
            best = max(values, key=lambda j: values[j].sum())
            if k - best >= PATIENCE:
                break
        differences = {k: values[best] - values[k] for k in values}
        error = {k: float(np.sqrt(users) * d[problem.voters > 0].std(ddof=1)) for k, d in differences.items()}
        chosen = min(k for k in values if differences[k].sum() <= error[k])
        rows = np.diff(problem.user_start)
        scored = max(float(np.sum(rows - rows // 2)), 1.0)
        table = [
            GroupChoice(
                n_groups=k,
                ridge=self.ridge(k),
                held_out=float(values[k].sum() / scored),
                difference_to_best=float(differences[k].sum() / scored),
                se_to_best=error[k] / scored,
                chosen=k == chosen,
            ).to_dict()
            for k in values
        ]
        return chosen, table

    def _run(
        self,
        name: str,
        problem: PairProblem,
        table: ItemTable,
        stream: int,
        *,
        tol: float | None = None,
        n_init: int | None = None,
        concentration: float | None = None,
        start: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> PrototypeFit:
        def make() -> dict[str, np.ndarray]:
            fit = fit_prototypes(
                problem,
                table,
                partition=self.partition,
                concentration=self.concentration(table.n_groups) if concentration is None else concentration,
                rng=np.random.default_rng([self.seed, stream, table.n_groups]),
                n_init=self.model.n_init if n_init is None else n_init,
                tol=self.model.tol if tol is None else tol,
                max_iter=self.model.max_iter,
                start=start,
                on_iteration=self.memory.watcher(self.prefix + name),
            )
            numbers = [fit.objective, fit.gradient_norm, float(fit.n_iter), float(fit.converged)]
            return {
                "x": fit.x,
                "alpha": fit.alpha,
                "path": np.array(fit.path),
                "starts": np.array(fit.start_objectives, dtype=np.float64),
                "numbers": np.array(numbers),
            }

        found = self.memory.piece(self.prefix + name, make)
        objective, gradient_norm, n_iter, converged = found["numbers"].tolist()
        return PrototypeFit(
            x=found["x"],
            alpha=found["alpha"],
            objective=objective,
            gradient_norm=gradient_norm,
            path=found["path"].tolist(),
            n_iter=int(n_iter),
            converged=bool(converged),
            start_objectives=found["starts"].tolist(),
        )

    def _find_ridge(self, n_groups: int) -> tuple[float, float, list[list[float]] | None]:
        masks = self.masks
        free = [self.given is None, self.given_concentration is None and n_groups > 1 and not self.partition]
        if masks is None or not any(free):
            given = self.unit if self.given is None else self.given
            return given, FIRST_CONCENTRATION if self.given_concentration is None else self.given_concentration, None
        nearest = max((k for k in self._ridges if k < n_groups), default=None)
        ridge = self.unit if nearest is None else self.ridge(nearest)
        ridge = ridge if self.given is None else self.given
        concentration = FIRST_CONCENTRATION if self.given_concentration is None else self.given_concentration
        # both on a grid of half decades around the start, or where they were given
        base = np.array([np.log10(ridge / self.unit), np.log10(concentration)])
        if free[0]:
            base[0] = np.clip(np.round(2 * base[0]) / 2, -DECADES[0], DECADES[0])
        starts: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        tried: dict[tuple[float, float], float] = {}

        def nll(at: tuple[float, float]) -> float:
            if at not in tried:
                table = self.model._item_table(self.prepared, self.features, n_groups, 10.0 ** at[0])
                loss = mass = 0.0
                for f, (train, held) in enumerate(masks):
                    name = f"ridge/{n_groups}/{at}/{f}"
                    problem = self.prepared.subset(train)
                    options = {"tol": SELECTION_TOL, "n_init": 2, "concentration": 10.0 ** at[1]}
                    fit = self._run(name, problem, table, 1, start=starts.get(f), **options)
                    starts[f] = fit.x, fit.alpha
                    total, weight = self._loss(problem, self.prepared.subset(held), table.table(fit.x), fit)
                    loss, mass = loss + total, mass + weight
                tried[at] = loss / max(mass, 1e-12)
            return tried[at]

        best = (float(base[0]), float(base[1]))
        for step in (1.0, 0.5):
            settled = False
            while not settled:
                settled = True
                for axis in np.flatnonzero(free):
                    moves = [tuple(best[j] + step * way * (j == axis) for j in range(2)) for way in (-1, 1)]
                    allowed = [m for m in moves if abs(m[axis]) <= DECADES[axis]]
                    better = min([best, *[(m[0], m[1]) for m in allowed]], key=nll)
                    settled = settled and better == best
                    best = better
        path = sorted([self.unit * 10.0 ** at[0], 10.0 ** at[1], value] for at, value in tried.items())
        return self.unit * 10.0 ** best[0], 10.0 ** best[1], path

    def _loss(
        self, train: PairProblem, held: PairProblem, scores: Float[np.ndarray, "items groups"], fit: PrototypeFit
    ) -> tuple[float, float]:
        """Weighted NLL of held-out rows, users placed by their training rows."""
        from pluralism.models.prototypes import expected_probability

        gaps = scores[held.left] - scores[held.right]
        if self.partition:
            log_p = -np.logaddexp(0.0, -gaps) * held.outcome[:, None] - np.logaddexp(0.0, gaps) * (
                1.0 - held.outcome[:, None]
            )
            evidence = group_log_likelihood(train, scores, np.zeros((0, len(fit.alpha)))) + np.log(fit.alpha)
            share = evidence - logsumexp(evidence, axis=1, keepdims=True)
            rows = logsumexp(log_p + share[held.user], axis=1)
        else:
            placed = user_posterior(train, scores, fit.alpha)
            p = expected_probability(gaps, placed.mean[held.user], placed.covariance[held.user])
            p = np.clip(p, 1e-12, 1.0 - 1e-12)
            rows = held.outcome * np.log(p) + (1.0 - held.outcome) * np.log1p(-p)
        return -float(held.weight @ rows), float(held.weight.sum())

    def _held_out_users(self, n_groups: int, n_folds: int) -> Float[np.ndarray, " users"]:
        """Log predictive probability of the second half of each held-out user's answers after the first half."""
        prepared, problem = self.prepared, self.prepared.problem
        rng = np.random.default_rng([self.seed, 4])
        fold = rng.permutation(problem.n_users) % n_folds
        coin = rng.random(len(problem.left))
        order = np.lexsort((coin, problem.user))
        rank = np.empty(len(coin), dtype=np.int64)
        rank[order] = np.arange(len(coin)) - problem.user_start[problem.user[order]]
        support = rank < np.diff(problem.user_start)[problem.user] // 2
        table = self.table(n_groups)
        out = np.zeros(problem.n_users)
        for f in range(n_folds):
            held = fold[problem.user] == f
            fit = self._run(f"number/{n_groups}/{f}", prepared.subset(~held), table, 5 + f, tol=SELECTION_TOL, n_init=2)
            scores = table.table(fit.x)
            both = self._evidence(prepared.subset(held), scores, fit)
            value = both - self._evidence(prepared.subset(held & support), scores, fit)
            out += np.where(fold == f, value, 0.0)
        return out

    def _evidence(
        self, problem: PairProblem, scores: Float[np.ndarray, "items groups"], fit: PrototypeFit
    ) -> Float[np.ndarray, " users"]:
        if self.partition:
            joint = group_log_likelihood(problem, scores, np.zeros((0, len(fit.alpha)))) + np.log(fit.alpha)
            return logsumexp(joint, axis=1)
        return user_posterior(problem, scores, fit.alpha, n_draws=1024).evidence
