"""What a nat of KL buys by one reward, judged by another: curves on finite candidates, and where they turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.errors import DataError, UsageError
from pluralism.figures import INK, group_colour, group_marker, own_axes, tidy, tidy_legend
from pluralism.policy.kl_optimal import weighted_reward
from pluralism.policy.win_rate import reference_place
from pluralism.social_choice.utilities import Utilities
from pluralism.solvers.kl_budget import largest_kl, tilt_to_mean_kl
from pluralism.solvers.log_policies import expectation, kl_divergence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["BudgetCurve", "BudgetCurves", "judged_curve", "kl_budget_curve"]

IDEAL = "the judge itself"
Points = Float[np.ndarray, " points"]
ROUNDING = 1e-13
"""Of the largest reward: what differs by less is the same."""


@dataclass(frozen=True, eq=False)
class BudgetCurve:
    """Policies that make the most of one reward, in order of rising KL.

    Attributes
    ----------
    kl : array of shape (points,)
        Mean over prompts, in nats.
    claimed : array of shape (points,)
        Gain of that reward itself over the reference policy, in its standard deviations under it; 0 for a constant.
    judged : array of shape (points,)
        Weighted utility by which it is judged.
    win_rate : array of shape (points,)
        Chance to beat the reference by the judge.
    group_utilities : array of shape (points, groups)
    """

    kl: Points
    claimed: Points
    judged: Points
    win_rate: Points
    group_utilities: Float[np.ndarray, "points groups"]

    @property
    def peak(self) -> int:
        """The first point of the highest judged utility: beyond it more KL does harm."""
        return int(np.argmax(self.judged))


@dataclass(frozen=True, eq=False, repr=False)
class BudgetCurves(InstrumentResult):
    """Curves of several rewards, judged by the same utilities; the judge's own is the most that can be had.

    Attributes
    ----------
    curves : mapping of str to BudgetCurve
        The last is that of the judge itself.
    unit : str
        Of the utilities.
    groups : tuple of str
    """

    curves: Mapping[str, BudgetCurve]
    unit: str
    groups: tuple[str, ...]

    def to_frame(self) -> pa.Table:
        """One row a point: `reward, kl, claimed, judged, win_rate`, and the utility of each group."""
        parts = self.curves.values()
        columns: dict[str, Any] = {"reward": [name for name, curve in self.curves.items() for _ in curve.kl]}
        for name in ("kl", "claimed", "judged", "win_rate"):
            columns[name] = np.concatenate([getattr(curve, name) for curve in parts])
        for k, group in enumerate(self.groups):
            columns[f"utility_{group}"] = np.concatenate([curve.group_utilities[:, k] for curve in parts])
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The unit, the groups, and the rows of `to_frame`."""
        return {"unit": self.unit, "groups": self.groups, "rows": self.to_frame().to_pylist()}

    def __repr__(self) -> str:
        curves = self.curves.values()
        columns: dict[str, Any] = {
            "reward": list(self.curves),
            "best": [curve.judged[curve.peak] for curve in curves],
            "at KL": [curve.kl[curve.peak] for curve in curves],
            "at the end": [curve.judged[-1] for curve in curves],
            "KL": [curve.kl[-1] for curve in curves],
        }
        return f"BudgetCurves, judged in {self.unit}\n{format_table(columns, digits=3)}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the judged utility of each reward's policies against KL, with a larger mark at the peak."""
        ax = own_axes(ax, 5.4, 3.4)
        for i, (name, curve) in enumerate(self.curves.items()):
            ideal = i == len(self.curves) - 1
            colour = INK if ideal else group_colour(i)
            ax.plot(
                curve.kl, curve.judged, color=colour, linewidth=1.0 if ideal else 1.5, label=name.replace("$", r"\$"),
                linestyle=(0, (4, 3)) if ideal else "-",
            )  # fmt: skip
            if not ideal:
                ax.plot(curve.kl[curve.peak], curve.judged[curve.peak], group_marker(i), color=colour, markersize=7)
        tidy(ax, grid="both", xlabel="KL from the reference, nats", ylabel=f"judged utility ({self.unit})")
        tidy_legend(ax, loc="best")
        return ax


