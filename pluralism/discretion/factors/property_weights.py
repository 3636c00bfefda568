"""Weights of properties: what each adds to a preference when all others are the same.

    logit P(left) = sum_k (m_k + u_judge,k + v_group,k + s_scenario,k) x_k + d_judge z,

with x the differences of properties (left less right) and z = 1 where left was shown first and -1 where right was: no
other intercept, so exchanging left and right changes nothing. m ~ N(0, prior_sd^2); the others are normal with mean 0
and a variance for each level, which the evidence decides. Ties as Davidson's model has them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy.special import expit, ndtri

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.random import RNG, as_seed
from pluralism.solvers.davidson import DavidsonFit, DavidsonProblem, fit_davidson

__all__ = ["PropertyWeights", "property_weights"]

LEVELS = ("judge", "group", "scenario")
MAX_COEFFICIENTS = 2048
MAX_ROUNDS = 100
SMALLEST_VARIANCE = 1e-6


@dataclass(frozen=True, eq=False, repr=False)
class PropertyWeights:
    """Posterior of the weights of properties.

    Attributes
    ----------
    properties : tuple of str
    mean, sd : arrays of shape (properties,)
        Of the common weights m, in logits for one unit of the property.
    by_level : mapping of str to (labels, mean, sd)
        For each level that was given: labels, and the common weight plus the part of each label, arrays of shape
        (labels, properties).
    level_sd : mapping of str to float
        How much labels of a level differ: standard deviation of their parts.
    position : mapping of str to (float, float)
        Of each judge (or "all"): mean and sd of d; empty where the order shown is not known.
    level : float
        Of the intervals in frames.
    method : {"laplace", "polya-gamma", "nuts"}
    """

    properties: tuple[str, ...]
    mean: Float[np.ndarray, " properties"]
    sd: Float[np.ndarray, " properties"]
    by_level: Mapping[str, tuple[tuple[str, ...], np.ndarray, np.ndarray]]
    level_sd: Mapping[str, float]
    position: Mapping[str, tuple[float, float]]
    level: float
    method: str

    @property
    def importance(self) -> Float[np.ndarray, " properties"]:
        """s(m): the probability that left is preferred when it leads by one unit of this property alone."""
        return expit(self.mean)

    def to_frame(self) -> pa.Table:
        """A row a property: `property, weight, sd, low, high, importance`."""
        wide = ndtri(0.5 + self.level / 2.0) * self.sd
        return pa.table(
            {
                "property": list(self.properties),
                "weight": self.mean,
                "sd": self.sd,
                "low": self.mean - wide,
                "high": self.mean + wide,
                "importance": self.importance,
            }
        )

    def levels_frame(self) -> pa.Table:
        """A row for each level, label and property: `level, label, property, weight, sd`."""
        rows = [
            (level, label, name, float(mean[i, k]), float(sd[i, k]))
            for level, (labels, mean, sd) in self.by_level.items()
            for i, label in enumerate(labels)
            for k, name in enumerate(self.properties)
        ]
        names = ("level", "label", "property", "weight", "sd")
        return pa.table({name: [row[k] for row in rows] for k, name in enumerate(names)})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready(
            {
                "method": self.method,
                "properties": self.to_frame().to_pylist(),
                "levels": self.levels_frame().to_pylist(),
                "level_sd": dict(self.level_sd),
                "position": {name: list(value) for name, value in self.position.items()},
            }
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        table = self.to_frame()
        return format_table({name: table[name].to_pylist() for name in table.column_names}, 3)


@dataclass(frozen=True, eq=False)
class PropertyDesign:
    """Rows and coefficients: the common weights, the parts of each level, the position effects."""

    problem: DavidsonProblem
    counts: Float[np.ndarray, "rows answers"]
    labels: dict[str, tuple[str, ...]]
    starts: dict[str, int]
    n_properties: int
    position: tuple[str, ...]

    @property
    def position_start(self) -> int:
        """The first position effect."""
        return self.n_properties * (1 + sum(map(len, self.labels.values())))

    def block(self, level: str) -> slice:
        """Coefficients of the parts of a level."""
        start = self.starts[level]
        return slice(start, start + len(self.labels[level]) * self.n_properties)

    def with_variances(self, prior_sd: float, variances: Mapping[str, float]) -> DavidsonProblem:
        """The problem with the precisions that follow."""
        precision = np.full(len(self.problem.precision), prior_sd**-2.0)
        for level, variance in variances.items():
            precision[self.block(level)] = 1.0 / variance
        return DavidsonProblem(self.problem.index, self.problem.value, precision, self.problem.ties)


def property_weights(
    differences: ArrayLike,
    preference: ArrayLike,
    properties: Sequence[str],
    *,
    judge: Sequence[str] | None = None,
    group: Sequence[str] | None = None,
    scenario: Sequence[str] | None = None,
    first: ArrayLike | None = None,
    weight: ArrayLike | None = None,
    prior_sd: float = 1.0,
    level: float = 0.95,
    method: Literal["laplace", "polya-gamma", "nuts"] = "laplace",
    draws: int = 500,
    rng: RNG = 0,
) -> PropertyWeights:
    """Estimate weights of properties.

    Parameters
    ----------
    differences : array of shape (rows, properties)
        Left less right; take signs or standardise, so that a unit means something.
    preference : array of shape (rows,)
        Mass on left, in [0, 1]; 0.5 is a tie.
    properties : sequence of str
    judge, group, scenario : sequences of str, shape (rows,), optional
        Labels whose weights differ around the common ones.
    first : bool array of shape (rows,), optional
        Whether left was shown first; then each judge has a position effect.
    weight : array of shape (rows,), optional
        How many times a row counts.
    prior_sd : float
        Of the common weights and position effects, in logits.
    level : float
        Of the intervals in frames.
    method : {"laplace", "polya-gamma", "nuts"}
        A normal approximation with variances by their evidence, in a moment; or draws of the whole posterior, with
        half-normal priors on the levels' standard deviations: by Polya-Gamma Gibbs sampling, in seconds, where there
        are no ties, or by NUTS (the extra ``bayes``).
    draws : int
        Of the posterior, after as many to warm up.
    rng : int, Generator or None
        Of the draws.

    Raises
    ------
    DataError
        If the parts do not fit, or hold something else than numbers in range.
    UsageError
        If there are too many coefficients, or an option cannot be.

    References
    ----------
    J. Li et al., Dissecting Human and LLM Preferences, arXiv 2402.11296, 2024 (one such model a judge and scenario,
    with Laplace priors). N. G. Polson, J. G. Scott, J. Windle, JASA 108, 2013 (Polya-Gamma). R. R. Davidson, JASA 65,
    1970 (ties). D. MacKay, Bayesian interpolation, 1992 (evidence).

    Examples
    --------
    >>> found = property_weights([[1.0], [1], [-1], [1]], [1, 1, 0, 0], ["longer"])
    >>> bool(found.importance[0] > 0.5)
    True
    """
    if method not in ("laplace", "polya-gamma", "nuts") or not (np.isfinite(prior_sd) and prior_sd > 0) or draws < 1:
        raise UsageError(
            f"method={method!r}, prior_sd={prior_sd!r}, draws={draws!r} are not possible.",
            fix='Use method="laplace", "polya-gamma" or "nuts", and numbers above 0.',
        )
    labels = {name: given for name, given in zip(LEVELS, (judge, group, scenario), strict=True) if given is not None}
    design = _design(differences, preference, properties, labels, first, weight)
    if method != "laplace":
        if method == "nuts":
            from pluralism.discretion.factors.property_nuts import sample_properties as sample
        else:
            from pluralism.discretion.factors.property_gibbs import gibbs_properties as sample
        drawn, sds = sample(design, prior_sd, draws, as_seed(rng))
        mean, covariance = drawn.mean(axis=0), np.atleast_2d(np.cov(drawn.T))
    else:
        fit, variances = _by_evidence(design, prior_sd)
        mean, covariance = fit.parameters, fit.covariance
        sds = {name: float(np.sqrt(variance)) for name, variance in variances.items()}
    return _summarise(tuple(properties), design, mean, covariance, sds, level, method)


def _design(
    differences: ArrayLike,
    preference: ArrayLike,
    properties: Sequence[str],
    labels: Mapping[str, Sequence[str]],
    first: ArrayLike | None,
    weight: ArrayLike | None,
) -> PropertyDesign:
    x, y = np.asarray(differences, dtype=np.float64), np.asarray(preference, dtype=np.float64)
    n, k = (len(y), len(properties))
    w = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
    fits = x.shape == (n, k) and n > 0 and w.shape == (n,) and all(len(given) == n for given in labels.values())
    if not fits or not np.isfinite(x).all() or not ((y >= 0) & (y <= 1)).all() or not (np.isfinite(w) & (w >= 0)).all():
        raise DataError(
            f"Differences of shape {x.shape} do not fit {n:,} preferences of {k} properties, or are not finite.",
            fix="Give a row for each preference in [0, 1], a column for each property, and labels for each row.",
        )
    codes: dict[str, Int[np.ndarray, " rows"]] = {}
    names: dict[str, tuple[str, ...]] = {}
    starts: dict[str, int] = {}
    size = k
    for level, given in labels.items():
        distinct, code = np.unique(np.asarray(given, dtype=object).astype(str), return_inverse=True)
        names[level], codes[level], starts[level] = tuple(distinct.tolist()), code.ravel(), size
        size += len(distinct) * k
    position: tuple[str, ...] = ()
    index = [np.tile(np.arange(k), (n, 1))]
    value = [x]
    for level, code in codes.items():
        index.append(starts[level] + code[:, None] * k + np.arange(k))
        value.append(x)
    if first is not None:
        shown = np.asarray(first)
        if shown.shape != (n,) or shown.dtype != bool:
            raise DataError("first= says of each row whether left was shown first.", fix="Pass True or False a row.")
        position = names.get("judge", ("all",))
        own = codes.get("judge", np.zeros(n, dtype=np.int64))
        index.append((size + own)[:, None])
        value.append(np.where(shown, 1.0, -1.0)[:, None])
        size += len(position)
    if size > MAX_COEFFICIENTS:
        raise UsageError(
            f"There are {size:,} coefficients, and at most {MAX_COEFFICIENTS:,} are fitted together.",
            fix="Merge labels, or leave out a level.",
        )
    tie = y == 0.5
    counts = np.stack([np.where(tie, 0.0, w * y), np.where(tie, 0.0, w * (1 - y)), np.where(tie, w, 0.0)], axis=1)
    columns = [np.concatenate(parts, axis=1) for parts in (index, value)]
    problem = DavidsonProblem(columns[0].astype(np.int64), columns[1], np.ones(size), ties=bool(tie.any()))
    return PropertyDesign(problem, counts, names, starts, k, position)


def _by_evidence(design: PropertyDesign, prior_sd: float) -> tuple[DavidsonFit, dict[str, float]]:
    """The mode, with the variance of each level where the evidence is stationary (MacKay's fixed point)."""
    variances = dict.fromkeys(design.labels, 0.1)
    start: np.ndarray | None = None
    for _ in range(MAX_ROUNDS):
        problem = design.with_variances(prior_sd, variances)
        fit = fit_davidson(problem, design.counts, start=start)
        start = fit.parameters
        if not variances:
            return fit, variances
        spread = np.diag(fit.covariance)
        new = {}
        for level, variance in variances.items():
            part = design.block(level)
            determined = max(len(spread[part]) - float(spread[part].sum()) / variance, 1e-3)
            new[level] = max(float(np.sum(fit.parameters[part] ** 2)) / determined, SMALLEST_VARIANCE)
        change = max(abs(np.log(new[level] / variances[level])) for level in variances)
        variances = new
        if change < 1e-3:
            return fit_davidson(design.with_variances(prior_sd, variances), design.counts, start=start), variances
    warnings.warn("The variances of the levels had not converged after 100 rounds.", ConvergenceWarning, stacklevel=3)
    return fit, variances


def _summarise(
    properties: tuple[str, ...],
    design: PropertyDesign,
    mean: Float[np.ndarray, " parameters"],
    covariance: Float[np.ndarray, "parameters parameters"],
    sds: Mapping[str, float],
    level: float,
    method: str,
) -> PropertyWeights:
    k = design.n_properties
    common = np.arange(k)
    variance = np.diag(covariance)
    by_level = {}
    for name, labels in design.labels.items():
        own = design.starts[name] + np.arange(len(labels))[:, None] * k + common
        total = variance[common] + variance[own] + 2.0 * covariance[common, own]
        by_level[name] = (labels, mean[common] + mean[own], np.sqrt(np.maximum(total, 0.0)))
    first = design.position_start
    position = {
        name: (float(mean[first + j]), float(np.sqrt(variance[first + j]))) for j, name in enumerate(design.position)
    }
    return PropertyWeights(properties, mean[:k], np.sqrt(variance[:k]), by_level, dict(sds), position, level, method)
