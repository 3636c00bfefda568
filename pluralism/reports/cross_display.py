"""Who prefers what was made for whom: win rates of conditions, judged by each group."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import UsageError
from pluralism.reports.display import FONT_SIZE, Display, tidy
from pluralism.reports.palette import INK, group_colour
from pluralism.reports.text import label, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy.lm.cross_scoring import CrossScores

__all__ = ["CrossDisplay"]

STRONGEST = 0.75
"""How opaque the cell furthest from one half is."""


class CrossDisplay(Display):
    """A matrix of win rates: a row for each judge, a column for each condition, what was made for the judge framed.

    Parameters
    ----------
    groups, conditions : sequence of str
    win_rate : array of shape (groups, conditions)
        Against the reference, in [0, 1].
    made_for : int array of shape (conditions,)
        The group that each condition was made for; -1 for all.

    Raises
    ------
    UsageError
        If win rates do not fit the names.
    """

    def __init__(
        self,
        groups: Sequence[str],
        conditions: Sequence[str],
        win_rate: Float[np.ndarray, "groups conditions"],
        made_for: Int[np.ndarray, " conditions"],
    ) -> None:
        self.groups, self.conditions = list(groups), list(conditions)
        self.win_rate, self.made_for = np.asarray(win_rate, dtype=np.float64), np.asarray(made_for)
        if self.win_rate.shape != (len(self.groups), len(self.conditions)) or len(self.made_for) != len(conditions):
            raise UsageError(
                f"Win rates of shape {self.win_rate.shape} do not fit {len(self.groups)} groups and "
                f"{len(self.conditions)} conditions.",
                fix="Give one for each group and condition.",
            )

    @classmethod
    def from_scores(cls, scores: CrossScores, method: str, *, groups: Sequence[str] | None = None) -> Self:
        """Of one method, in the order of the groups; `groups` may name these for people."""
        names = list(scores.groups if groups is None else groups)
        columns = scores.columns(method)
        columns = columns[np.argsort(scores.made_for[columns], kind="stable")]
        whose = scores.made_for[columns]
        called = [method if g < 0 else f"for {names[g]}" for g in whose]
        return cls(names, called, scores.win_rate[:, columns], whose)

    def describe(self) -> str:
        """All win rates in words."""
        parts = [
            f"{group}: " + ", ".join(f"{name} {number(x, 2)}" for name, x in zip(self.conditions, row, strict=True))
            for group, row in zip(self.groups, self.win_rate, strict=True)
        ]
        return "Win rates against the reference by judge. " + "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the matrix; blue is preferred to the reference, orange is not."""
        from matplotlib.patches import Rectangle

        k, n = self.win_rate.shape
        ax = self._start(ax, 1.9 + 0.86 * n, 1.1 + 0.46 * k)
        scale = max(float(np.abs(self.win_rate - 0.5).max()), 1e-9)
        for g in range(k):
            for c in range(n):
                away = self.win_rate[g, c] - 0.5
                colour = group_colour(0) if away > 0 else group_colour(1)
                shade = STRONGEST * abs(away) / scale * min(1.0, scale / 0.25)
                ax.add_patch(Rectangle((c, g), 1, 1, facecolor=colour, alpha=shade, linewidth=0))
                own = self.made_for[c] == g
                if own:
                    ax.add_patch(Rectangle((c + 0.03, g + 0.04), 0.94, 0.92, fill=False, edgecolor=INK, linewidth=1.4))
                ax.text(
                    c + 0.5,
                    g + 0.5,
                    number(self.win_rate[g, c], 2),
                    ha="center",
                    va="center",
                    fontsize=FONT_SIZE,
                    fontweight="bold" if own else "normal",
                    color=INK,
                )
        ax.set_xlim(0, n)
        ax.set_ylim(k, 0)
        # Two lines, so that names of neighbours do not meet.
        lines = ["\n".join(wrap(label(name, 28), 14)) for name in self.conditions]
        ax.set_xticks(np.arange(n) + 0.5, lines)
        ax.set_yticks(np.arange(k) + 0.5, [label(name, 24) for name in self.groups])
        ax.xaxis.tick_top()
        tidy(ax)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.tick_params(length=0)
        return self
