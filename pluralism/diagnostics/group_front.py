"""Which policies no other one dominates, by the utility of every group: Pareto fronts with intervals over prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table
from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_numbers
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, FONT_SIZE, INK, POOLED, own_axes, tidy
from pluralism.models.pareto import Front, front_of_means
from pluralism.random import RNG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy.finite_policy import FinitePolicy
    from pluralism.social_choice.utilities import Utilities

__all__ = ["UtilityFront", "utility_front", "utility_front_of_values"]


@dataclass(frozen=True, eq=False, repr=False)
class UtilityFront(InstrumentResult):
    """Mean utilities of groups under several policies, and the front.

    Attributes
    ----------
    policies : tuple of str
    front : Front
        Its `attributes` are the groups, and its rows the policies: `mean, low, high, on_front`, and the hypervolume of
        what the policies dominate above the reference, with its interval.
    """

    policies: tuple[str, ...]
    front: Front

    def to_frame(self) -> pa.Table:
        """One row a policy: `policy, on_front`, and for each group its mean utility with the interval."""
        columns: dict[str, Any] = {"policy": list(self.policies), "on_front": self.front.on_front}
        for k, group in enumerate(self.front.attributes):
            for suffix, values in (("", self.front.mean), ("_low", self.front.low), ("_high", self.front.high)):
                columns[f"utility_{group}{suffix}"] = values[:, k]
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The hypervolume with its interval, the reference, and the rows of `to_frame`."""
        return {
            "groups": self.front.attributes,
            "reference": self.front.reference,
            "hypervolume": self.front.hypervolume,
            "hypervolume_interval": [self.front.hypervolume_low, self.front.hypervolume_high],
            "prompts": self.front.n_pools,
            "rows": self.to_frame().to_pylist(),
        }

    def __repr__(self) -> str:
        front = self.front
        columns: dict[str, Any] = {"policy": ["reference", *self.policies]}
        for k, group in enumerate(front.attributes):
            columns[group] = [front.reference[k], *front.mean[:, k]]
        columns["front"] = ["", *("yes" if kept else "" for kept in front.on_front)]
        over = f"{front.n_pools:,} prompt{'s' * (front.n_pools != 1)}"
        return (
            f"UtilityFront over {over}: hypervolume {front.hypervolume:.3f} "
            f"[{front.hypervolume_low:.3f}, {front.hypervolume_high:.3f}]\n{format_table(columns, digits=3)}"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw two groups as a plane with the front through it, more groups as one line for each policy."""
        ax = own_axes(ax, 5.2, 3.8)
        if len(self.front.attributes) == 2:
            self._plot_plane(ax)
        else:
            self._plot_lines(ax)
        return ax

    def _plot_plane(self, ax: Axes) -> None:
        front = self.front
        x, y = front.mean.T
        order = np.flatnonzero(front.on_front)[np.argsort(x[front.on_front])]
        ax.plot(x[order], y[order], color=FOCUS, linewidth=1.0, alpha=0.6)
        ax.plot(*front.reference, "x", color=INK, markersize=6)
        for kept, colour, marker in ((True, FOCUS, "o"), (False, POOLED, "D")):
            rows = np.flatnonzero(front.on_front == kept)
            if not np.isnan(front.low).any():
                ax.hlines(y[rows], front.low[rows, 0], front.high[rows, 0], colors=colour, alpha=0.4, linewidth=1.2)
                ax.vlines(x[rows], front.low[rows, 1], front.high[rows, 1], colors=colour, alpha=0.4, linewidth=1.2)
            ax.plot(x[rows], y[rows], marker, color=colour, markersize=6, markeredgewidth=0)
        names, places = ("reference", *self.policies), (front.reference, *front.mean)
        for name, place in zip(names, places, strict=True):
            ax.annotate(
                name.replace("$", r"\$"), place, xytext=(5, 4), textcoords="offset points", fontsize=FONT_SIZE - 1,
                color=INK,
            )  # fmt: skip
        tidy(ax, grid="both", xlabel=f"utility of {front.attributes[0]}", ylabel=f"utility of {front.attributes[1]}")

    def _plot_lines(self, ax: Axes) -> None:
        front, places = self.front, np.arange(len(self.front.attributes))
        ax.plot(places, front.reference, "x--", color=INK, markersize=5, linewidth=0.9)
        for values, kept in zip(front.mean, front.on_front, strict=True):
            ax.plot(
                places, values, "o-" if kept else "D-", color=FOCUS if kept else POOLED, markersize=4, linewidth=1.2
            )
        for name, values in zip(("reference", *self.policies), (front.reference, *front.mean), strict=True):
            ax.annotate(
                name.replace("$", r"\$"), (places[-1], values[-1]), xytext=(6, 0), textcoords="offset points",
                va="center", fontsize=FONT_SIZE - 1, color=INK,
            )  # fmt: skip
        ax.set_xticks(places, list(front.attributes))
        tidy(ax, grid="y", ylabel="utility")


def utility_front(
    policies: Mapping[str, FinitePolicy],
    *,
    utilities: Utilities | None = None,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> UtilityFront:
    """The front of policies on finite candidates, above their reference policy.

    Parameters
    ----------
    policies : mapping of str to FinitePolicy
        On the same candidates.
    utilities : Utilities, optional
        By what to judge them; left out, those of the first policy.
    n_bootstrap, level, rng
        Interval over prompts.

    Raises
    ------
    UsageError
        If there is no policy, policies have other candidates than the utilities, or the level is no coverage.

    Examples
    --------
    >>> from pluralism.policy import kl_optimal, maxmin
    >>> from pluralism.social_choice import Utilities
    >>> made = Utilities(np.random.default_rng(0).normal(size=(30, 6, 2)), shares=[0.8, 0.2]).to_unit("gain")
    >>> found = utility_front({"by shares": kl_optimal(made, beta=0.5), "maxmin": maxmin(made, beta=0.5)})
    >>> found.front.on_front.tolist(), found.front.hypervolume_low > 0
    ([True, True], True)
    """
    from pluralism.policy.comparison import compare_policies

    by = compare_policies(policies, utilities=utilities).utilities
    taken = {name: np.einsum("xy,xyk->xk", policy.probs, by.values) for name, policy in policies.items()}
    start = np.einsum("xy,xyk->xk", np.exp(by.log_reference), by.values)
    return utility_front_of_values(
        taken,
        groups=by.groups,
        reference=by.prompt_weights @ start,
        weights=by.prompt_weights,
        n_bootstrap=n_bootstrap,
        level=level,
        rng=rng,
    )


def utility_front_of_values(
    values: Mapping[str, ArrayLike],
    *,
    groups: Sequence[str],
    reference: ArrayLike,
    weights: ArrayLike | None = None,
    n_bootstrap: int = 500,
    level: float = 0.95,
    rng: RNG = 0,
) -> UtilityFront:
    """The front from utilities by prompt: those of finite policies, or a judge's means over a model's answers.

    Parameters
    ----------
    values : mapping of str to array of shape (prompts, groups)
        Of each policy, on the same prompts.
    groups : sequence of str
    reference : array of shape (groups,)
        Utilities to be above, such as those of the policy that training started from. The intervals take them as known:
        give gains over that policy, and zeros here, for intervals of the gains.
    weights : array of shape (prompts,), optional
        Of the prompts in all means, at least 0; left out, all count the same.
    n_bootstrap, level, rng
        Interval over prompts.

    Raises
    ------
    DataError
        If the arrays do not fit each other or are not finite.
    UsageError
        If the level is no coverage.
    """
    if not 0 < level < 1:
        raise UsageError(f"level={level!r} is no coverage.", fix="Pass level=0.95.")
    arrays = [np.asarray(each, dtype=np.float64) for each in values.values()]
    above = np.asarray(reference, dtype=np.float64)
    fits = arrays and all(each.ndim == 2 and each.shape == arrays[0].shape and each.size for each in arrays)
    if not fits or arrays[0].shape[1] != len(groups) or above.shape != (len(groups),):
        raise DataError("Values, groups and the reference do not fit.", fix="Give (prompts, groups) for each policy.")
    taken = np.stack(arrays)
    if not (np.isfinite(taken).all() and np.isfinite(above).all()):
        raise DataError("A utility is NaN or infinite.", fix="Leave such prompts out.")
    each = np.ones(taken.shape[1]) if weights is None else as_numbers(weights, "weights", taken.shape[1:2])
    if (each < 0).any() or not each.any():
        raise DataError("weights are at least 0, not all 0.", fix="Give one for each prompt.")
    front = front_of_means(
        taken,
        directions=np.empty((len(taken), 0)),
        attributes=[str(group) for group in groups],
        reference=above,
        weights=each,
        n_bootstrap=n_bootstrap,
        level=level,
        rng=rng,
    )
    return UtilityFront(tuple(values), front)
