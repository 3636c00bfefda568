"""Likelihoods pushed too far: the entropy and the mass of the likeliest tokens against their band at the start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.diagnostics.instrument_result import InstrumentResult
from pluralism.diagnostics.rows import as_numbers
from pluralism.errors import DataError, UsageError
from pluralism.figures import FOCUS, POOLED, group_colour, own_axes, tidy, tidy_legend

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Alarm", "OverOptimisation", "over_optimisation"]


@dataclass(frozen=True)
class Alarm:
    """A measurement below the band.

    Attributes
    ----------
    step : int
        Of training.
    measure : {"entropy", "mass"}
    value, low : float
        What was measured, and the lower end of the band.
    """

    step: int
    measure: str
    value: float
    low: float


@dataclass(frozen=True, eq=False, repr=False)
class OverOptimisation(InstrumentResult):
    """How the likeliest tokens fared in training.

    Attributes
    ----------
    steps : int array of shape (measurements,)
    entropy, mass : array of shape (measurements,)
        Means over probes; entropy in nats.
    entropy_band, mass_band : (low, high)
        Of the first measurements, widened.
    baseline : int
        How many measurements the bands are of.
    alarms : tuple of Alarm
        The first of each run of measurements below a band.
    """

    steps: Int[np.ndarray, " measurements"]
    entropy: Float[np.ndarray, " measurements"]
    mass: Float[np.ndarray, " measurements"]
    entropy_band: tuple[float, float]
    mass_band: tuple[float, float]
    baseline: int
    alarms: tuple[Alarm, ...]

    def to_frame(self) -> pa.Table:
        """One row a measurement: `step, entropy, mass`, and whether there is an alarm of either."""
        columns: dict[str, Any] = {"step": self.steps, "entropy": self.entropy, "mass": self.mass}
        for name in ("entropy", "mass"):
            raised = [alarm.step for alarm in self.alarms if alarm.measure == name]
            columns[f"{name}_alarm"] = np.isin(self.steps, raised)
        return pa.table(columns)

    def to_dict(self) -> dict[str, Any]:
        """The bands, the alarms, and the rows of `to_frame`."""
        return {
            "entropy_band": self.entropy_band,
            "mass_band": self.mass_band,
            "baseline": self.baseline,
            "alarms": [vars(alarm) for alarm in self.alarms],
            "rows": self.to_frame().to_pylist(),
        }

    def __repr__(self) -> str:
        lines = [
            f"OverOptimisation({len(self.steps)} measurements to step {self.steps[-1]}: "
            f"entropy {self.entropy[-1]:.3f}, band {self.entropy_band[0]:.3f} to {self.entropy_band[1]:.3f}; "
            f"mass {self.mass[-1]:.3f}, band {self.mass_band[0]:.3f} to {self.mass_band[1]:.3f})"
        ]
        lines += [f"step {a.step}: {a.measure} {a.value:.3f} is below {a.low:.3f}" for a in self.alarms]
        return "\n".join(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw both as shares of the middle of their band, the bands, and the alarms."""
        ax = own_axes(ax, 5.2, 3.2)
        shown = (
            ("entropy", self.entropy, self.entropy_band, FOCUS, "o"),
            ("mass", self.mass, self.mass_band, POOLED, "s"),
        )
        for name, values, (low, high), colour, marker in shown:
            # A model that was sure of everything from the start has nothing to be compared with.
            middle = 0.5 * (low + high) or 1.0
            ax.axhspan(low / middle, high / middle, color=colour, alpha=0.12, linewidth=0)
            ax.plot(self.steps, values / middle, marker + "-", color=colour, markersize=3.5, linewidth=1.2, label=name)
            raised = [alarm for alarm in self.alarms if alarm.measure == name]
            ax.plot(
                [alarm.step for alarm in raised],
                [alarm.value / middle for alarm in raised],
                marker,
                color=group_colour(1),
                markersize=8,
                markerfacecolor="none",
                label=f"{name}: alarm" if raised else None,
            )
        ax.set_ylim(bottom=0)
        tidy(ax, grid="y", xlabel="step of training", ylabel="relative to the start")
        tidy_legend(ax, loc="best")
        return ax


def over_optimisation(
    steps: ArrayLike,
    entropy: ArrayLike,
    mass: ArrayLike,
    *,
    baseline: int = 3,
    slack: float = 0.1,
    patience: int = 1,
) -> OverOptimisation:
    """Hold measurements of training against a band from its start [1]_.

    The band is the range of the first measurements, widened on either side by a share of their mean. Falling entropy
    of the likeliest tokens comes before the loss of quality, so it warns; so does mass that leaks to unlikely tokens.

    Parameters
    ----------
    steps : int array of shape (measurements,)
        Rising.
    entropy, mass : array of shape (measurements,)
    baseline : int
        How many of the first measurements make the band.
    slack : float
        At least 0.
    patience : int
        How many measurements in a row must be below the band for an alarm.

    Raises
    ------
    DataError
        If the arrays do not fit each other or are not finite, or steps do not rise.
    UsageError
        If a setting cannot work.

    References
    ----------
    .. [1] Z. Shi et al., "Understanding likelihood over-optimisation in direct alignment algorithms", arXiv:2410.11677.

    Examples
    --------
    >>> over_optimisation([0, 1, 2, 3], [1.0, 1.02, 0.5, 0.4], [0.9, 0.9, 0.9, 0.9], baseline=2)
    OverOptimisation(4 measurements to step 3: entropy 0.400, band 0.899 to 1.121; mass 0.900, band 0.810 to 0.990)
    step 2: entropy 0.500 is below 0.899
    """
    values = {"entropy": as_numbers(entropy, "entropy"), "mass": as_numbers(mass, "mass")}
    when = np.asarray(steps)
    if (
        when.dtype.kind not in "iu"
        or len({when.shape, *(each.shape for each in values.values())}) != 1
        or not len(when)
    ):
        raise DataError("Steps, entropy and mass do not fit.", fix="Give one of each for a measurement.")
    if (np.diff(when) <= 0).any():
        raise DataError("Steps do not rise.", fix="Sort the measurements, one for each step.")
    whole = all(isinstance(each, (int, np.integer)) and each >= 1 for each in (baseline, patience))
    if not whole or not 0 <= slack < np.inf:
        raise UsageError("baseline and patience are whole numbers from 1, slack is at least 0.", fix="Leave them out.")
    bands, alarms = {}, []
    for name, series in values.items():
        first = series[:baseline]
        widening = slack * abs(float(first.mean()))
        low, high = float(first.min()) - widening, float(first.max()) + widening
        bands[name] = (low, high)
        run = 0
        for step, value in zip(when.tolist(), series.tolist(), strict=True):
            run = run + 1 if value < low else 0
            if run == patience:
                alarms.append(Alarm(step, name, value, low))
    return OverOptimisation(
        steps=when.astype(np.int64),
        entropy=values["entropy"],
        mass=values["mass"],
        entropy_band=bands["entropy"],
        mass_band=bands["mass"],
        baseline=min(baseline, len(when)),
        alarms=tuple(sorted(alarms, key=lambda alarm: alarm.step)),
    )
