"""Tables of calibration: one row for everybody and one for each group, and one row for each class of outcome."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import as_n_bins, as_rows, check_values
from pluralism.calibration.decomposition import decompose
from pluralism.calibration.expected_calibration_error import debiased_ece, ece
from pluralism.calibration.null_band import ece_null_band
from pluralism.calibration.scores import row_brier, row_correct, row_log_loss, signed_confidence_gap
from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CalibrationTable", "calibration_table", "classwise_ece"]

EVERYBODY = "all"


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """Named rows of calibration metrics.

    Attributes
    ----------
    columns : mapping of str to sequence
        The first column names the rows. A metric that cannot be had, such as the accuracy of ties alone, is NaN.
    """

    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return format_table(self.columns)

    def row(self, name: str) -> dict[str, Any]:
        """The row of a group or class.

        Raises
        ------
        UsageError
            If there is no such row.
        """
        names = list(next(iter(self.columns.values())))
        if name not in names:
            raise UsageError(
                f"There is no row {name!r} in this table.", fix=f"Rows: {', '.join(map(str, names[:20]))}."
            )
        at = names.index(name)
        return {key: values[at] for key, values in self.columns.items()}

    def to_frame(self) -> pa.Table:
        """The table as Arrow."""
        import pyarrow as pa

        return pa.table({key: list(values) for key, values in self.columns.items()})

    def to_json(self, *, indent: int | None = None) -> str:
        """A JSON list of rows; null where a metric cannot be had."""
        rows = [dict(zip(self.columns, values, strict=True)) for values in zip(*self.columns.values(), strict=True)]
        return json.dumps(json_ready(rows), allow_nan=False, indent=indent, ensure_ascii=False)


def calibration_table(
    p: ArrayLike,
    y: ArrayLike,
    *,
    group: Sequence[Any] | np.ndarray | None = None,
    n_bins: int = 15,
    weight: ArrayLike | None = None,
    level: float = 0.9,
    n_draws: int = 400,
    rng: RNG = 0,
) -> CalibrationTable:
    """All calibration metrics for everybody and for each group.

    Parameters
    ----------
    p, y, n_bins, weight
        As in `ece`.
    group : sequence of shape (pairs,), optional
        A label for each row; None and NaN are "(none)".
    level, n_draws, rng
        Of the null band, as in `ece_null_band`.

    Returns
    -------
    CalibrationTable
        Columns `group, n, accuracy, nll, brier, miscalibration, discrimination` (of the Brier score), `ece,
        ece_null_low, ece_null_high, debiased_ece, signed_gap`. The first row is "all"; groups follow, largest first.

    Notes
    -----
    A model can be calibrated for everybody together and for no group: one too sure, the other not sure enough. Small
    groups have wide null bands; read their ECE against those, not against that of everybody.

    Examples
    --------
    >>> p, y = np.tile([0.9, 0.6], 50), np.tile([1, 1, 1, 0, 0], 20)
    >>> table = calibration_table(p, y, group=np.repeat(["a", "b"], 50), n_bins=5)
    >>> list(table.columns["group"]), list(table.columns["n"])
    (['all', 'a', 'b'], [100, 50, 50])
    """
    rows = check_values(as_rows(p, y, weight))
    n_bins = as_n_bins(n_bins)
    generator = as_generator(rng, "calibration table")
    parts: list[tuple[str, np.ndarray]] = [(EVERYBODY, np.arange(len(rows.p)))]
    if group is not None:
        parts += split_by_label(group, len(rows.p))
    out: dict[str, list[Any]] = {}
    for name, where in parts:
        q, outcome = rows.p[where], rows.y[where]
        w = np.ones(len(where)) if rows.weight is None else rows.weight[where]
        if w.sum() <= 0:
            continue
        correct = row_correct(q, outcome)
        decided = ~np.isnan(correct) & (w > 0)
        band = ece_null_band(q, n_bins, level=level, weight=w, n_draws=n_draws, rng=generator)
        split = decompose(q, outcome, weight=w)
        record = {
            "group": name,
            "n": len(where),
            "accuracy": float(np.average(correct[decided], weights=w[decided])) if decided.any() else float("nan"),
            "nll": float(np.average(row_log_loss(q, outcome), weights=w)),
            "brier": float(np.average(row_brier(q, outcome), weights=w)),
            "miscalibration": split.miscalibration,
            "discrimination": split.discrimination,
            "ece": ece(q, outcome, n_bins=n_bins, weight=w),
            "ece_null_low": band.low,
            "ece_null_high": band.high,
            "debiased_ece": debiased_ece(q, outcome, n_bins=n_bins, weight=w),
            "signed_gap": signed_confidence_gap(q, outcome, weight=w),
        }
        for key, value in record.items():
            out.setdefault(key, []).append(value)
    return CalibrationTable(out)


def classwise_ece(
    probabilities: ArrayLike,
    outcomes: ArrayLike,
    *,
    classes: Sequence[str] | None = None,
    n_bins: int = 15,
    weight: ArrayLike | None = None,
) -> CalibrationTable:
    r"""Calibration of the probability of each class of outcome: left, right and tie, or the steps of a scale.

    For a class k the rows fall into `n_bins` equal right-closed bins of [0, 1] by the probability given to k, and

    .. math:: \mathrm{ECE}_k = \frac{1}{\sum_i w_i} \sum_b \Big| \sum_{i \in b} w_i (p_{ik} - [y_i = k]) \Big| .

    Their mean is the classwise ECE [1]_. With the two classes left and right both are equal.

    Parameters
    ----------
    probabilities : array of shape (rows, classes)
        Each row sums to 1.
    outcomes : int array of shape (rows,) or array of shape (rows, classes)
        The class that came about, from 0; or the share of each class.
    classes : sequence of str, optional
        Names; the column numbers by default.
    n_bins : int
        Bins of [0, 1].
    weight : array of shape (rows,), optional

    Returns
    -------
    CalibrationTable
        Columns `class, predicted, observed, ece`; the last row, "mean", is the mean over classes.

    References
    ----------
    .. [1] M. Kull et al., "Beyond temperature scaling: obtaining well-calibrated multi-class probabilities with
       Dirichlet calibration", NeurIPS 2019.

    Examples
    --------
    >>> table = classwise_ece([[0.5, 0.2, 0.3], [0.5, 0.2, 0.3]], [0, 2], classes=["left", "tie", "right"])
    >>> round(table.row("tie")["ece"], 3)
    0.2
    """
    q = np.asarray(probabilities, dtype=float)
    if q.ndim != 2 or q.shape[1] < 2 or len(q) == 0:
        raise UsageError(
            f"probabilities must be a table of at least one row and two classes, not of shape {q.shape}.",
            fix="Pass one column a class: for a model of ties, P(left), P(tie) and P(right).",
        )
    if not ((q >= 0) & (q <= 1)).all() or not np.allclose(q.sum(axis=1), 1.0, atol=1e-6):
        bad = int(np.flatnonzero(~(((q >= 0) & (q <= 1)).all(axis=1) & (np.abs(q.sum(axis=1) - 1) <= 1e-6)))[0])
        raise DataError(
            f"The probabilities of row {bad + 1} are no distribution over classes: {q[bad]}.",
            fix="Each row must be in [0, 1] and sum to 1.",
        )
    shares = _shares(np.asarray(outcomes), q.shape)
    rows = as_rows(q[:, 0], shares[:, 0], weight)
    w = np.ones(len(q)) if rows.weight is None else rows.weight
    n_bins = as_n_bins(n_bins)
    names = [str(k) for k in range(q.shape[1])] if classes is None else [str(name) for name in classes]
    if len(names) != q.shape[1]:
        raise UsageError(f"There are {len(names)} names for {q.shape[1]} classes.", fix="Name each column once.")
    edges = np.linspace(0.0, 1.0, n_bins + 1)
    found = []
    for k in range(q.shape[1]):
        index = np.clip(np.searchsorted(edges, q[:, k], side="left") - 1, 0, n_bins - 1)
        gaps = np.bincount(index, w * (q[:, k] - shares[:, k]), minlength=n_bins)
        found.append(float(np.abs(gaps).sum() / w.sum()))
    predicted, observed = (np.average(table, axis=0, weights=w).tolist() for table in (q, shares))
    return CalibrationTable(
        {
            "class": [*names, "mean"],
            "predicted": [*predicted, float(np.mean(predicted))],
            "observed": [*observed, float(np.mean(observed))],
            "ece": [*found, float(np.mean(found))],
        }
    )


def split_by_label(group: Sequence[Any] | np.ndarray, n: int) -> list[tuple[str, np.ndarray]]:
    """Rows of each label, the label with most rows first."""
    labels = ["(none)" if _missing(label) else str(label) for label in list(group)]
    if len(labels) != n:
        raise UsageError(f"p has {n} rows and group has {len(labels)}.", fix="Pass one label a row.")
    names, codes, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    by_code = np.split(np.argsort(codes, kind="stable"), np.cumsum(counts)[:-1])
    return [(str(names[k]), by_code[k]) for k in order]


def _missing(label: Any) -> bool:
    return label is None or (isinstance(label, (float, np.floating)) and bool(np.isnan(label)))


def _shares(outcomes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    n, n_classes = shape
    if outcomes.shape == shape and outcomes.dtype.kind in "fiub":
        shares = outcomes.astype(float)
        if ((shares >= 0) & (shares <= 1)).all() and np.allclose(shares.sum(axis=1), 1.0, atol=1e-6):
            return shares
        raise DataError("The shares of the classes do not sum to 1 in every row.", fix="Pass class numbers or shares.")
    if outcomes.shape != (n,) or not np.all(np.isin(outcomes, np.arange(n_classes))):
        raise UsageError(
            f"outcomes must be a class number of 0 to {n_classes - 1} for each of {n} rows, or a table of shares.",
            fix="Code the classes by their column of the probabilities.",
        )
    return np.eye(n_classes)[outcomes.astype(int)]
