"""One reward for everybody against a reward for each group: who gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np

from pluralism.errors import UsageError
from pluralism.reports.display import Display, tidy, tidy_legend
from pluralism.reports.palette import FOCUS, INK, POOLED
from pluralism.reports.text import label, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pluralism.evaluation import Evaluation

__all__ = ["ComparisonDisplay"]

_COLOURS = (POOLED, FOCUS, "#d55e00", "#00926b", "#7a5195")
_MARKERS = ("D", "o", "s", "^", "v")


class ComparisonDisplay(Display):
    """Accuracy of models, for everyone and for each group, with intervals.

    Parameters
    ----------
    lines : sequence of str
        What accuracies are of, top to bottom: "Everyone", a group, ...
    values : mapping of str to sequence of (accuracy, low, high)
        For each model, one triple a line; NaN where there is none.

    Raises
    ------
    UsageError
        If a model does not have a triple for each line.
    """

    def __init__(self, lines: Sequence[str], values: Mapping[str, Sequence[tuple[float, float, float]]]) -> None:
        self.lines = list(lines)
        self.values = {name: np.asarray(rows, dtype=np.float64).reshape(-1, 3) for name, rows in values.items()}
        for name, rows in self.values.items():
            if len(rows) != len(self.lines):
                raise UsageError(
                    f"Model {name!r} has {len(rows)} values for {len(self.lines)} lines.", fix="Give one for each line."
                )

    @classmethod
    def from_evaluations(cls, evaluations: Mapping[str, Evaluation]) -> Self:
        """Evaluations of models on the same rows by the same groups; name the pooled model first.

        Raises
        ------
        UsageError
            If there is no evaluation, or their groups differ.
        """
        if not evaluations:
            raise UsageError("There are no evaluations to compare.", fix='Pass {"one reward": ..., "groups": ...}.')
        first = next(iter(evaluations.values()))
        groups = [score.name for score in first.groups]
        values = {}
        for name, evaluation in evaluations.items():
            if [score.name for score in evaluation.groups] != groups:
                raise UsageError(
                    "The evaluations are by different groups.",
                    fix="Evaluate all models with the same groups=, such as groups='data'.",
                )
            rows = [(evaluation.accuracy, *evaluation.intervals["accuracy"])]
            rows += [(score.accuracy, *score.intervals["accuracy"]) for score in evaluation.groups]
            rows += [(evaluation.p10_user_accuracy, *evaluation.intervals["p10_user_accuracy"])]
            values[name] = rows
        return cls(["Everyone", *groups, "Tenth-percentile person"], values)

    def describe(self) -> str:
        """All accuracies in words."""
        parts = [
            f"{line}: " + ", ".join(f"{name} {percent(rows[i, 0], 1)}" for name, rows in self.values.items())
            for i, line in enumerate(self.lines)
        ]
        return "; ".join(parts) + "."

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw one line for each group, with a marker and an interval for each model."""
        n, n_models = len(self.lines), len(self.values)
        ax = self._start(ax, 5.4, 1.15 + 0.42 * n)
        step = 0.3 if n_models <= 2 else 0.7 / n_models
        for m, (name, rows) in enumerate(self.values.items()):
            place = np.arange(n) + (m - (n_models - 1) / 2) * step
            colour = _COLOURS[m % len(_COLOURS)]
            ax.hlines(place, 100 * rows[:, 1], 100 * rows[:, 2], colors=colour, linewidth=2.0, alpha=0.55)
            ax.plot(
                100 * rows[:, 0],
                place,
                _MARKERS[m % len(_MARKERS)],
                color=colour,
                markersize=5.5,
                markeredgewidth=0,
                label=label(name, 30),
            )
        ax.axvline(50, color=INK, linewidth=0.8, alpha=0.6, linestyle=(0, (4, 3)))
        ax.set_yticks(np.arange(n), [label(line, 26) for line in self.lines])
        ax.set_ylim(n - 0.5, -0.5)
        tidy(ax, grid="x", xlabel="choices predicted, % (dashed: a coin; lines: 95 % intervals)")
        ax.spines["left"].set_visible(False)
        ax.tick_params(axis="y", length=0)
        tidy_legend(ax, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=n_models)
        return self
