"""Rewards by the angle between an item and a prototype, as the second model of PAL has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import Curvature, PullBack, Table, Vector
from pluralism.solvers.objective import TYPICAL_CURVATURE
from pluralism.solvers.pairs import PairProblem

__all__ = ["AngleTable", "unit_rows"]

SOFTENING = 1.0
FIRST_SCALE = 3.0


class AngleTable(IdealTable):
    """T_ik = s cos(f_i, z_ik) with f_i = A x_i, z_ik = P_k + B_k h_i and a scale s.

    The vector is that of `IdealTable` with log s appended. The cosine is softened, f . z over sqrt(1 + |f|^2) and
    sqrt(1 + |z|^2): an item or prototype at the origin has no direction, and is then neither liked nor disliked. The
    ridge is on s besides.
    """

    def __init__(
        self,
        features: CentredFeatures,
        n_groups: int,
        n_latent: int,
        ridge: float,
        *,
        prompts: Float[np.ndarray, "items context"] | None = None,
        in_features: bool = False,
    ) -> None:
        super().__init__(features, n_groups, n_latent, ridge, prompts=prompts, in_features=in_features)
        self.size += 1
        self.n_bends = 0

    def scale(self, x: Vector) -> float:
        """What cosines are multiplied with."""
        return float(np.exp(np.clip(x[-1], -20.0, 5.0)))

    def _goals(self, p: Any, b: Any, k: int) -> Float[np.ndarray, "items latent"]:
        return np.broadcast_to(p[k], (self.features.n_items, self.n_latent)) + (
            0.0 if self.prompts is None else self.prompts @ b[k].T
        )

    def at(self, x: Vector) -> tuple[Table, PullBack]:
        """The rewards at x, and the way back."""
        a, p, b = self.parts(x)
        unit, length = unit_rows(self.features.matmul(a.T))
        goals = (unit_rows(self._goals(p, b, k))[0] for k in range(self.n_groups))
        out = self.scale(x) * np.stack([np.einsum("ij,ij->i", unit, goal) for goal in goals], axis=1)
        return out, lambda slope: self._from_angles(x, unit, length, slope)

    def _from_angles(self, x: Vector, unit: np.ndarray, length: np.ndarray, slope: Table) -> Vector:
        _, p, b = self.parts(x)
        out = np.zeros(self.size)
        da, dp, db = self.parts(out)
        scale = self.scale(x)
        dunit = np.zeros_like(unit)
        for k in range(self.n_groups):
            goal, far = unit_rows(self._goals(p, b, k))
            weighted = scale * slope[:, k : k + 1]
            dunit += weighted * goal
            out[-1] += float(np.sum(weighted * unit * goal))
            dgoal = _through(weighted * unit, goal, far)
            dp[k] = dgoal.sum(axis=0)
            if self.prompts is not None:
                db[k] = dgoal.T @ self.prompts
        da[:] = self.features.rmatmul(_through(dunit, unit, length)).T
        if not -20.0 < x[-1] < 5.0:
            out[-1] = 0.0
        return out

    def penalty(self, x: Vector) -> tuple[float, Vector]:
        """Half the ridge times squared maps, prototypes and scale."""
        inner, s = x[:-1], self.scale(x)
        slope = np.append(self.ridge * inner, self.ridge * s * s if -20.0 < x[-1] < 5.0 else 0.0)
        return 0.5 * self.ridge * (float(inner @ inner) + s * s), slope

    def start(self, heads: Float[np.ndarray, "dim groups"], bend: Curvature | None, rng: np.random.Generator) -> Vector:
        """Directions of the singular vectors of the heads."""
        x = super().start(heads, None, rng)
        x[-1] = np.log(FIRST_SCALE)
        _, p, _ = self.parts(x)
        # a prototype at the origin has no direction
        p += 0.1 * rng.normal(size=p.shape)
        return x

    def preconditioner(
        self, problem: PairProblem, x: Vector, gram: Float[np.ndarray, "dim dim"], rng: np.random.Generator
    ) -> Callable[[Vector], Vector]:
        """That of squared distances, and a number for the scale."""
        inner = super().preconditioner(problem, x, gram, rng)
        bend = TYPICAL_CURVATURE * problem.total_weight + self.ridge

        def apply(gradient: Vector) -> Vector:
            out = inner(gradient)
            out[-1] = gradient[-1] / bend
            return out

        return apply


def unit_rows(
    rows: Float[np.ndarray, "items latent"],
) -> tuple[Float[np.ndarray, "items latent"], Float[np.ndarray, "items one"]]:
    """Rows x over sqrt(1 + |x|^2), and these roots: directions, for all but short rows, that are smooth at zero."""
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows) + SOFTENING**2)[:, None]
    return rows / length, length


def _through(
    slope: Float[np.ndarray, "items latent"],
    unit: Float[np.ndarray, "items latent"],
    length: Float[np.ndarray, "items one"],
) -> Float[np.ndarray, "items latent"]:
    """The gradient for rows of a function of their directions."""
    return (slope - unit * np.einsum("ij,ij->i", slope, unit)[:, None]) / length
