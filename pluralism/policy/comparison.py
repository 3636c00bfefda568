"""Policies side by side: who gains and who loses under each, which are on the welfare front, and where they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.models.pareto import pareto_front
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.social_choice.utilities import Utilities

__all__ = ["PolicyComparison", "compare_policies"]


ROUNDING = 1e-9
"""Differences below this share of the range of the utilities are none."""


@dataclass(frozen=True, eq=False, repr=False)
class PolicyComparison:
    """What several policies on the same candidates bring.

    Attributes
    ----------
    policies : mapping of str to FinitePolicy
    utilities : Utilities
        In what they are compared.
    group_utilities : array of shape (policies, groups)
    reference_utilities : array of shape (groups,)
    mean, worst : arrays of shape (policies,)
        Utility over all people, each group counting by its share, and of the group that has least.
    kl : array of shape (policies,)
        Mean KL divergence from the reference, in nats.
    on_front : bool array of shape (policies,)
        Whether no other policy here has a mean and a worst group at least as good, and one of the two better.
    distance : array of shape (policies, policies)
        Total variation between two policies, mean over prompts.
    contested : array of shape (prompts,)
        The largest total variation between any two policies on a prompt.
    """

    policies: Mapping[str, FinitePolicy]
    utilities: Utilities
    group_utilities: Float[np.ndarray, "policies groups"]
    reference_utilities: Float[np.ndarray, " groups"]
    mean: Float[np.ndarray, " policies"]
    worst: Float[np.ndarray, " policies"]
    kl: Float[np.ndarray, " policies"]
    on_front: Bool[np.ndarray, " policies"]
    distance: Float[np.ndarray, "policies policies"]
    contested: Float[np.ndarray, " prompts"]

    @property
    def losers(self) -> Bool[np.ndarray, "policies groups"]:
        """Which groups have less than under the reference policy."""
        return self.group_utilities < self.reference_utilities - ROUNDING * _size(self.utilities)

    @property
    def most_contested(self) -> Int[np.ndarray, " prompts"]:
        """Prompts from the one on which policies differ most; equal ones in their order."""
        return np.argsort(-self.contested, kind="stable")

    def favourites(self, prompt: int) -> dict[str, str]:
        """The candidate that each policy chooses most often on a prompt (the first of equals)."""
        places = self.utilities.items[prompt]
        return {
            name: self.utilities.candidates[places[int(np.argmax(policy.log_probs[prompt]))]]
            for name, policy in self.policies.items()
        }

    def to_frame(self) -> pa.Table:
        """Columns `policy, mean, worst, worst_group, kl, on_front`, and one of utilities for each group."""
        groups = self.utilities.groups
        columns: dict[str, Any] = {
            "policy": list(self.policies),
            "mean": self.mean,
            "worst": self.worst,
            "worst_group": [groups[k] for k in np.argmin(self.group_utilities, axis=1)],
            "kl": self.kl,
            "on_front": self.on_front,
        }
        columns |= {f"utility_{name}": self.group_utilities[:, k] for k, name in enumerate(groups)}
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame`, the reference, distances, and the prompts on which policies differ most."""
        return json_ready(
            {
                "unit": self.utilities.unit,
                "groups": list(self.utilities.groups),
                "shares": self.utilities.shares,
                "reference": self.reference_utilities,
                "policies": self.to_frame().to_pylist(),
                "distance": self.distance,
                "contested": [
                    {
                        "prompt": self.utilities.prompts[x],
                        "distance": self.contested[x],
                        "favourites": self.favourites(int(x)),
                    }
                    for x in self.most_contested[:20]
                ],
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"policy": ["reference", *self.policies]}
        for k, name in enumerate(self.utilities.groups):
            columns[name] = [self.reference_utilities[k], *self.group_utilities[:, k]]
        shares = self.utilities.shares
        columns["mean"] = [self.reference_utilities @ shares, *self.mean]
        columns["worst"] = [self.reference_utilities.min(), *self.worst]
        columns["KL"] = [0.0, *self.kl]
        columns["front"] = ["", *["yes" if kept else "" for kept in self.on_front]]
        n = self.utilities.n_prompts
        head = f"PolicyComparison of {n:,} prompt{'s' * (n != 1)}, in {self.utilities.unit}"
        return "\n".join([head, format_table(columns, 3)])


def compare_policies(policies: Mapping[str, FinitePolicy], *, utilities: Utilities | None = None) -> PolicyComparison:
    """Measure several policies by the same utilities.

    Parameters
    ----------
    policies : mapping of str to FinitePolicy
        On the same candidates.
    utilities : Utilities, optional
        By what to measure them, such as utilities that no policy was fitted to; by default those of the first policy.

    Raises
    ------
    UsageError
        If there is no policy, or they are on other candidates.
    """
    if not policies:
        raise UsageError("There is no policy to compare.", fix="Pass at least one, by name.")
    by = next(iter(policies.values())).utilities if utilities is None else utilities
    for name, policy in policies.items():
        same = policy.utilities.items.shape == by.items.shape and np.array_equal(policy.utilities.items, by.items)
        if not same or policy.utilities.candidates != by.candidates:
            raise UsageError(
                f"The policy {name!r} is on other candidates.", fix="Make all policies from the same candidates."
            )
    probs = np.stack([policy.probs for policy in policies.values()])
    gained = np.stack([by.expected(policy.log_probs) for policy in policies.values()])
    apart = 0.5 * np.abs(probs[:, None] - probs[None]).sum(axis=3)
    mean, worst = gained @ by.shares, gained.min(axis=1)
    return PolicyComparison(
        policies=dict(policies),
        utilities=by,
        group_utilities=gained,
        reference_utilities=by.expected(by.log_reference),
        mean=mean,
        worst=worst,
        kl=np.array([policy.kl_mean for policy in policies.values()]),
        on_front=pareto_front((np.stack([mean, worst], axis=1) / _size(by)).round(9)),
        distance=apart @ by.prompt_weights,
        contested=apart.max(axis=(0, 1)),
    )


def _size(utilities: Utilities) -> float:
    """The range of the utilities, or 1 where there is none."""
    return float(np.ptp(utilities.values[utilities.mask], axis=0).max()) or 1.0
