"""What it costs the mean to serve the worst-off, and what they gain by it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration.text import format_table, json_ready
from pluralism.policy.finite_policy import FinitePolicy
from pluralism.policy.kl_optimal import kl_optimal
from pluralism.policy.maxmin import maxmin
from pluralism.policy.saddle_policy import Scope
from pluralism.social_choice.utilities import Utilities

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EgalitarianCost", "egalitarian_cost"]


@dataclass(frozen=True, eq=False, repr=False)
class EgalitarianCost:
    """The utilitarian and the MaxMin policy of equal price of KL, side by side.

    Attributes
    ----------
    utilitarian, egalitarian : FinitePolicy
    """

    utilitarian: FinitePolicy
    egalitarian: FinitePolicy

    @property
    def mean_loss(self) -> float:
        """Mean utility over people under the utilitarian policy less that under MaxMin."""
        shares = self.utilitarian.utilities.shares
        return float(shares @ (self.utilitarian.group_utilities - self.egalitarian.group_utilities))

    @property
    def worst_group_gain(self) -> float:
        """Utility of the group that has least under MaxMin less that of the one that has least under the other."""
        return float(self.egalitarian.group_utilities.min() - self.utilitarian.group_utilities.min())

    @property
    def price(self) -> float:
        """Mean utility lost for each unit that the worst-off gain; NaN where they gain nothing."""
        return self.mean_loss / self.worst_group_gain if self.worst_group_gain > 0 else float("nan")

    def to_frame(self) -> pa.Table:
        """Columns `group, share, utilitarian, egalitarian, change, weight`; one row a group."""
        import pyarrow as pa

        return pa.table(self._columns())

    def to_dict(self) -> dict[str, Any]:
        """The three numbers, the mean KL of both policies, and the rows of `to_frame`."""
        return json_ready(
            {
                "mean_loss": self.mean_loss,
                "worst_group_gain": self.worst_group_gain,
                "price": self.price,
                "kl_utilitarian": self.utilitarian.kl_mean,
                "kl_egalitarian": self.egalitarian.kl_mean,
                "groups": self.to_frame().to_pylist(),
            }
        )

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON; null for NaN."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def _columns(self) -> dict[str, Any]:
        made, certificate = self.utilitarian.utilities, self.egalitarian.certificate
        before, after = self.utilitarian.group_utilities, self.egalitarian.group_utilities
        weights = None if certificate is None else certificate.weights
        return {
            "group": list(made.groups),
            "share": made.shares,
            "utilitarian": before,
            "egalitarian": after,
            "change": after - before,
            "weight": np.full(made.n_groups, np.nan) if weights is None else weights.mean(axis=0),
        }

    def __repr__(self) -> str:
        head = (
            f"EgalitarianCost(the mean loses {self.mean_loss:.3g}, the worst-off gain {self.worst_group_gain:.3g}; "
            f"KL {self.utilitarian.kl_mean:.3g} and {self.egalitarian.kl_mean:.3g})"
        )
        return "\n".join([head, format_table(self._columns(), digits=3)])


def egalitarian_cost(utilities: Utilities, *, beta: float, scope: Scope = "global") -> EgalitarianCost:
    """Compare the utilitarian policy with MaxMin at the same price of KL.

    Parameters
    ----------
    utilities : Utilities
        Raw rewards are compared with a `ComparabilityWarning`.
    beta, scope
        As in `maxmin`.

    Examples
    --------
    >>> made = Utilities.from_matrix([[1.0, -1.0], [-1.0, 1.0]], shares=[0.7, 0.3], unit="gain")
    >>> cost = egalitarian_cost(made, beta=0.0)
    >>> round(cost.mean_loss, 6), round(cost.worst_group_gain, 6), round(cost.price, 6)
    (0.4, 1.0, 0.4)
    """
    return EgalitarianCost(kl_optimal(utilities, beta=beta), maxmin(utilities, beta=beta, scope=scope))
