"""The fits that a model of prototypes needs: for the settings, for the number of prototypes, and on all answers."""

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
from pluralism.models.prototype_settings import SELECTION_TOL, Masks, SettingSearch
from pluralism.models.selection import GroupChoice
from pluralism.solvers import PairProblem, group_log_likelihood
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.item_tables import ItemTable
from pluralism.solvers.prototype_starts import PrototypeStarts
from pluralism.solvers.prototypes import PrototypeFit, fit_prototypes
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import user_posterior

if TYPE_CHECKING:
    from pluralism.models.prototypes import PrototypeModel

__all__ = ["PrototypeSearch"]

NUMBER_ROWS = 100_000
MOST_FOLDS, MOST_FOLDS_ROWS, FEWEST_FOLDS = 5, 40_000, 3
PATIENCE = 2
USER_FOLDS = 3
FACTORS = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0])


class PrototypeSearch:
    """Settings, numbers of prototypes and fits of one model on one data set, each found once.

    The ridge is in units of the features' mean squared distance from their mean, so that the grid means the same for
    every encoder.
    """

    def __init__(
        self, model: PrototypeModel, prepared: Prepared, features: CentredFeatures, memory: Memory, seed: int
    ) -> None:
        self.model: Any = model
        self.prepared, self.features, self.memory, self.seed = prepared, features, memory, seed
        self.unit, self.prefix = features.scale**2, ""
        self.blocks: str | None = None
        self.masks: Masks | None = None
        self._fits: dict[int, PrototypeFit] = {}
        self.first: dict[int, PrototypeFit] = {}
        self._starts = PrototypeStarts(prepared.problem, features, np.random.default_rng([seed, 3]))
        ridge = None if model.ridge == "auto" else float(model.ridge) / self.unit
        concentration = None if model.concentration == "auto" else float(model.concentration)
        n_latent = model._given_dimensions()
        if ridge is None or concentration is None or n_latent is None:
            self.masks, self.blocks = held_out_blocks(prepared, self.model.blocks, seed)
            if self.masks is None:
                warnings.warn(
                    f"Too few comparisons ({len(prepared.comparisons)}) to choose ridge, concentration and dimensions; "
                    "where they are not given they are the mean squared norm of the features, 1 and 16. Pass numbers "
                    "to set them yourself.",
                    DataWarning,
                    stacklevel=4,
                )
        self.settings = SettingSearch(self, self.masks, ridge=ridge, concentration=concentration, n_latent=n_latent)

    def deeper(
        self, prepared: Prepared, features: CentredFeatures, masks: Masks | None, n_groups: int, first: PrototypeFit
    ) -> PrototypeSearch:
        """A search over other features of the same items, that validates on these masks.

        Its settings are near those of this search, and its fit of so many prototypes starts from `first`.
        """
        found = copy.copy(self)
        found.prepared, found.features, found.masks = prepared, features, masks
        found.prefix, found._fits, found.first = "deep/", {}, {n_groups: first}
        found._starts = PrototypeStarts(prepared.problem, features, np.random.default_rng([self.seed, 3]))
        near = self.settings.find(n_groups)
        found.settings = SettingSearch(
            found,
            masks,
            ridge=self.settings.ridge,
            concentration=near.concentration,
            n_latent=near.n_latent,
            near=near,
        )
        found.settings.dimensions = self.settings.dimensions
        return found

    @property
    def partition(self) -> bool:
        """Whether each user is at one prototype."""
        return bool(self.model.weights == "partition")

    def table(self, n_groups: int, features: CentredFeatures | None = None) -> ItemTable:
        """The item table with the settings of this number of prototypes, of all items if no features are given."""
        found, features = self.settings.find(n_groups), self.features if features is None else features
        table: ItemTable = self.model._item_table(features, n_groups, found.ridge, found.n_latent)
        return table

    def ridge(self, n_groups: int) -> float:
        """The ridge for a number of prototypes, on the features as they come."""
        return self.settings.find(n_groups).ridge * self.unit

    def path(self, n_groups: int) -> list[list[float]] | None:
        """Ridges and concentrations tried, with the held-out NLL of each pair; None where both were given."""
        found = self.settings.path(n_groups)
        return None if found is None else [[ridge * self.unit, *rest] for ridge, *rest in found]

    def fit(self, n_groups: int) -> PrototypeFit:
        """The fit on all rows."""
        if n_groups not in self._fits:
            problem, table = self.prepared.problem, self.table(n_groups)
            concentration = self.settings.find(n_groups).concentration
            found = self.run(
                f"fit/{n_groups}",
                problem,
                table,
                3,
                concentration=concentration,
                start=self.first.get(n_groups),
                starts=self._starts,
            )
            plain = self.partition or self.model.concentration != "auto"
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
        table, concentration = self.table(n_groups), self.settings.find(n_groups).concentration
        fold = np.random.default_rng([self.seed, 14]).permutation(problem.n_users) % n_folds
        evidence = np.zeros((len(FACTORS), problem.n_users))
        for f in range(n_folds):
            held = fold[problem.user] == f
            if not np.any(problem.weight[~held] > 0) or not np.any(problem.weight[held] > 0):
                continue
            name, rows = f"users/{n_groups}/{f}", self.prepared.subset(~held)
            other = self.run(name, rows, table, 20 + f, concentration=concentration, tol=SELECTION_TOL, n_init=1)
            scores, unseen = table.table(other.x), self.prepared.subset(held)
            evidence += [user_posterior(unseen, scores, factor * other.alpha).evidence for factor in FACTORS]
        voters = problem.voters > 0
        loss = (evidence[np.argmax(evidence.sum(axis=1))] - evidence)[:, voters]
        error = np.sqrt(voters.sum()) * loss.std(axis=1)
        return replace(fit, alpha=fit.alpha * FACTORS[np.flatnonzero(loss.sum(axis=1) <= error).max()])

    def number(self) -> tuple[int, list[dict[str, object]]]:
        """Fewest prototypes within one standard error of the best held-out user likelihood, and the table behind it."""
        users = int(self.prepared.problem.voters.sum())
        name = self.model._number
        if users < 2:
            raise UsageError(
                f'{name}="auto" needs at least two users with answers.',
                where=f"{users} users",
                fix=f"Set {name} to a number.",
            )
        some = sampled_users(self.prepared.problem, NUMBER_ROWS, np.random.default_rng([self.seed, 16]))
        problem, features = some.problem, self.features.take(some.items)
        users = int(problem.voters.sum())
        values: dict[int, np.ndarray] = {}
        most = getattr(self.model, f"max_{name.removeprefix('n_')}")
        for k in range(1, min(most, users) + 1):
            values[k] = self._held_out_users(k, problem, features)
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

    def run(
        self,
        name: str,
        problem: PairProblem,
        table: ItemTable,
        stream: int,
        *,
        concentration: float,
        tol: float | None = None,
        n_init: int | None = None,
        start: PrototypeFit | None = None,
        starts: PrototypeStarts | None = None,
    ) -> PrototypeFit:
        """One fit, by its name from the checkpoint where it is there."""

        def make() -> dict[str, np.ndarray]:
            fit = fit_prototypes(
                problem,
                table,
                partition=self.partition,
                concentration=concentration,
                rng=np.random.default_rng([self.seed, stream, table.n_groups]),
                n_init=self.model.n_init if n_init is None else n_init,
                tol=self.model.tol if tol is None else tol,
                max_iter=self.model.max_iter,
                start=None if start is None else (start.x, start.alpha),
                starts=starts,
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

    def _held_out_users(
        self, n_groups: int, problem: PairProblem, features: CentredFeatures
    ) -> Float[np.ndarray, " users"]:
        """Log predictive probability of the second half of each held-out user's answers after the first half."""
        prepared = replace(self.prepared, problem=problem)
        n_folds = min(MOST_FOLDS if len(problem.left) <= MOST_FOLDS_ROWS else FEWEST_FOLDS, int(problem.voters.sum()))
        rng = np.random.default_rng([self.seed, 4])
        fold = rng.permutation(problem.n_users) % n_folds
        coin = rng.random(len(problem.left))
        order = np.lexsort((coin, problem.user))
        rank = np.empty(len(coin), dtype=np.int64)
        rank[order] = np.arange(len(coin)) - problem.user_start[problem.user[order]]
        support = rank < np.diff(problem.user_start)[problem.user] // 2
        table, concentration = self.table(n_groups, features), self.settings.find(n_groups).concentration
        out = np.zeros(problem.n_users)
        for f in range(n_folds):
            held = fold[problem.user] == f
            name, rows = f"number/{n_groups}/{f}", prepared.subset(~held)
            fit = self.run(name, rows, table, 5 + f, concentration=concentration, tol=SELECTION_TOL, n_init=2)
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
