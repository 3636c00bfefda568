"""Reliability diagram: how often people choose what the model favours, against how sure it says it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from pluralism.calibration import ReliabilityCurve, reliability_curve
from pluralism.errors import UsageError
from pluralism.reports.display import FONT_SIZE, Display, tidy
from pluralism.reports.palette import FOCUS, INK
from pluralism.reports.text import counted, label, number, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.data import Comparisons
    from pluralism.evaluation import Evaluation
    from pluralism.models import PreferenceModel

__all__ = ["ReliabilityDisplay"]

FEW = 0.01


class ReliabilityDisplay(Display):
    """Observed share of hits in bins of confidence, with Wilson intervals, and how many rows each bin has.

    Parameters
    ----------
    curve : ReliabilityCurve
    name : str
        Of the model.
    null_band : (low, high), optional
        ECE of a perfectly calibrated model on such a sample.
    colour : str
        Any colour that matplotlib knows.
    """

    def __init__(
        self,
        curve: ReliabilityCurve,
        *,
        name: str = "",
        null_band: tuple[float, float] | None = None,
        colour: str = FOCUS,
    ) -> None:
        self.curve, self.name, self.null_band, self.colour = curve, name, null_band, colour

    @classmethod
    def from_evaluation(cls, evaluation: Evaluation, *, name: str = "", colour: str = FOCUS) -> Self:
        """The curve of an evaluation.

        Raises
        ------
        UsageError
            If it has no decided rows.
        """
        if evaluation.reliability is None:
            raise UsageError("The evaluation has no decided rows.", fix="Evaluate on rows that are not all ties.")
        band = (evaluation.ece_null_low, evaluation.ece_null_high)
        return cls(evaluation.reliability, name=name, null_band=band, colour=colour)

    @classmethod
    def from_predictions(cls, p: ArrayLike, y: ArrayLike, *, n_bins: int = 15, name: str = "") -> Self:
        """The curve of predicted probabilities and outcomes; see `pluralism.calibration.reliability_curve`."""
        return cls(reliability_curve(p, y, n_bins=n_bins), name=name)

    @classmethod
    def from_model(cls, model: PreferenceModel, test: Comparisons, *, n_bins: int = 15) -> Self:
        """The curve of a fitted model on decided rows it was not fitted to."""
        rows = test.take((test.outcome != 0.5) & (test.weight > 0))
        return cls(
            reliability_curve(model.predict_proba(rows), rows.outcome, n_bins=n_bins, weight=rows.weight),
            name=type(model).__name__,
        )

    def describe(self) -> str:
        """The calibration error, and how it compares with chance."""
        curve, full = self.curve, np.flatnonzero(self.curve.count)
        band = ""
        if self.null_band is not None:
            band = f" (a perfectly calibrated model: {number(self.null_band[0])} to {number(self.null_band[1])})"
        bins = "; ".join(
            f"stated {percent(curve.confidence[b])}, observed {percent(curve.observed[b])} of {curve.count[b]:,}"
            for b in full
        )
        of = f"{self.name}: " if self.name else ""
        return (
            f"{of}expected calibration error {number(curve.ece)}{band} on "
            f"{counted(int(curve.count.sum()), 'judgement')}. {bins}."
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the curve, the diagonal of perfect calibration, and the sizes of the bins along the bottom.

        Bins with less than one row in a hundred are hollow, and do not stretch the axis.
        """
        ax = self._start(ax, 4.0, 3.7)
        curve, full = self.curve, np.flatnonzero(self.curve.count)
        stated, observed = 100 * curve.confidence[full], 100 * curve.observed[full]
        low, high = 100 * curve.low[full], 100 * curve.high[full]
        firm = curve.count[full] >= FEW * curve.count.sum()
        floor = min(50.0, 10 * np.floor(low[firm].min() / 10)) if firm.any() else 50.0
        room = 0.16 * (100 - floor)
        share = curve.count[full] / max(int(curve.count.max()), 1)
        left, width = 100 * curve.edges[full], 100 * np.diff(curve.edges)[full]
        ax.bar(
            left, room * share, width=0.9 * width, bottom=floor - room, align="edge", color=INK, alpha=0.22, linewidth=0
        )
        ax.plot([50, 100], [50, 100], color=INK, alpha=0.5, linewidth=1.0, linestyle=(0, (4, 3)))
        ax.vlines(stated, np.maximum(low, floor), high, colors=self.colour, linewidth=1.6, alpha=0.55)
        ax.plot(stated[firm], observed[firm], "o-", color=self.colour, markersize=4.5, linewidth=1.2)
        seen = ~firm & (observed >= floor)
        ax.plot(stated[seen], observed[seen], "o", color=self.colour, markersize=4.5, markerfacecolor="none")
        ax.set_xlim(49, 101)
        ax.set_ylim(floor - room, 102)
        ax.set_yticks(np.arange(floor, 101, 10))
        said = f"ECE {number(curve.ece)}"
        if self.null_band is not None:
            said += f"\nif calibrated: {number(self.null_band[0])} to {number(self.null_band[1])}"
        ax.annotate(said, (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=FONT_SIZE, color=INK)
        tidy(
            ax,
            grid="both",
            xlabel="the model's confidence, %",
            ylabel="share of people who agree, %",
            title=label(self.name),
        )
        return self
