"""Reliability curve: observed share of hits against stated confidence, bin by bin."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import ndtri

from pluralism.calibration._inputs import as_level, as_n_bins, as_rows, check_values
from pluralism.calibration.expected_calibration_error import bin_table, confidence_edges

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ReliabilityCurve", "reliability_curve", "wilson_interval"]


@dataclass(frozen=True, eq=False)
class ReliabilityCurve:
    """One row a bin of confidence in [0.5, 1]; means and shares are NaN in empty bins.

    Attributes
    ----------
    edges : array of shape (bins + 1,)
        Bin edges; a bin is right-closed, the first one also holds 0.5.
    confidence : array of shape (bins,)
        Mean of max(p, 1 - p).
    observed : array of shape (bins,)
        Share of rows in which the favoured item was preferred.
    count : int array of shape (bins,)
        Rows.
    weight : array of shape (bins,)
        Sum of the weights.
    low, high : array of shape (bins,)
        Wilson interval of `observed`.
    level : float
        Its coverage.
    """

    edges: Float[np.ndarray, " edges"]
    confidence: Float[np.ndarray, " bins"]
    observed: Float[np.ndarray, " bins"]
    count: np.ndarray
    weight: Float[np.ndarray, " bins"]
    low: Float[np.ndarray, " bins"]
    high: Float[np.ndarray, " bins"]
    level: float

    @property
    def ece(self) -> float:
        """The expected calibration error of these bins."""
        full = self.weight > 0
        gap = np.abs(self.confidence[full] - self.observed[full])
        return float(self.weight[full] @ gap / self.weight.sum())

    def __len__(self) -> int:
        return len(self.count)

    def __repr__(self) -> str:
        lines = ["confidence       rows  stated  observed  interval"]
        for b in np.flatnonzero(self.count):
            lines.append(
                f"({self.edges[b]:.3f}, {self.edges[b + 1]:.3f}] {self.count[b]:>6} {self.confidence[b]:>7.3f} "
                f"{self.observed[b]:>9.3f}  [{self.low[b]:.3f}, {self.high[b]:.3f}]"
            )
        return "\n".join(lines)

    def to_frame(self) -> pa.Table:
        """One row a bin, as an Arrow table."""
        import pyarrow as pa

        return pa.table(
            {
                "from": self.edges[:-1],
                "to": self.edges[1:],
                **{name: getattr(self, name) for name in ("confidence", "observed", "count", "weight", "low", "high")},
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """The columns as lists; None in empty bins."""
        columns = {
            name: [None if np.isnan(value) else float(value) for value in getattr(self, name)]
            for name in ("edges", "confidence", "observed", "weight", "low", "high")
        }
        return {**columns, "count": [int(value) for value in self.count], "level": self.level}

    def to_json(self, *, indent: int | None = None) -> str:
        """The columns as strict JSON text; null in empty bins."""
        return json.dumps(self.to_dict(), allow_nan=False, indent=indent)


def reliability_curve(
    p: ArrayLike, y: ArrayLike, *, n_bins: int = 15, level: float = 0.95, weight: ArrayLike | None = None
) -> ReliabilityCurve:
    """Bin predictions by their confidence and compare it with the share of hits.

    Parameters
    ----------
    p, y, n_bins, weight
        As in `ece`: the same bins, of [0.5, 1].
    level : float
        Coverage of the Wilson interval [1]_ of each bin. Under weights the effective number of rows is used.

    Returns
    -------
    ReliabilityCurve

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA, 1927.

    Examples
    --------
    >>> reliability_curve([0.9, 0.95, 0.1, 0.6], [1, 1, 1, 1], n_bins=5)
    confidence       rows  stated  observed  interval
    (0.500, 0.600]      1   0.600     1.000  [0.207, 1.000]
    (0.800, 0.900]      2   0.900     0.500  [0.095, 0.905]
    (0.900, 1.000]      1   0.950     1.000  [0.207, 1.000]
    """
    rows, n_bins, level = check_values(as_rows(p, y, weight)), as_n_bins(n_bins), as_level(level)
    edges = confidence_edges(n_bins)
    count, w, w2, confidence, correct = bin_table(rows, edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        stated, observed, effective = confidence / w, np.clip(correct / w, 0, 1), w**2 / w2
    low, high = wilson_interval(observed, effective, level)
    return ReliabilityCurve(edges, stated, observed, count.astype(np.int64), w, low, high, level)


def wilson_interval(
    share: Float[np.ndarray, " bins"], n: Float[np.ndarray, " bins"], level: float
) -> tuple[Float[np.ndarray, " bins"], Float[np.ndarray, " bins"]]:
    """Wilson score interval of shares observed on `n` rows each."""
    z = ndtri((1 + level) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return np.clip(centre - half, 0, 1), np.clip(centre + half, 0, 1)
