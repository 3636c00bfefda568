"""How fast a new person is understood."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from pluralism.errors import UsageError
from pluralism.reports.display import Display, tidy, tidy_legend
from pluralism.reports.palette import FOCUS, INK
from pluralism.reports.text import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.data import Comparisons
    from pluralism.evaluation import FewShotCurve
    from pluralism.models import PreferenceModel

__all__ = ["FewShotDisplay"]


class FewShotDisplay(Display):
    """A score of unseen people against the number of answers that placed them.

    Parameters
    ----------
    curve : FewShotCurve
    metric : {"accuracy", "nll"}
    """

    def __init__(self, curve: FewShotCurve, *, metric: Literal["accuracy", "nll"] = "accuracy") -> None:
        if metric not in ("accuracy", "nll"):
            raise UsageError(f"There is no few-shot curve of {metric!r}.", fix='Choose "accuracy" or "nll".')
        self.curve, self.metric = curve, metric

    @classmethod
    def from_model(cls, model: PreferenceModel, comparisons: Comparisons, *, rng: int = 0) -> Self:
        """The curve of a fitted model on users it has not seen; see `pluralism.evaluation.few_shot_curve`."""
        from pluralism.evaluation import few_shot_curve

        return cls(few_shot_curve(model, comparisons, rng=rng))

    @property
    def control(self) -> float:
        """The score of one reward for everybody; NaN where there is none."""
        return float(self.curve.control_accuracy if self.metric == "accuracy" else self.curve.control_nll)

    def describe(self) -> str:
        """The curve in words."""
        values = self.curve.accuracy if self.metric == "accuracy" else self.curve.nll
        points = "; ".join(f"{n} answers: {number(v)}" for n, v in zip(self.curve.shots, values, strict=True))
        one = "" if np.isnan(self.control) else f"; one reward for everybody: {number(self.control)}"
        return f"{self.metric.capitalize()} of {self.curve.users:,} unseen people. {points}{one}."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve with its interval; answers are spaced evenly, not to scale."""
        ax = self._start(ax, 4.8, 3.2)
        curve, scale = self.curve, 100.0 if self.metric == "accuracy" else 1.0
        value = scale * (curve.accuracy if self.metric == "accuracy" else curve.nll)
        bounds = scale * (curve.accuracy_interval if self.metric == "accuracy" else curve.nll_interval)
        place = np.arange(len(curve.shots))
        ax.fill_between(place, bounds[:, 0], bounds[:, 1], color=FOCUS, alpha=0.18, linewidth=0)
        ax.plot(place, value, "o-", color=FOCUS, markersize=5, linewidth=1.6, label="placed by these answers")
        if not np.isnan(self.control):
            ax.axhline(
                scale * self.control, color=INK, alpha=0.6, linewidth=1.2, linestyle=(0, (4, 3)), label="one reward"
            )
        ax.set_xticks(place, [str(n) for n in curve.shots])
        ax.set_xlim(-0.25, len(place) - 0.75)
        name = "choices predicted, %" if self.metric == "accuracy" else "nats a choice (lower is better)"
        tidy(ax, grid="y", xlabel="answers given by a new person", ylabel=name)
        tidy_legend(ax, loc="lower right" if self.metric == "accuracy" else "upper right")
        return self
