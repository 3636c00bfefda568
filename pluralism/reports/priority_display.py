"""Priorities of principles, by annotator, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.reports.display import Display, tidy, tidy_legend
from pluralism.reports.palette import group_colour, group_marker
from pluralism.reports.text import interval, label, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.discretion import DiscretionAudit

__all__ = ["PriorityDisplay"]


class PriorityDisplay(Display):
    """Weights of principles, one line a principle and one mark an annotator; the first annotator orders the lines.

    Parameters
    ----------
    principles, annotators : sequence of str
    weight : array of shape (annotators, principles)
        In logits; NaN where a principle was not contested.
    span : array of shape (annotators, principles, 2)
        Intervals; NaN where there are none.

    Raises
    ------
    UsageError
        If the weights do not fit the names.
    """

    def __init__(
        self,
        principles: Sequence[str],
        annotators: Sequence[str],
        weight: Float[np.ndarray, "annotators principles"],
        span: Float[np.ndarray, "annotators principles two"],
    ) -> None:
        self.principles, self.annotators = list(principles), list(annotators)
        self.weight, self.span = np.asarray(weight, dtype=np.float64), np.asarray(span, dtype=np.float64)
        if (
            self.weight.shape != (len(self.annotators), len(self.principles))
            or self.span.shape[:2] != self.weight.shape
        ):
            raise UsageError(
                f"Weights of shape {self.weight.shape} do not fit {len(self.annotators)} annotators and "
                f"{len(self.principles)} principles.",
                fix="Give one weight for each annotator and principle.",
            )

    @classmethod
    def from_audit(cls, audit: DiscretionAudit, *, titles: Sequence[str] | None = None) -> Self:
        """Of an audit; `titles` may name the principles for people."""
        return cls(
            audit.principles if titles is None else titles,
            audit.names,
            np.stack([priority.weight for priority in audit.priority]),
            np.stack([priority.interval for priority in audit.priority]),
        )

    @property
    def order(self) -> list[int]:
        """Principles from the heaviest to the lightest of the first annotator, those not contested last."""
        return np.argsort(-np.nan_to_num(self.weight[0], nan=-np.inf), kind="stable").tolist()

    def describe(self) -> str:
        """All weights in words."""
        parts = []
        for a, name in enumerate(self.annotators):
            said = [
                f"{self.principles[k]} {signed(self.weight[a, k])}"
                + (f" ({span})" if (span := interval(float(self.span[a, k, 0]), float(self.span[a, k, 1]), 2)) else "")
                for k in self.order
                if not np.isnan(self.weight[a, k])
            ]
            parts.append(f"{name}: {', '.join(said) or 'nothing contested'}")
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the marks, with a line for each interval."""
        n, a = self.weight.shape[1], len(self.annotators)
        ax = self._start(ax, 5.8, 1.2 + n * (0.2 + 0.09 * a))
        offset = (np.arange(a) - (a - 1) / 2.0) * min(0.16, 0.7 / max(a, 1))
        place = np.arange(n)
        for k, name in enumerate(self.annotators):
            value, (low, high) = self.weight[k, self.order], self.span[k, self.order].T
            ax.hlines(place + offset[k], low, high, colors=group_colour(k), linewidth=1.2, alpha=0.55)
            ax.plot(
                value,
                place + offset[k],
                group_marker(k),
                color=group_colour(k),
                markersize=5,
                markeredgewidth=0,
                linestyle="none",
                label=label(name, 28),
            )
        ax.axvline(0.0, linewidth=0.8, alpha=0.5, color="#808891")
        ax.set_yticks(place, [label(self.principles[k], 30) for k in self.order])
        ax.set_ylim(n - 0.4, -0.6)
        tidy(ax, grid="x", xlabel="priority (logits): right comes first in a conflict")
        ax.tick_params(axis="y", length=0)
        tidy_legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=min(a, 3))
        return self