def kl_budget_curve(
    rewards: Mapping[str, ArrayLike],
    utilities: Utilities,
    *,
    kl: ArrayLike | None = None,
    n_points: int = 25,
    weights: ArrayLike | None = None,
) -> BudgetCurves:
    """Spend budgets of KL on rewards, and judge the policies by utilities that they were not optimised for.

    Rewards that are learnt rise for ever along their own policies; what they are worth to people rises less, and may
    fall [1]_. Policies are compared at equal KL, not at equal beta, whose unit differs from reward to reward.

    Parameters
    ----------
    rewards : mapping of str to array of shape (prompts, candidates)
        Of the candidates in their places in `utilities`.
    utilities : Utilities
        The judge.
    kl : array of shape (points,), optional
        Budgets in nats, at least 0 and rising; left out, evenly from 0 to the largest that the judge can use.
    n_points : int
        Of budgets where none are given.
    weights : array of shape (groups,), optional
        Of the groups in the judge; left out, their shares.

    Raises
    ------
    DataError
        If rewards do not fit the candidates.
    UsageError
        If budgets do not rise from 0 or more, or a reward has the name of the judge's own curve.

    References
    ----------
    .. [1] L. Gao et al., "Scaling laws for reward model overoptimization", ICML 2023, arXiv:2210.10760.

    Examples
    --------
    >>> made = Utilities.from_matrix([[0.0, 1.0, 2.0, -3.0]], unit="gain")
    >>> found = kl_budget_curve({"hacked": [[0.0, 1.0, 2.0, 3.0]]}, made, kl=[0.0, 0.5, 1.3])
    >>> found.curves["hacked"].peak < 2
    True
    """
    logs, there, w = utilities.log_reference, utilities.mask, utilities.prompt_weights
    judge = weighted_reward(utilities, weights)
    if kl is None:
        if n_points < 2:
            raise UsageError("A curve needs two points.", fix="Leave n_points out.")
        budgets = np.linspace(0.0, float(w @ largest_kl(judge, logs)), n_points)
    else:
        budgets = np.asarray(kl, dtype=np.float64)
        if budgets.ndim != 1 or not len(budgets) or not (budgets >= 0).all() or not (np.diff(budgets) > 0).all():
            raise UsageError("kl are budgets in nats, at least 0, that rise.", fix="Pass kl=[0.0, 0.5, 1.0].")
    if IDEAL in rewards:
        raise UsageError(f"{IDEAL!r} is the name of the judge's curve.", fix="Give the reward another name.")
    found = {}
    for name, given in (*rewards.items(), (IDEAL, judge)):
        reward = np.asarray(given, dtype=np.float64)
        if reward.shape != logs.shape or not np.isfinite(reward[there]).all():
            raise DataError(
                f"The reward {name!r} is finite and has shape {logs.shape}.", fix="Give one for each candidate."
            )
        found[name] = judged_curve(np.where(there, reward, 0.0), utilities, budgets, weights=weights)
    return BudgetCurves(found, utilities.unit, utilities.groups)


def judged_curve(
    reward: Float[np.ndarray, "prompts candidates"],
    utilities: Utilities,
    budgets: Points,
    *,
    weights: ArrayLike | None = None,
) -> BudgetCurve:
    """The curve of one reward, finite everywhere, at given budgets; see `kl_budget_curve`."""
    logs, w = utilities.log_reference, utilities.prompt_weights
    # Neither the policies nor gains in standard deviations depend on the size of the reward; its square might overflow.
    reward = reward / (float(np.abs(reward).max()) or 1.0)
    judge, place = weighted_reward(utilities, weights), reference_place(utilities, weights)
    start = expectation(logs, reward)
    spread = float(np.sqrt(w @ expectation(logs, (reward - start[:, None]) ** 2)))
    scale = spread if spread > ROUNDING else 1.0
    policies = [tilt_to_mean_kl(reward, logs, float(budget), w)[0] for budget in budgets]
    return BudgetCurve(
        kl=np.array([w @ kl_divergence(policy, logs) for policy in policies]),
        claimed=np.array([w @ (expectation(policy, reward) - start) for policy in policies]) / scale,
        judged=np.array([w @ expectation(policy, judge) for policy in policies]),
        win_rate=np.array([w @ expectation(policy, place) for policy in policies]),
        group_utilities=np.stack([utilities.expected(policy) for policy in policies]),
    )
