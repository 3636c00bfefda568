"""How certain it is to which group each user belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np

from pluralism.reports.display import FONT_SIZE, Display, tidy, tidy_legend
from pluralism.reports.palette import INK, group_colour, group_name
from pluralism.reports.text import counted, label, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pluralism.models import Membership, PreferenceModel

__all__ = ["MembershipDisplay"]

SURE = 0.9


class MembershipDisplay(Display):
    """Histogram of the users' certainty, the probability of their most likely group, stacked by that group.

    Parameters
    ----------
    membership : Membership
    names : sequence of str, optional
        Of the groups.

    Attributes
    ----------
    edges_ : array of shape (bins + 1,)
    counts_ : int array of shape (groups, bins)
    """

    def __init__(self, membership: Membership, *, names: Sequence[str] | None = None) -> None:
        self.membership = membership
        self.names = list(names) if names is not None else [group_name(k) for k in range(membership.n_groups)]
        # From 1 / groups to 1 in steps of 5 %, or a first step that is shorter.
        start = 1.0 / membership.n_groups
        steps = np.arange(1.0, start + 1e-9, -0.05)[::-1]
        self.edges_ = steps if steps[0] - start < 1e-6 else np.concatenate([[start], steps])
        if len(self.edges_) < 2:
            self.edges_ = np.array([0.95, 1.0])
        place = np.clip(np.searchsorted(self.edges_, membership.certainty, side="right") - 1, 0, len(self.edges_) - 2)
        self.counts_ = np.zeros((membership.n_groups, len(self.edges_) - 1), dtype=np.int64)
        np.add.at(self.counts_, (membership.labels, place), 1)

    @classmethod
    def from_model(cls, model: PreferenceModel) -> Self:
        """Membership of the training users."""
        return cls(model.membership())

    @property
    def sure_share(self) -> float:
        """Share of the users who are placed with at least 90 % certainty."""
        return float(np.mean(self.membership.certainty >= SURE)) if len(self.membership) else float("nan")

    def describe(self) -> str:
        """The share of certain users, in words."""
        if not len(self.membership):
            return "No users."
        return (
            f"{percent(self.sure_share)} of {counted(len(self.membership), 'person', 'people')} are placed with at "
            f"least 90 % certainty; the median certainty is {percent(float(np.median(self.membership.certainty)))}."
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the histogram."""
        ax = self._start(ax, 4.8, 2.9)
        left, width = 100 * self.edges_[:-1], 100 * np.diff(self.edges_)
        bottom = np.zeros(len(left))
        for k, counts in enumerate(self.counts_):
            ax.bar(
                left,
                counts,
                width=0.92 * width,
                bottom=bottom,
                align="edge",
                color=group_colour(k),
                label=label(self.names[k], 24),
            )
            bottom += counts
        ax.set_ylim(0, 1.18 * max(float(bottom.max()), 1.0))
        ax.set_xlim(100 * self.edges_[0] - 1, 101)
        ax.axvline(100 * SURE, color=INK, linewidth=0.8, alpha=0.6, linestyle=(0, (4, 3)))
        ax.annotate(
            f"{percent(self.sure_share)} beyond",
            (100 * SURE, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-5, -3),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=FONT_SIZE,
            color=INK,
        )
        tidy(ax, grid="y", xlabel="certainty of the most likely group, %", ylabel="people")
        if len(self.names) > 1:
            tidy_legend(ax, loc="upper left" if self.sure_share > 0.4 else "upper right", bbox_to_anchor=(0, 0.92))
        return self
