"""The ridge, the strength of the users' prior and the dimensions of the space: by the NLL of held-out blocks.

Settings are searched one after the other on a grid; for more prototypes the search starts where that for fewer ended.
Losses are compared in pairs on the same answers, so a sample of some ten thousand answers says enough, and one block of
some thousand of them; only small data need all blocks in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import logsumexp

from pluralism.solvers import PairProblem, group_log_likelihood
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.prototype_starts import PrototypeStarts
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import user_posterior

if TYPE_CHECKING:
    from pluralism.models.prototype_selection import PrototypeSearch

__all__ = ["SELECTION_TOL", "Masks", "SettingSearch", "Settings"]

Masks = list[tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]]
Point = tuple[float, float, float]
Losses = Float[np.ndarray, " rows"]
SELECTION_TOL = 1e-5
MOST_ROWS = 40_000
ENOUGH_HELD_OUT = 5000
RIDGE, CONCENTRATION, LATENT = range(3)
# exponents: of 10, 10 and 2
BOUNDS = (-4.0, 4.0), (-1.0, 1.0), (0.0, 6.0)
FIRST: Point = (0.0, 0.0, 4.0)


@dataclass(frozen=True)
class Settings:
    """Prior precision for features of unit size, strength of the users' prior, dimensions of the space."""

    ridge: float
    concentration: float
    n_latent: int


@dataclass
class _Fold:
    """Answers to fit and answers to predict, and where the last fit ended."""

    train: PairProblem
    held: PairProblem
    features: CentredFeatures
    starts: PrototypeStarts
    fit: PrototypeFit | None = None


