"""Where a score comes from: miscalibration, discrimination and the uncertainty of the outcomes themselves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.special import xlogy

from pluralism.calibration._inputs import Rows, as_rows, check_values
from pluralism.calibration.isotonic_fit import both_orders, pooled_means
from pluralism.calibration.scores import EPSILON
from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ScoreDecomposition", "decompose"]

ScoreName = Literal["brier", "log_loss"]


@dataclass(frozen=True)
class ScoreDecomposition:
    """A mean score as miscalibration - discrimination + uncertainty, exactly.

    Attributes
    ----------
    score : {"brier", "log_loss"}
    value : float
        The mean score of the predictions.
    miscalibration : float
        What recalibration would gain, at least 0. The reliability term.
    discrimination : float
        What the recalibrated predictions gain over a constant one, at least 0. The resolution term.
    uncertainty : float
        The score of the best constant prediction.
    n : int
        Rows.
    """

    score: ScoreName
    value: float
    miscalibration: float
    discrimination: float
    uncertainty: float
    n: int

    @property
    def recalibrated(self) -> float:
        """The score after the best monotone recalibration on these very rows."""
        return self.value - self.miscalibration

    @property
    def skill(self) -> float:
        """Share of the uncertainty that the predictions take away, at most 1; NaN where there is none."""
        return 1.0 - self.value / self.uncertainty if self.uncertainty > 0 else float("nan")

    def __repr__(self) -> str:
        return (
            f"{self.score} {self.value:.4f} = {self.miscalibration:.4f} miscalibration - "
            f"{self.discrimination:.4f} discrimination + {self.uncertainty:.4f} uncertainty ({self.n:,} rows)"
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    def to_frame(self) -> pa.Table:
        """One row, as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist([self.to_dict()])

    def to_json(self, *, indent: int | None = None) -> str:
        """The fields as JSON text."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False, indent=indent)


def decompose(
    p: ArrayLike,
    y: ArrayLike,
    *,
    score: ScoreName = "brier",
    weight: ArrayLike | None = None,
    mirrored: bool = True,
) -> ScoreDecomposition:
    r"""Split the Brier score or the log loss into miscalibration, discrimination and uncertainty.

    With :math:`\bar S` the mean score of the predictions, :math:`\bar S_c` that of their isotonic recalibration on the
    same rows and :math:`\bar S_r` that of the best constant,

    .. math:: \bar S = (\bar S - \bar S_c) - (\bar S_r - \bar S_c) + \bar S_r .

    No bins are chosen, and neither difference can be negative (the CORP decomposition [1]_). On small samples the
    isotonic fit follows noise: miscalibration and discrimination are then both too large, by about as much.

    Parameters
    ----------
    p, y, weight
        As in `log_loss`; ties take part as y = 0.5.
    score : {"brier", "log_loss"}
        For the log loss p is clipped to [1e-12, 1 - 1e-12].
    mirrored : bool
        Enter each pair in both orders, each with half its weight, so that nothing depends on which item stood on the
        left; the uncertainty is then that of an even prediction. False where the two sides differ in kind, such as
        "safe" and "unsafe".

    Returns
    -------
    ScoreDecomposition

    References
    ----------
    .. [1] T. Dimitriadis, T. Gneiting and A. I. Jordan, "Stable reliability diagrams for probabilistic classifiers",
       PNAS 118, 2021.

    Examples
    --------
    >>> decompose([0.9, 0.9, 0.6, 0.6], [1, 1, 1, 0])
    brier 0.1350 = 0.0100 miscalibration - 0.1250 discrimination + 0.2500 uncertainty (4 rows)
    """
    if score not in ("brier", "log_loss"):
        raise UsageError(f"score={score!r} is not possible.", fix='score is "brier" or "log_loss".')
    rows = check_values(as_rows(p, y, weight))
    entered = both_orders(rows) if mirrored else rows
    _, fitted, where = pooled_means(entered)
    recalibrated = fitted[where]
    constant = np.full(len(entered.p), np.average(entered.y, weights=entered.weight))
    given, best, least = (_mean_score(q, entered, score) for q in (entered.p.astype(float), recalibrated, constant))
    return ScoreDecomposition(score, given, given - best, least - best, least, len(rows.p))


def _mean_score(q: Float[np.ndarray, " rows"], rows: Rows, score: ScoreName) -> float:
    y = rows.y.astype(float)
    if score == "brier":
        return float(np.average((q - y) ** 2, weights=rows.weight))
    # Fitted values of 0 and 1 only stand where all outcomes are so, and cost nothing there.
    certain = ((q <= 0) & (y == 0)) | ((q >= 1) & (y == 1))
    q = np.where(certain, q, np.clip(q, EPSILON, 1 - EPSILON))
    return float(np.average(-xlogy(y, q) - xlogy(1 - y, 1 - q), weights=rows.weight))
