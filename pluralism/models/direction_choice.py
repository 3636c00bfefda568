"""Choosing by a direction over attributes: scores, ranks, best-of-n, fronts, and the prompt of a conditioned policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import UsageError
from pluralism.models.base import PreferenceModel
from pluralism.models.direction_prompt import direction_prompt
from pluralism.models.pareto import Front, best_of_n, candidate_pools, front
from pluralism.random import RNG

if TYPE_CHECKING:
    from pluralism.data import Items

__all__ = ["DirectionChoice"]

FRONT_ANGLES = 24


class DirectionChoice(PreferenceModel):
    """A model with attributes linear in features, and coordinates in which directions score items."""

    attributes_: list[str]
    coef_: Float[np.ndarray, "attributes dim"]
    intercept_: Float[np.ndarray, " attributes"]
    space_mean_: Float[np.ndarray, " attributes"]
    space_matrix_: Float[np.ndarray, "attributes attributes"]

    def attribute_scores(self, items: Items) -> Float[np.ndarray, "items attributes"]:
        """Predicted attributes, in the units of the ratings."""
        self._check_fitted()
        return self._features(items).matmul(self.coef_.T) + self.intercept_

    def coordinates(self, items: Items) -> Float[np.ndarray, "items attributes"]:
        """Attributes decorrelated and in comparable units: what directions are over."""
        return (self.attribute_scores(items) - self.space_mean_) @ self.space_matrix_.T

    def score(self, items: Items, direction: Sequence[float] | np.ndarray) -> Float[np.ndarray, " items"]:
        """Scores of items by a direction over `attributes_` (any length but 0; it is normalised)."""
        return self.coordinates(items) @ self._unit(direction)

    def rank(self, items: Items, direction: Sequence[float] | np.ndarray) -> Int[np.ndarray, " items"]:
        """Codes of the items from the best to the worst by a direction."""
        return np.argsort(-self.score(items, direction), kind="stable")

    def system_prompt(
        self,
        direction: Sequence[float] | np.ndarray,
        *,
        attributes: Sequence[str] | None = None,
        persona: str = "You are a helpful assistant.",
    ) -> str:
        """A direction in the form that a policy conditioned on it reads: signed weights, times 100, rounded.

        Parameters
        ----------
        direction : sequence of float
            Over `attributes_`.
        attributes : sequence of str, optional
            Only these are named; left out, those whose rounded weight is not 0.
        persona : str
            What comes before.
        """
        self._check_fitted()
        return direction_prompt(self._unit(direction), self.attributes_, shown=attributes, persona=persona)

    def best_of_n(self, items: Items, direction: Sequence[float] | np.ndarray) -> Int[np.ndarray, " pools"]:
        """The best item of each prompt by a direction; items without prompts are one pool."""
        pool = candidate_pools(items)
        return best_of_n(self.score(items, direction), pool, int(pool.max(initial=-1)) + 1)

    def front(
        self,
        items: Items,
        *,
        attributes: tuple[str, str] | None = None,
        directions: Float[np.ndarray, "directions attributes"] | None = None,
        n_bootstrap: int = 500,
        rng: RNG = 0,
    ) -> Front:
        """What best-of-n reaches by direction, on the predicted attributes.

        Scored by the regressions that pick: an upper bound of what people would see. For an unbiased front, give
        `pluralism.models.pareto.front` held-out ratings as values.

        Parameters
        ----------
        items : Items
            Candidates; those of one prompt are a pool.
        attributes : (str, str), optional
            The plane in which directions go round, in 24 steps; the first two attributes by default.
        directions : array of shape (directions, attributes), optional
            Directions of your own; then all attributes are shown.
        """
        self._check_fitted()
        k = len(self.attributes_)
        shown = list(range(k))
        if directions is None:
            names = tuple(self.attributes_[:2]) if attributes is None else attributes
            unknown = [name for name in names if name not in self.attributes_]
            if unknown or len(set(names)) != 2:
                raise UsageError(
                    f"A front lies in the plane of two attributes, not {names!r}.",
                    fix=f"Choose two of {', '.join(map(repr, self.attributes_))}, or pass directions.",
                )
            shown = [self.attributes_.index(name) for name in names]
            angle = 2 * np.pi * np.arange(FRONT_ANGLES) / FRONT_ANGLES
            directions = np.zeros((FRONT_ANGLES, k))
            directions[:, shown] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        unit = np.stack([self._unit(direction) for direction in directions])
        values = self.attribute_scores(items)[:, shown]
        return front(
            self.coordinates(items) @ unit.T,
            values,
            candidate_pools(items),
            directions=unit,
            attributes=[self.attributes_[j] for j in shown],
            n_bootstrap=n_bootstrap,
            rng=rng,
        )

    def _unit(self, direction: Sequence[float] | np.ndarray) -> Float[np.ndarray, " attributes"]:
        v = np.asarray(direction, float)
        if v.shape != (len(self.attributes_),) or not np.isfinite(v).all() or not np.any(v):
            raise UsageError(
                f"{direction!r} is no direction over {len(self.attributes_)} attributes.",
                fix=f"Give one number, of either sign, for each of {', '.join(self.attributes_)}; not all 0.",
            )
        return v / np.linalg.norm(v)
