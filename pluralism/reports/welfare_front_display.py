"""Mean welfare against the worst group's: which policies no other one dominates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Bool, Float

from pluralism.errors import UsageError
from pluralism.reports.display import FONT_SIZE, Display, tidy
from pluralism.reports.palette import FOCUS, INK, POOLED
from pluralism.reports.text import label, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy import PolicyComparison

__all__ = ["WelfareFrontDisplay"]


class WelfareFrontDisplay(Display):
    """Policies by the mean utility over all people and by that of the group that has least.

    Parameters
    ----------
    policies : sequence of str
    mean, worst : arrays of shape (policies,)
    on_front : bool array of shape (policies,)
        Whether no other policy dominates it.
    unit : str
        Of the utilities.

    Raises
    ------
    UsageError
        If the values do not fit the names.
    """

    def __init__(
        self,
        policies: Sequence[str],
        mean: Float[np.ndarray, " policies"],
        worst: Float[np.ndarray, " policies"],
        on_front: Bool[np.ndarray, " policies"],
        *,
        unit: str = "gain",
    ) -> None:
        self.policies, self.unit = list(policies), unit
        self.mean, self.worst = np.asarray(mean, dtype=np.float64), np.asarray(worst, dtype=np.float64)
        self.on_front = np.asarray(on_front, dtype=bool)
        if not self.mean.shape == self.worst.shape == self.on_front.shape == (len(self.policies),):
            raise UsageError("The values do not fit the names of policies.", fix="Give one value for each policy.")

    @classmethod
    def from_comparison(cls, comparison: PolicyComparison) -> Self:
        """Of `pluralism.policy.compare_policies`."""
        return cls(
            list(comparison.policies),
            comparison.mean,
            comparison.worst,
            comparison.on_front,
            unit=comparison.utilities.unit,
        )

    def describe(self) -> str:
        """All points in words, those on the front first."""
        order = np.argsort(~self.on_front, kind="stable")
        parts = [
            f"{self.policies[i]}: mean {signed(self.mean[i])}, worst group {signed(self.worst[i])}"
            + (" (on the front)" if self.on_front[i] else "")
            for i in order
        ]
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a point for each policy, and the front through those that nothing dominates."""
        ax = self._start(ax, 5.6, 3.6)
        front = np.flatnonzero(self.on_front)
        front = front[np.argsort(self.mean[front])]
        ax.plot(self.mean[front], self.worst[front], color=FOCUS, linewidth=1.0, alpha=0.6)
        for kept, colour, marker in ((True, FOCUS, "o"), (False, POOLED, "D")):
            rows = np.flatnonzero(self.on_front == kept)
            ax.plot(self.mean[rows], self.worst[rows], marker, color=colour, markersize=6, markeredgewidth=0)
        # names of points in the same place would hide each other
        places: dict[tuple[float, float], list[str]] = {}
        for name, x, y in zip(self.policies, self.mean, self.worst, strict=True):
            places.setdefault((round(float(x), 3), round(float(y), 3)), []).append(name)
        middle = 0.5 * (self.mean.min() + self.mean.max())
        for i, ((x, y), names) in enumerate(sorted(places.items())):
            left = x > middle
            ax.annotate(
                label(", ".join(names), 34),
                (x, y),
                xytext=(-7 if left else 7, (5, -12)[i % 2]),
                textcoords="offset points",
                ha="right" if left else "left",
                fontsize=FONT_SIZE - 1,
                color=INK,
            )
        ax.margins(0.14)
        tidy(
            ax,
            grid="both",
            xlabel=f"mean over all people ({self.unit})",
            ylabel=f"group that has least ({self.unit})",
        )
        return self
