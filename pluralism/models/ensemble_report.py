"""How the members of an ensemble err: apart, or all at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration.scores import row_correct, row_log_loss
from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["EnsembleReport", "report_members"]


@dataclass(frozen=True, eq=False)
class EnsembleReport:
    """Errors of the members on the same rows, and of what they say together.

    Attributes
    ----------
    accuracy, nll : array of shape (members,)
    ensemble_accuracy, ensemble_nll : float
    error_correlation : array of shape (members, members)
        Correlation of being wrong; NaN for a member that is never, or always, wrong.
    shared_failure : float
        Share of decided rows that all members get wrong. No aggregate of the members mends those.
    independent_failure : float
        The same share if the members erred independently: the product of their error rates.
    disagreement : float
        Mean standard deviation between members of the difference of rewards, in logits.
    n : int
        Decided rows.
    """

    accuracy: Float[np.ndarray, " members"]
    nll: Float[np.ndarray, " members"]
    ensemble_accuracy: float
    ensemble_nll: float
    error_correlation: Float[np.ndarray, "members members"]
    shared_failure: float
    independent_failure: float
    disagreement: float
    n: int

    @property
    def mean_error_correlation(self) -> float:
        """Mean over pairs of members; NaN for a single member."""
        above = self.error_correlation[np.triu_indices(len(self.accuracy), 1)]
        above = above[~np.isnan(above)]
        return float(above.mean()) if len(above) else float("nan")

    def __repr__(self) -> str:
        names = [*(f"member {k}" for k in range(len(self.accuracy))), "ensemble"]
        columns = {
            "": names,
            "accuracy": [*self.accuracy, self.ensemble_accuracy],
            "nll": [*self.nll, self.ensemble_nll],
        }
        return (
            f"{format_table(columns)}\n"
            f"all members wrong in {self.shared_failure:.1%} of {self.n:,} rows "
            f"({self.independent_failure:.1%} if they erred independently); "
            f"mean correlation of errors {self.mean_error_correlation:.2f}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields by name."""
        return {**vars(self), "mean_error_correlation": self.mean_error_correlation}

    def to_frame(self) -> pa.Table:
        """One row a member, as an Arrow table."""
        import pyarrow as pa

        return pa.table({"member": list(range(len(self.accuracy))), "accuracy": self.accuracy, "nll": self.nll})

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text."""
        return json.dumps(json_ready(self.to_dict()), allow_nan=False, indent=indent)


def report_members(
    members: Float[np.ndarray, "members pairs"],
    ensemble: Float[np.ndarray, " pairs"],
    disagreement: Float[np.ndarray, " pairs"],
    y: ArrayLike,
    weight: Float[np.ndarray, " pairs"],
) -> EnsembleReport:
    """Score each member's probabilities, and how their errors go together.

    Raises
    ------
    DataError
        If no row is decided.
    """
    outcome = np.asarray(y, dtype=float)
    decided = (outcome != 0.5) & (weight > 0)
    if not decided.any():
        raise DataError("No row is decided, so nobody can be wrong.", fix="Pass comparisons with a preference.")
    w = weight[decided] / weight[decided].sum()
    correct = np.stack([row_correct(p[decided], outcome[decided]) for p in members])
    wrong = 1.0 - correct
    centred = wrong - (wrong @ w)[:, None]
    covariance = (centred * w) @ centred.T
    spread = np.sqrt(np.diag(covariance))
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.where(np.outer(spread, spread) > 1e-15, covariance / np.outer(spread, spread), np.nan)
    rows = weight > 0
    return EnsembleReport(
        accuracy=correct @ w,
        nll=np.array([np.average(row_log_loss(p[rows], outcome[rows]), weights=weight[rows]) for p in members]),
        ensemble_accuracy=float(row_correct(ensemble[decided], outcome[decided]) @ w),
        ensemble_nll=float(np.average(row_log_loss(ensemble[rows], outcome[rows]), weights=weight[rows])),
        error_correlation=correlation,
        shared_failure=float((correct.max(axis=0) == 0) @ w),
        independent_failure=float(np.prod(wrong @ w)),
        disagreement=float(np.average(disagreement[rows], weights=weight[rows])),
        n=int(decided.sum()),
    )
