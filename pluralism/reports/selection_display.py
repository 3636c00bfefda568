"""How well each number of groups predicts people who were left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from pluralism.errors import UsageError
from pluralism.reports.display import FONT_SIZE, Display, tidy
from pluralism.reports.palette import FOCUS, INK
from pluralism.reports.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.models import PreferenceModel

__all__ = ["SelectionDisplay"]


class SelectionDisplay(Display):
    """Held-out log-likelihood an answer against the number of groups.

    Parameters
    ----------
    rows : sequence of mappings
        Rows of `MixtureBradleyTerry.selection_`: `n_groups`, `held_out`, `se_to_best`, `chosen`.
    """

    def __init__(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows = list(rows)

    @classmethod
    def from_model(cls, model: PreferenceModel) -> Self:
        """The table of a model fitted with ``n_groups="auto"``.

        Raises
        ------
        UsageError
            If the number of groups was given.
        """
        rows = getattr(model, "selection_", None)
        if not rows:
            raise UsageError("The number of groups was given, not chosen.", fix='Fit with n_groups="auto".')
        return cls(rows)

    def describe(self) -> str:
        """The curve in words."""
        points = "; ".join(
            f"{row['n_groups']}: {number(row['held_out'])}{' (chosen)' if row['chosen'] else ''}" for row in self.rows
        )
        return f"Held-out log-likelihood an answer by number of groups. {points}."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve; bars are one standard error of the difference to the best number."""
        ax = self._start(ax, 4.8, 3.0)
        k = np.array([row["n_groups"] for row in self.rows])
        value = np.array([row["held_out"] for row in self.rows])
        error = np.array([row["se_to_best"] for row in self.rows])
        chosen = np.array([bool(row["chosen"]) for row in self.rows])
        ax.vlines(k, value - error, value + error, colors=FOCUS, linewidth=1.6, alpha=0.55)
        ax.plot(k, value, "o-", color=FOCUS, markersize=4.5, linewidth=1.2)
        ax.plot(k[chosen], value[chosen], "o", markersize=11, markerfacecolor="none", markeredgecolor=INK)
        for x, y in zip(k[chosen], value[chosen], strict=True):
            ax.annotate(
                "chosen",
                (x, y),
                xytext=(6, -16),
                textcoords="offset points",
                ha="left",
                fontsize=FONT_SIZE,
                color=INK,
            )
        low, high = float((value - error).min()), float((value + error).max())
        room = 0.12 * max(high - low, 1e-6)
        ax.set_ylim(low - 1.6 * room, high + room)
        ax.set_xticks(k, [str(n) for n in k])
        tidy(ax, grid="y", xlabel="number of groups", ylabel="log-likelihood an answer\n(higher is better)")
        return self
