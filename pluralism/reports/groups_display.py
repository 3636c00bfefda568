"""How large each group is, with credible intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.reports.display import FONT_SIZE, Display, tidy
from pluralism.reports.palette import INK, group_colour, group_name
from pluralism.reports.text import interval, label, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pluralism.models import PreferenceModel

__all__ = ["GroupsDisplay"]


class GroupsDisplay(Display):
    r"""Shares of the groups among the users.

    Parameters
    ----------
    share : array of shape (groups,)
        In [0, 1].
    low, high : arrays of shape (groups,), optional
        Interval of each share.
    names : sequence of str, optional

    Examples
    --------
    >>> GroupsDisplay([0.7, 0.3]).describe()
    'Group A: 70\xa0%; Group B: 30\xa0%.'
    """

    def __init__(
        self,
        share: Float[np.ndarray, " groups"] | Sequence[float],
        low: Float[np.ndarray, " groups"] | None = None,
        high: Float[np.ndarray, " groups"] | None = None,
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        self.share = np.asarray(share, dtype=np.float64)
        self.low, self.high = low, high
        self.names = list(names) if names is not None else [group_name(k) for k in range(len(self.share))]
        if len(self.names) != len(self.share):
            raise UsageError(
                f"There are {len(self.names)} names for {len(self.share)} groups.", fix="Give one name for each group."
            )

    @classmethod
    def from_model(cls, model: PreferenceModel, *, level: float = 0.95) -> Self:
        """Shares and intervals of a fitted model's groups."""
        bounds = model.group_weight_intervals(level) if hasattr(model, "group_weight_intervals") else None
        low, high = (None, None) if bounds is None else bounds.T
        return cls(model.group_weights_, low, high)

    def describe(self) -> str:
        """Each group's share in words."""
        parts = []
        for k, name in enumerate(self.names):
            bounds = ""
            if self.low is not None and self.high is not None:
                bounds = f" ({interval(self.low[k], self.high[k], 0, of_percent=True)})"
            parts.append(f"{name}: {percent(self.share[k])}{bounds}")
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a bar for each group, the first on top, with its interval."""
        n = len(self.share)
        ax = self._start(ax, 5.0, 0.75 + 0.42 * n)
        place = np.arange(n)
        ax.barh(place, 100 * self.share, height=0.62, color=[group_colour(k) for k in range(n)])
        reach = self.share if self.high is None else np.maximum(self.share, self.high)
        if self.low is not None and self.high is not None:
            ax.hlines(place, 100 * self.low, 100 * self.high, colors=INK, linewidth=1.4)
        for k in place:
            ax.annotate(
                percent(self.share[k]),
                (100 * reach[k], k),
                xytext=(6, 0),
                textcoords="offset points",
                va="center",
                fontsize=FONT_SIZE,
                color=INK,
            )
        ax.set_yticks(place, [label(name, 24) for name in self.names])
        ax.set_ylim(n - 0.45, -0.55)
        ax.set_xlim(0, min(100.0, 112 * float(reach.max())) * 1.08)
        tidy(ax, grid="x", xlabel="share of the people, %" + ("" if self.low is None else "; lines: 95 % intervals"))
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        return self
