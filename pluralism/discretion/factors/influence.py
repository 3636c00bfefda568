"""Influence of factors: does an annotator prefer the response with more of it? And do two annotators agree on why?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.stats import kendalltau

from pluralism.calibration.text import format_table, json_ready
from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.factors.differences import checked_factors, factor_differences
from pluralism.discretion.measures.intervals import check_level, share_interval
from pluralism.discretion.questions import DistinctPairs
from pluralism.errors import DataError, UsageError
from pluralism.evaluation.bootstrap import interval, ratio, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["FactorAgreement", "FactorInfluence", "Ties", "factor_influence", "influence_of"]

LEAST_FACTORS = 3
Ties: TypeAlias = Literal["factor", "none", "b"]


@dataclass(frozen=True, eq=False, repr=False)
class FactorAgreement:
    """How alike the factors that influence two annotators are.

    Attributes
    ----------
    annotators : (str, str)
    pearson, kendall : float
        Correlation, and Kendall's tau-b, of the influences of all factors; NaN with fewer than three, since two always
        agree or oppose.
    pearson_interval, kendall_interval : (float, float)
        The same resamples for both annotators.
    """

    annotators: tuple[str, str]
    pearson: float
    kendall: float
    pearson_interval: tuple[float, float]
    kendall_interval: tuple[float, float]

    def to_frame(self) -> pa.Table:
        """A row for each statistic: `statistic, value, low, high`."""
        rows = [("pearson", self.pearson, *self.pearson_interval), ("kendall", self.kendall, *self.kendall_interval)]
        names = ("statistic", "value", "low", "high")
        return pa.table({name: [json_ready(row[k]) for row in rows] for k, name in enumerate(names)})

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps({"annotators": list(self.annotators), "rows": self.to_frame().to_pylist()})

    def __repr__(self) -> str:
        return (
            f"FactorAgreement({' and '.join(self.annotators)}: Pearson {self.pearson:.2f}, Kendall {self.kendall:.2f})"
        )


@dataclass(frozen=True, eq=False, repr=False)
class FactorInfluence:
    """Kendall's statistic between the difference of each factor and the preference, by annotator.

    Attributes
    ----------
    annotators, factors : tuple of str
    value : array of shape (annotators, factors)
        In [-1, 1]; above 0 where more of the factor is preferred; NaN where no pair can be compared.
    interval : array of shape (annotators, factors, 2)
    ties : {"factor", "none", "b"}
    draws : array of shape (draws, annotators, factors)
    level : float
    """

    annotators: tuple[str, ...]
    factors: tuple[str, ...]
    value: Float[np.ndarray, "annotators factors"]
    interval: Float[np.ndarray, "annotators factors two"]
    ties: Ties
    draws: Float[np.ndarray, "draws annotators factors"]
    level: float

    def agreement(self, one: str, other: str) -> FactorAgreement:
        """Of the influences on two annotators, such as people and a model."""
        unknown = [name for name in (one, other) if name not in self.annotators]
        if unknown:
            raise UsageError(f"There is no annotator {unknown[0]!r}.", fix=f"There are {', '.join(self.annotators)}.")
        places = [self.annotators.index(name) for name in (one, other)]
        drawn = np.array([_correlations(*draw[places]) for draw in self.draws]).reshape(-1, 2)
        pearson, kendall = _correlations(*self.value[places])
        spans = [interval(drawn[:, k], self.level) for k in (0, 1)]
        return FactorAgreement((one, other), pearson, kendall, spans[0], spans[1])

    def to_frame(self) -> pa.Table:
        """A row for each annotator and factor: `annotator, factor, influence, low, high`."""
        a, k = self.value.shape
        columns = {
            "influence": self.value.ravel(),
            "low": self.interval[..., 0].ravel(),
            "high": self.interval[..., 1].ravel(),
        }
        labels = {
            "annotator": np.repeat(np.array(self.annotators, dtype=object), k).tolist(),
            "factor": list(self.factors) * a,
        }
        return pa.table(labels | {name: pa.array(v, mask=np.isnan(v)) for name, v in columns.items()})

    def to_dict(self) -> dict[str, Any]:
        """The rows as plain types."""
        return {"ties": self.ties, "influence": self.to_frame().to_pylist()}

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        columns: dict[str, list[Any]] = {"factor": list(self.factors)}
        columns |= {name: self.value[k].tolist() for k, name in enumerate(self.annotators)}
        return format_table(columns, 3)


def factor_influence(
    comparisons: Comparisons,
    annotators: Sequence[Verdicts],
    *,
    factors: Sequence[str] | None = None,
    ties: Ties = "factor",
    by: Literal["comparison", "annotator"] = "comparison",
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> FactorInfluence:
    """Measure which factors preferences go with, one factor at a time.

    With C, D pairs on which the preferred item has more, less of the factor, T_f decided pairs on which it has as much,
    and T_p undecided ones on which the factor differs, the statistic is

    - ``factor``: (C - D) / (C + D + T_f), so that a factor that is often the same matters less;
    - ``none``: (C - D) / (C + D), Goodman and Kruskal's gamma;
    - ``b``: (C - D) / sqrt((C + D + T_f) (C + D + T_p)), Kendall's tau-b of the signs.

    Parameters
    ----------
    comparisons : Comparisons
    annotators : sequence of Verdicts
        With different names.
    factors : sequence of str, optional
        As in `factor_differences`.
    ties : {"factor", "none", "b"}
    by : {"comparison", "annotator"}
        What resamples draw again.
    n_bootstrap : int
    level : float
    rng : int, Generator or None

    Notes
    -----
    Factors go together: see `property_weights` for what each adds to the others.

    References
    ----------
    J. Oh et al., Uncovering Factor Level Preferences to Improve Human-Model Alignment (PROFILE), arXiv 2410.06965.
    """
    chosen = checked_factors(comparisons, factors)
    return influence_of(
        comparisons,
        annotators,
        chosen,
        factor_differences(comparisons, chosen),
        ties=ties,
        by=by,
        n_bootstrap=n_bootstrap,
        level=level,
        rng=rng,
    )


def influence_of(
    comparisons: Comparisons,
    annotators: Sequence[Verdicts],
    factors: tuple[str, ...],
    differences: Float[np.ndarray, "pairs factors"],
    *,
    ties: Ties,
    by: Literal["comparison", "annotator"],
    n_bootstrap: int,
    level: float,
    rng: RNG,
) -> FactorInfluence:
    """`factor_influence` of differences that are known."""
    check_level(level, n_bootstrap)
    names = tuple(annotator.name for annotator in annotators)
    if ties not in ("factor", "none", "b") or by not in ("comparison", "annotator"):
        raise UsageError(f"ties={ties!r}, by={by!r} are not possible.", fix='Use ties="factor", by="comparison".')
    if not names or len(set(names)) < len(names) or any(len(a) != len(comparisons) for a in annotators):
        raise DataError("Annotators have different names and a verdict for each comparison.", fix="Check them.")
    lead = np.sign(differences)
    sides = np.stack([annotator.sides(graded=False) for annotator in annotators], axis=1)
    side = sides[..., 0] - sides[..., 1]
    asked = np.stack([~np.isnan(annotator.left) for annotator in annotators], axis=1)
    weight = comparisons.weight[:, None, None]
    product = side[:, :, None] * lead[:, None, :]
    # differences of concordant and discordant pairs, decided pairs that differ in the factor, ties of either kind
    parts = np.stack(
        [
            product,
            np.abs(product),
            (np.abs(side)[:, :, None] * (lead == 0)[:, None]),
            (asked & (side == 0))[:, :, None] * np.abs(lead)[:, None],
        ],
        axis=1,
    )
    parts *= weight[:, None]
    unit = DistinctPairs.of(comparisons).of_row if by == "comparison" else comparisons.user
    unit = np.unique(unit, return_inverse=True)[1]
    n_units = int(unit.max(initial=-1)) + 1
    sums = np.zeros((n_units, *parts.shape[1:]))
    np.add.at(sums, unit, parts)
    flat = sums.reshape(n_units, -1)
    draws = np.empty((0, len(names), len(factors)))
    if n_bootstrap and n_units > 1:
        blocks = [
            _statistic((times @ flat).reshape(len(times), *parts.shape[1:]), ties)
            for times in resample_users(n_units, n_bootstrap, as_generator(rng, "influence"))
        ]
        draws = np.concatenate(blocks)
    total = flat.sum(axis=0).reshape(parts.shape[1:])
    value = _statistic(total[None], ties)[0]
    # (1 + statistic) / 2 is a share, with ties as halves
    mass = total[1] if ties == "none" else total[1] + total[2]
    span = 2.0 * share_interval((1.0 + value) / 2.0, mass, (1.0 + draws) / 2.0, level) - 1.0
    return FactorInfluence(names, factors, value, span, ties, draws, level)


def _statistic(
    sums: Float[np.ndarray, "draws four annotators factors"], ties: Ties
) -> Float[np.ndarray, "draws annotators factors"]:
    lead, decided, same, undecided = np.moveaxis(sums, 1, 0)
    if ties == "none":
        return ratio(lead, decided)
    if ties == "factor":
        return ratio(lead, decided + same)
    return ratio(lead, np.sqrt((decided + same) * (decided + undecided)))


def _correlations(one: Float[np.ndarray, " factors"], other: Float[np.ndarray, " factors"]) -> tuple[float, float]:
    known = ~np.isnan(one) & ~np.isnan(other)
    a, b = one[known], other[known]
    if len(a) < LEAST_FACTORS or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan"), float("nan")
    return float(np.corrcoef(a, b)[0, 1]), float(kendalltau(a, b).statistic)