class SettingSearch:
    """Settings for any number of prototypes; those that are given (not None) are kept.

    Parameters
    ----------
    search : PrototypeSearch
    masks : list of (train, held-out) masks in the order of the problem, or None
        Without masks, settings that are not given have a middle value.
    near : Settings, optional
        Where to look first, and then in half decades.
    """

    def __init__(
        self,
        search: PrototypeSearch,
        masks: Masks | None,
        *,
        ridge: float | None,
        concentration: float | None,
        n_latent: int | None,
        near: Settings | None = None,
    ) -> None:
        self.search, self.masks, self.near = search, masks, near
        self.ridge, self.concentration, self.n_latent = ridge, concentration, n_latent
        self.dimensions: list[list[float]] | None = None
        self._found: dict[int, Settings] = {}
        self._paths: dict[int, list[list[float]]] = {}
        self._folds: list[_Fold] | None = None

    def find(self, n_groups: int) -> Settings:
        """The settings for a number of prototypes."""
        if n_groups not in self._found:
            self._found[n_groups] = self._search(n_groups)
        return self._found[n_groups]

    def path(self, n_groups: int) -> list[list[float]] | None:
        """Ridges and concentrations tried, with the held-out NLL of each pair; None where none were."""
        self.find(n_groups)
        return self._paths.get(n_groups)

    def _search(self, n_groups: int) -> Settings:
        smaller = max((k for k in self._found if k < n_groups), default=0)
        known = self._found.get(smaller, self.near)
        at = self._begin(known, n_groups - smaller if smaller else 0)
        free = [
            self.ridge is None,
            self.concentration is None and n_groups > 1 and not self.search.partition,
            self.n_latent is None and known is None,
        ]
        if self.masks is None or not any(free):
            return self._settings(at)
        folds = self._prepared_folds(self.masks, n_groups)
        tried: dict[Point, Losses] = {}

        def nll(point: Point) -> float:
            if point not in tried:
                tried[point] = self._losses(n_groups, point, folds)
            return float(tried[point].mean())

        for size in (1.0, 0.5):
            # from fewer prototypes the ridge is known to a half decade, and from two or more the concentration
            axes = [
                axis
                for axis, near in ((RIDGE, known is not None), (CONCENTRATION, smaller > 1))
                if free[axis] and (size < 1.0 or not near)
            ]
            while True:
                before = at
                for axis in axes:
                    at = min([at, *_near(at, axis, size)], key=nll)
                if at == before:
                    break
        nll(at)
        self._paths[n_groups] = sorted([10.0 ** p[RIDGE], 10.0 ** p[CONCENTRATION], nll(p)] for p in tried)
        if free[LATENT]:
            at = self._fewest_dimensions(at, nll, tried)
        return self._settings(at)

    def _fewest_dimensions(self, at: Point, nll: Callable[[Point], float], tried: dict[Point, Losses]) -> Point:
        """The fewest dimensions within one standard error of the best, by halvings and doublings."""

        def dimensions(exponent: float) -> Point:
            return at[RIDGE], at[CONCENTRATION], exponent

        def worse(point: Point) -> bool:
            nll(point)
            difference = tried[point] - tried[best]
            return bool(difference.mean() > difference.std() / np.sqrt(len(difference)))

        most = min(BOUNDS[LATENT][1], float(np.ceil(np.log2(self.search.features.dim))))
        best = dimensions(min(at[LATENT], most))
        for way in (1.0, -1.0):
            while 0 <= best[LATENT] + way <= most:
                further = dimensions(best[LATENT] + way)
                if nll(further) >= nll(best):
                    break
                best = further
        chosen = best
        while chosen[LATENT] > 0 and not worse(fewer := dimensions(chosen[LATENT] - 1.0)):
            chosen = fewer
        self.dimensions = sorted([2.0 ** p[LATENT], nll(p)] for p in tried if p[:LATENT] == at[:LATENT])
        return chosen

    def _begin(self, known: Settings | None, n_more: int) -> Point:
        """What is given, else what was found for fewer prototypes (each further one with a dimension more)."""
        ridge = self.ridge if self.ridge is not None else known.ridge if known else 10.0 ** FIRST[RIDGE]
        concentration = known.concentration if known else 10.0 ** FIRST[CONCENTRATION]
        if self.concentration is not None:
            concentration = self.concentration
        n_latent = 2.0 ** FIRST[LATENT] if known is None else known.n_latent + n_more
        n_latent = n_latent if self.n_latent is None else self.n_latent
        return float(np.log10(ridge)), float(np.log10(concentration)), float(np.log2(n_latent))

    def _settings(self, at: Point) -> Settings:
        """The point as settings: what is given to the last digit."""
        found = Settings(10.0 ** at[RIDGE], 10.0 ** at[CONCENTRATION], self._dimensions(at))
        if self.ridge is not None:
            found = replace(found, ridge=self.ridge)
        return found if self.concentration is None else replace(found, concentration=self.concentration)

    def _dimensions(self, at: Point) -> int:
        return int(min(np.round(2.0 ** at[LATENT]), self.search.features.dim))

    def _prepared_folds(self, masks: Masks, n_groups: int) -> list[_Fold]:
        """As many of the blocks as hold out enough answers, of a sample of users where there are many answers."""
        if self._folds is None:
            search, folds = self.search, []
            rng = np.random.default_rng([search.seed, 15])
            some = sampled_users(search.prepared.problem, MOST_ROWS, rng)
            features = search.features.take(some.items)
            prepared = replace(search.prepared, problem=some.problem)
            scored = 0
            for train, held in masks:
                if not train[some.rows].any() or not held[some.rows].any():
                    continue
                problem = prepared.subset(train[some.rows])
                starts = PrototypeStarts(problem, features, rng)
                folds.append(_Fold(problem, prepared.subset(held[some.rows]), features, starts))
                scored += int(held[some.rows].sum())
                if scored >= ENOUGH_HELD_OUT:
                    break
            self._folds = folds
        for fold in self._folds:
            fold.fit = self.search.first.get(n_groups)
        return self._folds

    def _losses(self, n_groups: int, point: Point, folds: list[_Fold]) -> Losses:
        settings = self._settings(point)
        found = []
        for f, fold in enumerate(folds):
            table = self.search.model._item_table(fold.features, n_groups, settings.ridge, settings.n_latent)
            start = fold.fit
            if start is not None and len(start.x) != table.size:
                start = None
            fold.fit = self.search.run(
                f"settings/{n_groups}/{point}/{f}",
                fold.train,
                table,
                stream=1,
                concentration=settings.concentration,
                tol=SELECTION_TOL,
                n_init=1,
                start=start,
                starts=fold.starts,
            )
            found.append(self._held_out_losses(fold, table.table(fold.fit.x), fold.fit))
        return np.concatenate(found)

    def _held_out_losses(self, fold: _Fold, scores: Float[np.ndarray, "items groups"], fit: PrototypeFit) -> Losses:
        """Weighted NLL of each held-out row, users placed by their training rows."""
        from pluralism.models.prototypes import expected_probability

        held = fold.held
        gaps = scores[held.left] - scores[held.right]
        if self.search.partition:
            yes = -np.logaddexp(0.0, -gaps)
            log_p = held.outcome[:, None] * yes + (1.0 - held.outcome[:, None]) * (yes - gaps)
            evidence = group_log_likelihood(fold.train, scores, np.zeros((0, len(fit.alpha)))) + np.log(fit.alpha)
            share = evidence - logsumexp(evidence, axis=1, keepdims=True)
            rows: Losses = logsumexp(log_p + share[held.user], axis=1)
        else:
            placed = user_posterior(fold.train, scores, fit.alpha)
            p = expected_probability(gaps, placed.mean[held.user], placed.covariance[held.user])
            p = np.clip(p, 1e-12, 1.0 - 1e-12)
            rows = held.outcome * np.log(p) + (1.0 - held.outcome) * np.log1p(-p)
        return -held.weight * rows


def _near(at: Point, axis: int, size: float) -> list[Point]:
    """The points a step away on either side, as far as they are allowed."""
    low, high = BOUNDS[axis]
    moved = [at[axis] - size, at[axis] + size]
    return [
        (at[0] if axis else value, at[1] if axis != 1 else value, at[2] if axis != 2 else value)
        for value in moved
        if low <= value <= high
    ]
