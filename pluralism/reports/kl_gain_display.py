"""What conditioning brings against how far it goes from the reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from pluralism.reports.display import FONT_SIZE, Display, tidy, tidy_legend
from pluralism.reports.palette import INK, group_colour, group_marker
from pluralism.reports.text import label, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.policy.lm.experiment import ConditioningExperiment

__all__ = ["KLGainDisplay"]

ALL = "all people"
FAR = 10.0
"""Nats beyond which the axis is logarithmic above one nat, so that what is near stays apart."""


class KLGainDisplay(Display):
    """Conditions by KL from the reference, and by the win rate of those whom they were made for.

    Parameters
    ----------
    names : sequence of str
    kl : sequence of float
        In nats; conditions without one (NaN) are left out.
    win_rate : sequence of float
        Of the group that a condition was made for, or of all people.
    low, high : sequence of float
        Its interval.
    made_for : sequence of int
        Groups; -1 for all.
    groups : sequence of str
    bound : sequence of bool
        Whether a KL is what it is at most, and no estimate.
    """

    def __init__(
        self,
        names: Sequence[str],
        kl: Sequence[float],
        win_rate: Sequence[float],
        low: Sequence[float],
        high: Sequence[float],
        made_for: Sequence[int],
        groups: Sequence[str],
        bound: Sequence[bool],
    ) -> None:
        known = [i for i, value in enumerate(kl) if np.isfinite(value)]
        self.rows = [
            (
                names[i],
                float(kl[i]),
                float(win_rate[i]),
                float(low[i]),
                float(high[i]),
                int(made_for[i]),
                bool(bound[i]),
            )
            for i in known
        ]
        self.groups, self.missing = list(groups), [name for i, name in enumerate(names) if i not in known]

    @classmethod
    def from_experiment(cls, found: ConditioningExperiment, *, groups: Sequence[str] | None = None) -> Self:
        """Of all conditions; `groups` may name the groups for people."""
        scores, facts = found.scores, found.facts[1:]
        place = [max(int(g), 0) for g in scores.made_for]
        own = scores.made_for >= 0
        column = np.arange(len(facts))

        def of(table: np.ndarray, together: np.ndarray) -> list[float]:
            return np.where(own, table[place, column], together).tolist()

        nothing = np.full(len(facts), np.nan)
        return cls(
            scores.methods,
            [one.kl_known for one in facts],
            of(scores.win_rate, scores.mean),
            of(scores.low, nothing),
            of(scores.high, nothing),
            scores.made_for.tolist(),
            scores.groups if groups is None else groups,
            [one.kl is None for one in facts],
        )

    def describe(self) -> str:
        """All points in words."""
        if not self.rows:
            return "The KL of no condition is known."
        parts = [
            f"{name} for {ALL if whose < 0 else self.groups[whose]}: "
            f"{'at most ' * bound}{number(kl, 2)} nats, win rate {number(rate, 2)}"
            for name, kl, rate, _, _, whose, bound in self.rows
        ]
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw a point for each condition: its colour is the group, its marker the method; hollow is a bound."""
        ax = self._start(ax, 5.6, 3.6)
        methods = list(dict.fromkeys(row[0] for row in self.rows))
        for name, kl, rate, low, high, whose, bound in self.rows:
            colour = INK if whose < 0 else group_colour(whose)
            if np.isfinite(low) and np.isfinite(high):
                ax.vlines(kl, low, high, colors=colour, linewidth=1.2, alpha=0.45)
            ax.plot(
                kl,
                rate,
                group_marker(methods.index(name)),
                markersize=6.5,
                markerfacecolor="none" if bound else colour,
                markeredgecolor=colour,
                markeredgewidth=1.2 if bound else 0,
            )
        for k, name in enumerate(methods):
            ax.plot([], [], group_marker(k), color=INK, markersize=6, linestyle="none", label=label(name, 24))
        for whose in sorted({row[5] for row in self.rows}):
            called = ALL if whose < 0 else self.groups[whose]
            ax.plot([], [], color=INK if whose < 0 else group_colour(whose), linewidth=3, label=label(called, 24))
        ax.axhline(0.5, color=INK, linewidth=0.8, alpha=0.6, linestyle=(0, (4, 3)))
        far = max((row[1] for row in self.rows), default=0.0) > FAR
        if far:
            ax.set_xscale("symlog", linthresh=1.0)
            ax.xaxis.set_major_formatter("{x:g}")
        # The reference, from which all distances are.
        ax.update_datalim([(0.0, 0.5)])
        ax.margins(0.08)
        measure = "KL from the reference (nats a response" + (", logarithmic above 1)" if far else ")")
        tidy(ax, grid="both", xlabel=measure, ylabel="win rate, judged by those meant")
        if self.rows:
            tidy_legend(ax, loc="center left", bbox_to_anchor=(1.0, 0.5))
        else:
            ax.text(0.5, 0.5, "no KL is known", transform=ax.transAxes, ha="center", fontsize=FONT_SIZE, color=INK)
        return self
