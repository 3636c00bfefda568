"""What expected calibration error a perfectly calibrated model would show on a sample of this size."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import as_level, as_n_bins, as_probabilities, as_rows
from pluralism.calibration.expected_calibration_error import bin_table, confidence_edges
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = ["NullBand", "ece_null_band"]

EXACT_ROWS = 400
"""Bins of at most this many rows are simulated row by row; in larger ones the sum of outcomes is taken as normal."""


@dataclass(frozen=True)
class NullBand:
    """Where the ECE of a perfectly calibrated model falls.

    Attributes
    ----------
    low, high : float
        Quantiles (1 - level) / 2 and (1 + level) / 2.
    mean : float
        The ECE to expect from a calibrated model.
    level : float
        Share of samples of a calibrated model inside [low, high].
    n_bins : int
        Bins of [0.5, 1].
    """

    low: float
    high: float
    mean: float
    level: float
    n_bins: int

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def to_dict(self) -> dict[str, float]:
        """The fields by name."""
        return asdict(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """The fields as JSON text."""
        return json.dumps(self.to_dict(), indent=indent)


def ece_null_band(
    p: ArrayLike,
    n_bins: int = 15,
    *,
    level: float = 0.9,
    weight: ArrayLike | None = None,
    n_draws: int = 1000,
    rng: RNG = 0,
) -> NullBand:
    """Band of the ECE that a perfectly calibrated model shows on as many rows with these very predictions.

    Outcomes are drawn anew from the predictions, independently row by row, and scored by `ece`. An ECE inside the
    band is no evidence of miscalibration. Bins of more than 400 rows use the normal approximation of the sum of
    their outcomes, so the time does not grow with the number of draws times the number of rows.

    Parameters
    ----------
    p : array of shape (pairs,)
        Predicted probabilities, in [0, 1].
    n_bins : int
        Bins of [0.5, 1], as in `ece`. For `ece(..., mirrored=True)` with an even number of bins, pass half of it.
    level : float
        Coverage of the band: 0.9 gives the 5 % and 95 % quantiles.
    weight : array of shape (pairs,), optional
        Weights, as given to `ece`.
    n_draws : int
        Simulated samples.
    rng : int, numpy.random.Generator or None
        Source of randomness.

    Returns
    -------
    NullBand

    Notes
    -----
    The band is for outcomes of 0 and 1. Soft outcomes vary less, so for them it is too wide: it then under-states
    the evidence of miscalibration.

    Examples
    --------
    >>> p = np.random.default_rng(0).uniform(size=1000)
    >>> band = ece_null_band(p, 15)
    >>> 0 < band.low < band.mean < band.high < 0.1
    True
    """
    p = as_probabilities(p)
    rows, n_bins, level = as_rows(p, np.zeros(len(p), np.uint8), weight), as_n_bins(n_bins), as_level(level)
    if n_draws < 1:
        raise UsageError(f"n_draws must be at least 1, not {n_draws!r}.", fix="Pass n_draws=1000.")
    generator = as_generator(rng, "null band")
    edges = confidence_edges(n_bins)
    counts = bin_table(rows, edges)[0]
    confidence = np.maximum(p, 1 - p).astype(float, copy=False)
    w = np.ones(len(p)) if rows.weight is None else rows.weight
    index = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, n_bins - 1)
    variance = np.bincount(index, w**2 * confidence * (1 - confidence) * (confidence != 0.5), minlength=n_bins)
    totals = np.zeros(n_draws)
    for b in np.flatnonzero(counts > EXACT_ROWS):
        totals += np.abs(generator.normal(0.0, np.sqrt(variance[b]), n_draws))
    small = np.flatnonzero((counts <= EXACT_ROWS)[index])
    small = small[np.argsort(index[small], kind="stable")]
    bounds = np.flatnonzero(np.diff(index[small], prepend=-1, append=n_bins))
    totals += _simulated_gaps(confidence[small], w[small], bounds, n_draws, generator)
    draws = totals / rows.total
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return NullBand(low=float(low), high=float(high), mean=float(draws.mean()), level=level, n_bins=n_bins)


@numba.njit(nogil=True, cache=True)
def _simulated_gaps(
    confidence: np.ndarray, weight: np.ndarray, bounds: np.ndarray, n_draws: int, rng: np.random.Generator
) -> np.ndarray:
    out = np.zeros(n_draws)
    for draw in range(n_draws):
        for b in range(len(bounds) - 1):
            gap = 0.0
            for i in range(bounds[b], bounds[b + 1]):
                # At an even prediction either outcome counts half right, so nothing is random.
                if confidence[i] > 0.5:
                    gap += weight[i] * (confidence[i] - (1.0 if rng.random() < confidence[i] else 0.0))
            out[draw] += abs(gap)
    return out
