"""What each group gains or loses under each policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.reports.display import Display, tidy, tidy_legend
from pluralism.reports.palette import INK, group_colour, group_marker
from pluralism.reports.text import label, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy import PolicyComparison

__all__ = ["WelfareDisplay"]


class WelfareDisplay(Display):
    """Gains of groups over the reference policy, one line a policy.

    Parameters
    ----------
    policies, groups : sequence of str
    gain : array of shape (policies, groups)
        Mean utility less that under the reference policy.
    unit : str
        Of the utilities.

    Raises
    ------
    UsageError
        If the gains do not fit the names.
    """

    def __init__(
        self,
        policies: Sequence[str],
        groups: Sequence[str],
        gain: Float[np.ndarray, "policies groups"],
        *,
        unit: str = "gain",
    ) -> None:
        self.policies, self.groups, self.unit = list(policies), list(groups), unit
        self.gain = np.asarray(gain, dtype=np.float64)
        if self.gain.shape != (len(self.policies), len(self.groups)):
            raise UsageError(
                f"Gains of shape {self.gain.shape} do not fit {len(self.policies)} policies and {len(self.groups)} "
                "groups.",
                fix="Give one gain for each policy and group.",
            )

    @classmethod
    def from_comparison(cls, comparison: PolicyComparison, *, groups: Sequence[str] | None = None) -> Self:
        """Of `pluralism.policy.compare_policies`; `groups` may name the groups for people."""
        return cls(
            list(comparison.policies),
            comparison.utilities.groups if groups is None else groups,
            comparison.group_utilities - comparison.reference_utilities,
            unit=comparison.utilities.unit,
        )

    def describe(self) -> str:
        """All gains in words."""
        parts = [
            f"{name}: " + ", ".join(f"{group} {signed(value)}" for group, value in zip(self.groups, row, strict=True))
            for name, row in zip(self.policies, self.gain, strict=True)
        ]
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a line for each policy, from its worst to its best group, with a marker for each group."""
        n = len(self.policies)
        ax = self._start(ax, 5.6, 1.15 + 0.36 * n)
        place = np.arange(n)
        ax.hlines(place, self.gain.min(axis=1), self.gain.max(axis=1), colors=INK, linewidth=1.2, alpha=0.35)
        for k, name in enumerate(self.groups):
            ax.plot(
                self.gain[:, k],
                place,
                group_marker(k),
                color=group_colour(k),
                markersize=6,
                markeredgewidth=0,
                label=label(name, 24),
            )
        ax.axvline(0, color=INK, linewidth=0.8, alpha=0.6, linestyle=(0, (4, 3)))
        ax.set_yticks(place, [label(name, 26) for name in self.policies])
        ax.set_ylim(n - 0.5, -0.5)
        tidy(ax, grid="x", xlabel=f"mean utility over the reference, {self.unit}")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        # Long names would push the axes aside.
        columns = 4 if sum(len(label(name, 24)) for name in self.groups) <= 48 else 2
        tidy_legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=min(len(self.groups), columns))
        return self
