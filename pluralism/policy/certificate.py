"""Proofs of optimality: a dual bound beside the value reached, and which conditions of optimality hold how well."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pluralism.calibration.text import json_ready

__all__ = ["Certificate"]


@dataclass(frozen=True, eq=False)
class Certificate:
    """What shows that a policy is optimal, or how far it is from it at most.

    Attributes
    ----------
    problem : str
        What is maximised, as a formula.
    primal : array of shape (problems,)
        The value that the policy reaches: one, or one for each prompt where prompts are solved apart.
    dual : array of shape (problems,)
        No policy has a value above this.
    weights : array of shape (problems, groups), optional
        Dual weights of the groups: how much each counts at the optimum; rows sum to 1.
    slackness : array of shape (problems,), optional
        Complementary slackness: the largest weight of a group times how far its utility is above the least one. 0 at an
        optimum of a MaxMin problem.
    stationarity : float
        The largest residual of the condition that the policy itself is optimal against the weights: in nats, or, where
        KL has a price, in units of what is maximised.
    """

    problem: str
    primal: Float[np.ndarray, " problems"]
    dual: Float[np.ndarray, " problems"]
    weights: Float[np.ndarray, "problems groups"] | None = None
    slackness: Float[np.ndarray, " problems"] | None = None
    stationarity: float = 0.0

    @property
    def gaps(self) -> Float[np.ndarray, " problems"]:
        """Dual less primal value: how much better any policy can be, at most."""
        return self.dual - self.primal

    @property
    def gap(self) -> float:
        """The largest of `gaps`."""
        return float(self.gaps.max())

    def holds(self, tolerance: float = 1e-6) -> bool:
        """Whether the gap, the slackness and the residual are all within a tolerance."""
        slack = 0.0 if self.slackness is None else float(self.slackness.max())
        return max(self.gap, slack, self.stationarity) <= tolerance

    def to_dict(self) -> dict[str, Any]:
        """The fields by name, with `gap`."""
        return json_ready(
            {
                "problem": self.problem,
                "primal": self.primal,
                "dual": self.dual,
                "gap": self.gap,
                "weights": self.weights,
                "slackness": self.slackness,
                "stationarity": self.stationarity,
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        n = len(self.primal)
        parts = [f"gap {max(self.gap, 0.0):.2g}" + (f" at most over {n:,} prompts" if n > 1 else "")]
        if self.weights is not None:
            mean = self.weights.mean(axis=0)
            parts.append(f"{'mean ' * (n > 1)}weights {', '.join(f'{w:.3g}' for w in mean)}")
        if self.slackness is not None:
            parts.append(f"slackness {float(self.slackness.max()):.2g}")
        if self.stationarity:
            parts.append(f"stationarity {self.stationarity:.2g}")
        return f"Certificate({self.problem}: {'; '.join(parts)})"
