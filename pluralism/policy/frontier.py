"""What a nat of KL buys: best-of-n beside the best policy of equal KL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.policy.best_of_n import best_of_n, check_n
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_budget import Scope, kl_budget
from pluralism.policy.kl_optimal import weighted_reward
from pluralism.policy.win_rate import win_rate
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.best_of_n import best_of_n_kl_bound
from pluralism.solvers.log_policies import expectation

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Frontier", "FrontierPath", "frontier"]

DEFAULT_N = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, eq=False)
class FrontierPath:
    """Policies of one kind, in order of rising KL.

    Attributes
    ----------
    kl, reward, win_rate : arrays of shape (points,)
        Means over prompts: KL from the reference in nats, weighted reward, and the chance to beat the reference.
    group_utilities : array of shape (points, groups)
    """

    kl: Float[np.ndarray, " points"]
    reward: Float[np.ndarray, " points"]
    win_rate: Float[np.ndarray, " points"]
    group_utilities: Float[np.ndarray, "points groups"]


@dataclass(frozen=True, eq=False, repr=False)
class Frontier:
    """Best-of-n and the KL-regularised optimum at equal KL.

    Attributes
    ----------
    n : array of shape (points,)
    kl_bound : array of shape (points,)
        Bound log n - (n - 1) / n of best-of-n's KL.
    best_of_n : FrontierPath
    tilt : FrontierPath
        At the KL of each best-of-n, so point by point it has at least as much reward.
    curve : FrontierPath
        More points of the tilt, evenly spaced in KL, to draw a line through.
    unit : str
        Of the utilities.
    groups : tuple of str
    """

    n: Float[np.ndarray, " points"]
    kl_bound: Float[np.ndarray, " points"]
    best_of_n: FrontierPath
    tilt: FrontierPath
    curve: FrontierPath
    unit: str
    groups: tuple[str, ...]

    @property
    def forgone(self) -> Float[np.ndarray, " points"]:
        """Reward of the tilt less that of best-of-n at the same KL, at least 0."""
        return self.tilt.reward - self.best_of_n.reward

    def to_frame(self) -> pa.Table:
        """One row a point: `policy` (best_of_n, tilt or curve), `n`, `kl_bound`, `kl`, `reward`, `win_rate`, groups."""
        import pyarrow as pa

        none = [None] * len(self.curve.kl)
        paths = {"best_of_n": self.best_of_n, "tilt": self.tilt, "curve": self.curve}
        columns: dict[str, Any] = {
            "policy": [name for name, path in paths.items() for _ in path.kl],
            "n": pa.array([*self.n, *self.n, *none], pa.float64()),
            "kl_bound": pa.array([*self.kl_bound, *self.kl_bound, *none], pa.float64()),
        }
        for name in ("kl", "reward", "win_rate"):
            columns[name] = np.concatenate([getattr(path, name) for path in paths.values()])
        for k, group in enumerate(self.groups):
            columns[f"utility_{group}"] = np.concatenate([path.group_utilities[:, k] for path in paths.values()])
        return pa.table(columns)

    def to_json(self, *, indent: int | None = None) -> str:
        """`unit`, `groups` and the rows of `to_frame`, as JSON."""
        document = {"unit": self.unit, "groups": self.groups, "rows": self.to_frame().to_pylist()}
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        columns = {
            "n": [f"{n:g}" for n in self.n],
            "KL": self.best_of_n.kl.tolist(),
            "bound": self.kl_bound.tolist(),
            "best-of-n": self.best_of_n.reward.tolist(),
            "tilt": self.tilt.reward.tolist(),
            "win rate": self.best_of_n.win_rate.tolist(),
            "of the tilt": self.tilt.win_rate.tolist(),
        }
        return f"Frontier of the weighted utility ({self.unit})\n{format_table(columns, digits=3)}"


def frontier(
    utilities: Utilities,
    *,
    n: Sequence[float] = DEFAULT_N,
    weights: ArrayLike | None = None,
    scope: Scope = "global",
    n_points: int = 50,
) -> Frontier:
    """Compare best-of-n with the policy that makes the most of the same KL.

    Parameters
    ----------
    utilities : Utilities
    n : sequence of float
        Numbers of draws, each at least 1.
    weights : array of shape (groups,), optional
        Weights of the groups in the reward; left out, their shares.
    scope : {"global", "per_prompt"}
        Whether the tilt has the mean KL of best-of-n, or its KL on every prompt.
    n_points : int
        Of the curve, from KL 0 to the largest of best-of-n; it is of scope "global".

    References
    ----------
    J. Q. Yang et al., "Asymptotics of language model alignment", arXiv:2404.01730: for long outputs of a memoryless
    model and a linear reward both have the same limit of reward.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = frontier(Utilities(rng.normal(size=(20, 8, 1)), unit="gain"), n=[1, 4, 16])
    >>> bool(np.all(found.forgone >= -1e-12))
    True
    """
    draws = np.unique([check_n(each) for each in n])
    if len(draws) == 0 or n_points < 2:
        raise UsageError("A frontier needs one n at least, and two points.", fix="Leave n and n_points out.")
    bests = [best_of_n(utilities, float(each), weights=weights) for each in draws]
    tilts = [
        kl_budget(utilities, kl=best.kl if scope == "per_prompt" else best.kl_mean, scope=scope, weights=weights)
        for best in bests
    ]
    grid = np.linspace(0.0, max(best.kl_mean for best in bests), n_points)
    curve = [kl_budget(utilities, kl=kl, weights=weights) for kl in grid]
    bound = np.array([best_of_n_kl_bound(float(each)) for each in draws])
    paths = _path(bests, weights), _path(tilts, weights), _path(curve, weights)
    return Frontier(draws, bound, *paths, utilities.unit, utilities.groups)


def _path(policies: Sequence[FinitePolicy], weights: ArrayLike | None) -> FrontierPath:
    utilities = policies[0].utilities
    reward = weighted_reward(utilities, weights)
    return FrontierPath(
        np.array([policy.kl_mean for policy in policies]),
        np.array([utilities.prompt_weights @ expectation(policy.log_probs, reward) for policy in policies]),
        np.array([utilities.prompt_weights @ win_rate(policy, weights=weights) for policy in policies]),
        np.stack([policy.group_utilities for policy in policies]),
    )
