"""Two models on the same rows: the difference of their scores, with whole prompts or people drawn again together."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from pluralism.calibration._inputs import Rows, as_level, as_n_bins, as_rows, check_values
from pluralism.calibration.expected_calibration_error import confidence_edges
from pluralism.calibration.scores import row_brier, row_correct, row_log_loss
from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import DataError, UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["MetricDifference", "PairedComparison", "paired_bootstrap"]

BLOCK_CELLS = 1 << 22


@dataclass(frozen=True)
class MetricDifference:
    """A metric of both models, and first - second with its interval.

    Attributes
    ----------
    metric : {"accuracy", "nll", "brier", "ece", "signed_gap"}
    first, second, difference : float
    low, high : float
        Interval of the difference.
    """

    metric: str
    first: float
    second: float
    difference: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return bool(self.low > 0 or self.high < 0)


@dataclass(frozen=True, eq=False)
class PairedComparison:
    """What `paired_bootstrap` found: one `MetricDifference` a metric.

    Attributes
    ----------
    metrics : mapping of str to MetricDifference
    n, n_clusters : int
        Rows, and clusters that were drawn again.
    level : float
        Coverage of the intervals.
    """

    metrics: dict[str, MetricDifference]
    n: int
    n_clusters: int
    level: float

    def __getitem__(self, metric: str) -> MetricDifference:
        return self.metrics[metric]

    def __repr__(self) -> str:
        rows = list(self.metrics.values())
        names = ("metric", "first", "second", "difference", "low", "high")
        table = format_table({name: [getattr(row, name) for row in rows] for name in names})
        return f"{table}\n{self.n:,} rows in {self.n_clusters:,} clusters, {self.level:.0%} intervals"

    def to_frame(self) -> pa.Table:
        """One row a metric, as an Arrow table."""
        import pyarrow as pa

        return pa.Table.from_pylist([asdict(row) for row in self.metrics.values()])

    def to_json(self, *, indent: int | None = None) -> str:
        """Strict JSON text; null where a metric cannot be had."""
        document = {
            "metrics": {name: asdict(row) for name, row in self.metrics.items()},
            "n": self.n,
            "n_clusters": self.n_clusters,
            "level": self.level,
        }
        return json.dumps(json_ready(document), allow_nan=False, indent=indent)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    y: ArrayLike,
    *,
    cluster: Sequence[Any] | np.ndarray | None = None,
    n_bins: int = 15,
    weight: ArrayLike | None = None,
    n_draws: int = 2000,
    level: float = 0.95,
    rng: RNG = 0,
) -> PairedComparison:
    r"""Whether one model scores better than another on the same rows, and how sure that is.

    Clusters (prompts, or people) are drawn with replacement, the same for both models, so that what both find hard
    cancels. Pairs of one prompt are not independent: without clusters the intervals are too narrow.

    The intervals are of the basic kind, :math:`[2 \hat\delta - q_{high}, 2 \hat\delta - q_{low}]` [1]_: drawing rows
    again adds noise to an ECE a second time, more so for the better calibrated model, and percentiles would carry
    that shift. For means such as the NLL both kinds agree. The difference is one of estimated ECEs: what chance alone
    adds to that of a well calibrated model (see `ece_null_band`) makes its lead look smaller than it is.

    Parameters
    ----------
    first, second : array of shape (pairs,)
        P(left preferred) by the two models.
    y, n_bins, weight
        As in `ece`.
    cluster : sequence of shape (pairs,), optional
        A label for each row; each row stands for itself by default.
    n_draws : int
        Bootstrap samples.
    level : float
        Coverage.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    PairedComparison
        Of accuracy, nll, brier, ece and signed_gap.

    References
    ----------
    .. [1] A. C. Davison and D. V. Hinkley, "Bootstrap Methods and their Application", 1997, section 5.2.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(0.05, 0.95, 4000)
    >>> y = rng.random(4000) < truth
    >>> too_sure = truth**3 / (truth**3 + (1 - truth) ** 3)
    >>> found = paired_bootstrap(too_sure, truth, y, cluster=np.arange(4000) // 10)
    >>> found["nll"].clear, found["ece"].clear, found["accuracy"].difference
    (True, True, 0.0)
    """
    a, b = check_values(as_rows(first, y, weight)), check_values(as_rows(second, y, weight))
    n_bins, level = as_n_bins(n_bins), as_level(level)
    if n_draws < 1:
        raise UsageError(f"n_draws must be at least 1, not {n_draws!r}.", fix="Pass n_draws=2000.")
    labels = np.arange(len(a.p)) if cluster is None else np.asarray([str(label) for label in cluster])
    if len(labels) != len(a.p):
        raise UsageError(f"p has {len(a.p)} rows and cluster has {len(labels)}.", fix="Pass one label a row.")
    names, codes = np.unique(labels, return_inverse=True)
    if len(names) < 2:
        raise DataError(
            "There is one cluster only, so nothing says how much another sample would differ.",
            fix="Pass at least two clusters, or cluster=None if rows are independent.",
        )
    sums = [_cluster_sums(rows, codes, len(names), n_bins) for rows in (a, b)]
    point = [_metrics(part.sum(axis=0)[None], n_bins) for part in sums]
    draws = [
        (_metrics(counts @ sums[0], n_bins), _metrics(counts @ sums[1], n_bins))
        for counts in _counts(len(names), n_draws, as_generator(rng, "paired bootstrap"))
    ]
    found = {}
    for metric in point[0]:
        one, two = float(point[0][metric][0]), float(point[1][metric][0])
        drawn = np.concatenate([x[metric] - z[metric] for x, z in draws])
        drawn = drawn[~np.isnan(drawn)]
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) if len(drawn) else (np.nan, np.nan)
        delta = one - two
        found[metric] = MetricDifference(metric, one, two, delta, float(2 * delta - high), float(2 * delta - low))
    return PairedComparison(found, len(a.p), len(names), level)


def _cluster_sums(rows: Rows, codes: np.ndarray, n_clusters: int, n_bins: int) -> Float[np.ndarray, "clusters columns"]:
    """Per cluster: weight, decided weight, right, nll, brier, signed gap, and the gap of each bin."""
    w = np.ones(len(rows.p)) if rows.weight is None else rows.weight
    p = rows.p.astype(float)
    correct = row_correct(p, rows.y)
    decided = ~np.isnan(correct)
    confidence = np.maximum(p, 1 - p)
    gap = np.sign(p - 0.5) * (p - rows.y)
    index = np.clip(np.searchsorted(confidence_edges(n_bins), confidence, side="left") - 1, 0, n_bins - 1)

    def total(values: np.ndarray) -> np.ndarray:
        return np.bincount(codes, w * values, n_clusters)

    binned = np.bincount(codes * n_bins + index, w * gap, n_clusters * n_bins).reshape(n_clusters, n_bins)
    columns = [np.ones(len(p)), decided, np.where(decided, correct, 0.0), row_log_loss(p, rows.y)]
    columns += [row_brier(p, rows.y), -gap]
    return np.column_stack([*map(total, columns), binned])


def _metrics(sums: Float[np.ndarray, "draws columns"], n_bins: int) -> dict[str, Float[np.ndarray, " draws"]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "accuracy": sums[:, 2] / sums[:, 1],
            "nll": sums[:, 3] / sums[:, 0],
            "brier": sums[:, 4] / sums[:, 0],
            "ece": np.abs(sums[:, -n_bins:]).sum(axis=1) / sums[:, 0],
            "signed_gap": sums[:, 5] / sums[:, 0],
        }


def _counts(n: int, n_draws: int, rng: np.random.Generator) -> Iterator[Float[np.ndarray, "draws clusters"]]:
    """How often each cluster is drawn, in blocks that fit the cache."""
    block = max(1, BLOCK_CELLS // n)
    for start in range(0, n_draws, block):
        rows = min(block, n_draws - start)
        cells = rng.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(cells.ravel(), minlength=rows * n).reshape(rows, n).astype(float)
