"""Transforms of the reward compared by what they bring at inference, at equal KL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table, json_ready
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.infalign import calibrated_tilt, infalign, inference_aware_win_rate
from pluralism.policy.kl_budget import kl_budget
from pluralism.policy.win_rate import win_rate
from pluralism.random import RNG
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.infalign import Inference

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["InferenceComparison", "compare_inference"]

DEFAULT_T = (2.0, 5.0, 10.0)


@dataclass(frozen=True, eq=False, repr=False)
class InferenceComparison:
    """Policies of equal KL, by what they bring when the best or worst of n draws is used.

    Attributes
    ----------
    names : tuple of str
        "reward" (the tilt by the reward itself), "identity" and "exp, t=..." (by the calibrated reward), "optimum".
    policies : tuple of FinitePolicy
    inference_win_rate, win_rate, kl : arrays of shape (policies,)
        Means over prompts: the chance that T(q) beats T(p), that q beats p, and the KL.
    n : float
    inference : {"best_of_n", "worst_of_n"}
    """

    names: tuple[str, ...]
    policies: tuple[FinitePolicy, ...]
    inference_win_rate: Float[np.ndarray, " policies"]
    win_rate: Float[np.ndarray, " policies"]
    kl: Float[np.ndarray, " policies"]
    n: float
    inference: Inference

    def to_frame(self) -> pa.Table:
        """Columns `policy, inference_win_rate, win_rate, kl`."""
        import pyarrow as pa

        columns = {name: getattr(self, name) for name in ("inference_win_rate", "win_rate", "kl")}
        return pa.table({"policy": pa.array(self.names, pa.large_string()), **columns})

    def to_json(self, *, indent: int | None = None) -> str:
        """`n`, `inference`, and the rows of `to_frame`, as JSON."""
        document = {"n": self.n, "inference": self.inference, "rows": self.to_frame().to_pylist()}
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        name = f"{'best' if self.inference == 'best_of_n' else 'worst'}-of-{self.n:g}"
        columns = {
            "policy": self.names,
            f"wins by {name}": self.inference_win_rate.tolist(),
            "wins": self.win_rate.tolist(),
            "KL": self.kl.tolist(),
        }
        return format_table(columns)


def compare_inference(
    utilities: Utilities,
    *,
    n: float,
    kl: ArrayLike,
    inference: Inference = "best_of_n",
    t: Sequence[float] | None = None,
    weights: ArrayLike | None = None,
    rng: RNG = 0,
) -> InferenceComparison:
    """Compare the optimum for an inference procedure with fixed transforms, each with the same KL on every prompt.

    Parameters
    ----------
    utilities : Utilities
    n, kl, inference, weights, rng
        As in `pluralism.policy.infalign`.
    t : sequence of float, optional
        Strengths of the exponential transform; 2, 5 and 10, or minus these for the worst of n, by default.

    References
    ----------
    A. Balashankar et al., "InfAlign: Inference-aware language model alignment", arXiv:2412.19792.

    Examples
    --------
    >>> compare_inference(Utilities.from_matrix([np.arange(200.0)]), n=4, kl=0.25)
    policy     wins by best-of-4    wins      KL
    reward                0.7303  0.6989  0.2500
    identity              0.7303  0.6989  0.2500
    exp, t=2              0.7600  0.6938  0.2500
    exp, t=5              0.7855  0.6756  0.2500
    exp, t=10             0.7965  0.6480  0.2500
    optimum               0.7967  0.6468  0.2500
    """
    sign = 1.0 if inference == "best_of_n" else -1.0
    strengths = [sign * each for each in DEFAULT_T] if t is None else list(t)
    policies = {
        "reward": kl_budget(utilities, kl=kl, scope="per_prompt", weights=weights),
        "identity": calibrated_tilt(utilities, kl=kl, weights=weights),
    }
    policies |= {f"exp, t={each:g}": calibrated_tilt(utilities, t=each, kl=kl, weights=weights) for each in strengths}
    policies["optimum"] = infalign(utilities, n=n, inference=inference, kl=kl, weights=weights, rng=rng)
    mean = utilities.prompt_weights
    return InferenceComparison(
        tuple(policies),
        tuple(policies.values()),
        np.array(
            [
                mean @ inference_aware_win_rate(policy, n=n, inference=inference, weights=weights)
                for policy in policies.values()
            ]
        ),
        np.array([mean @ win_rate(policy, weights=weights) for policy in policies.values()]),
        np.array([policy.kl_mean for policy in policies.values()]),
        float(n),
        inference,
    )
