"""How far each source's probabilities can be believed, before and after a temperature of its own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pluralism.calibration import accuracy, ece, ece_null_band, fit_temperature, log_loss
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models.base import PreferenceModel

__all__ = ["SourceCalibration", "source_calibration"]


@dataclass(frozen=True)
class SourceCalibration:
    """One source's row.

    Attributes
    ----------
    source : str
    n : int
        Decided rows.
    accuracy, nll, ece : float
    null_low, null_high : float
        Where the ECE of a calibrated model with these predictions would fall.
    temperature, ece_after, nll_after : float or None
        After a temperature fitted to this source's validation rows; None without them, or where none can be fitted.
    """

    source: str
    n: int
    accuracy: float
    nll: float
    ece: float
    null_low: float
    null_high: float
    temperature: float | None = None
    ece_after: float | None = None
    nll_after: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)


def source_calibration(
    model: PreferenceModel,
    test: Comparisons,
    *,
    validation: Comparisons | None = None,
    n_bins: int = 15,
    rng: RNG = 0,
) -> list[SourceCalibration]:
    """Accuracy, NLL and ECE of each source of `test`, with the ECE's null band, and after one temperature a source.

    Parameters
    ----------
    model : PreferenceModel
    test : Comparisons
        With sources. Ties are left out.
    validation : Comparisons, optional
        Rows for the temperatures, neither fitted on nor scored.
    n_bins : int
        Bins of confidence.
    rng : int, Generator or None
        Of the null bands.

    Raises
    ------
    UsageError
        If the test rows have no sources.
    """
    if test.source is None or test.sources is None:
        raise UsageError("The comparisons have no sources.", fix="Give them a column source.")
    p = model.predict_proba(test)
    q = None if validation is None else model.predict_proba(validation)
    found = []
    for code, name in enumerate(test.sources.to_pylist()):
        rows = (test.source == code) & (test.outcome != 0.5) & (test.weight > 0)
        if not rows.any():
            continue
        y, w = test.outcome[rows], test.weight[rows]
        band = ece_null_band(p[rows], n_bins, weight=w, rng=rng)
        scores = (
            accuracy(p[rows], y, weight=w),
            log_loss(p[rows], y, weight=w),
            ece(p[rows], y, n_bins=n_bins, weight=w),
        )
        after: tuple[float | None, float | None, float | None] = (None, None, None)
        if validation is not None and q is not None:
            after = _after(p[rows], y, w, q, validation, name, n_bins)
        found.append(SourceCalibration(name, int(rows.sum()), *scores, band.low, band.high, *after))
    return found


def _after(
    p: np.ndarray, y: np.ndarray, w: np.ndarray, q: np.ndarray, validation: Comparisons, name: str, n_bins: int
) -> tuple[float | None, float | None, float | None]:
    if validation.source is None or validation.sources is None:
        return None, None, None
    names = validation.sources.to_pylist()
    rows = (validation.source == (names.index(name) if name in names else -9)) & (validation.outcome != 0.5)
    try:
        scaler = fit_temperature(q[rows], validation.outcome[rows], weight=validation.weight[rows])
    except DataError:
        return None, None, None
    scaled = scaler.transform(p)
    return scaler.temperature_, ece(scaled, y, n_bins=n_bins, weight=w), log_loss(scaled, y, weight=w)
