"""Balanced verdicts: evidence averaged within each order, then over both (MEC and BPC); what that gains."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.judges.trials import JudgeTrials
from pluralism.discretion.measures.intervals import check_level, percentiles
from pluralism.errors import DataError, UsageError
from pluralism.evaluation.bootstrap import ratio, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["BalancedVerdicts", "JudgeAccuracy", "balanced_judgement", "balancing_gain"]

TIE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class BalancedVerdicts:
    """Verdicts on pairs, each order weighing the same.

    Attributes
    ----------
    pairs : tuple of str
    left : array of shape (pairs,)
        Mass on the left item in [0, 1]; NaN for pairs that were not shown in both orders.
    verdicts : int array of shape (pairs, 2)
        Answers behind it, by order.
    """

    pairs: tuple[str, ...]
    left: Float[np.ndarray, " pairs"]
    verdicts: Int[np.ndarray, "pairs orders"]

    @property
    def decision(self) -> Float[np.ndarray, " pairs"]:
        """1 left, 0 right, 0.5 a tie; NaN where unknown."""
        return np.where(np.isnan(self.left), np.nan, 0.5 * (1.0 + _sign(self.left)))

    def to_frame(self) -> pa.Table:
        """Columns `pair, left, left_first, right_first`."""
        return pa.table(
            {
                "pair": list(self.pairs),
                "left": pa.array(self.left, mask=np.isnan(self.left)),
                "left_first": self.verdicts[:, 0],
                "right_first": self.verdicts[:, 1],
            }
        )

    def to_json(self) -> str:
        """The rows as JSON."""
        return json.dumps(json_ready({"pairs": self.to_frame().to_pylist()}), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        known = ~np.isnan(self.left)
        ties = int((self.decision[known] == 0.5).sum())
        return f"BalancedVerdicts({int(known.sum()):,} of {len(self.pairs):,} pairs in both orders, {ties:,} ties)"


def balanced_judgement(trials: JudgeTrials, *, weights: Mapping[str, float] | None = None) -> BalancedVerdicts:
    """Average the evidence of each order, then both orders, then the judges.

    Parameters
    ----------
    trials : JudgeTrials
        Several trials of a judge on a pair in one order are multiple evidence.
    weights : mapping of str to float, optional
        Of judges, not negative; left out, all weigh the same.

    References
    ----------
    P. Wang et al., Large Language Models are not Fair Evaluators, arXiv 2305.17926, 2023, section 3: multiple evidence
    calibration and balanced position calibration.

    Examples
    --------
    >>> trials = JudgeTrials.from_frame({
    ...     "pair": [0, 0, 0], "judge": ["j"] * 3, "swapped": [False, False, True], "verdict": [1, 1, 0]})
    >>> balanced_judgement(trials).left.tolist()
    [0.5]
    """
    mean, counts = trials.by_order()
    given = np.ones(len(trials.judges))
    if weights is not None:
        unknown = [name for name in trials.judges if name not in weights]
        if unknown or any(not (np.isfinite(w) and w >= 0) for w in weights.values()):
            raise UsageError("Weights are numbers of at least 0, one for each judge.", fix=f"Name {trials.judges}.")
        given = np.array([float(weights[name]) for name in trials.judges])
    both = mean.mean(axis=2)
    share = np.where(np.isnan(both), 0.0, given[:, None])
    left = ratio((share * np.nan_to_num(both)).sum(axis=0), share.sum(axis=0))
    return BalancedVerdicts(trials.pairs, left, counts.sum(axis=0))


@dataclass(frozen=True, eq=False, repr=False)
class JudgeAccuracy:
    """How often pooled verdicts are right, with and without balanced positions, by the same number of verdicts.

    Attributes
    ----------
    judges : tuple of str
    one_order : array of shape (judges,)
        All verdicts in one order, the mean of both choices of it; ties count half.
    balanced : array of shape (judges,)
        Half of the verdicts in either order.
    gain : array of shape (judges,)
        `balanced` less `one_order`.
    gain_interval : array of shape (judges, 2)
        Over resamples of the pairs.
    verdicts : int array of shape (judges,)
        Verdicts pooled on each pair.
    pairs : int
    """

    judges: tuple[str, ...]
    one_order: Float[np.ndarray, " judges"]
    balanced: Float[np.ndarray, " judges"]
    gain: Float[np.ndarray, " judges"]
    gain_interval: Float[np.ndarray, "judges two"]
    verdicts: Int[np.ndarray, " judges"]
    pairs: int

    def to_frame(self) -> pa.Table:
        """Columns `judge, one_order, balanced, gain, low, high, verdicts`."""
        low, high = self.gain_interval.T
        return pa.table(
            {
                "judge": list(self.judges),
                "one_order": self.one_order,
                "balanced": self.balanced,
                "gain": self.gain,
                "low": pa.array(low, mask=np.isnan(low)),
                "high": pa.array(high, mask=np.isnan(high)),
                "verdicts": self.verdicts,
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"pairs": self.pairs, "judges": self.to_frame().to_pylist()})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        return format_table({name: self.to_frame()[name].to_pylist() for name in self.to_frame().column_names}, 3)


def balancing_gain(
    trials: JudgeTrials,
    truth: ArrayLike,
    *,
    evidence: Sequence[str],
    n_bootstrap: int = 1000,
    level: float = 0.95,
    rng: RNG = 0,
) -> JudgeAccuracy:
    """What balancing positions gains at the same number of verdicts.

    Of one verdict a pair nothing can be gained: with ties counted half, the mean of two opposite orders is right as
    often as either order is on average. With several, those in one order share their bias, and those in two cancel it.
    What is left is what the judge sees in the pair, so one that is deceived more often than not errs more.

    Parameters
    ----------
    trials : JudgeTrials
        Judged in both orders with several kinds of evidence, such as prompts.
    truth : array of shape (pairs,)
        1 where left is better, 0 where right is.
    evidence : sequence of str, shape (trials,)
        Which kind each trial is of. Kinds that a judge did not use on every pair in both orders are left out for it.
    n_bootstrap : int
        Resamples of the pairs.
    level : float
    rng : int, Generator or None
        Of the resamples, and of the halves of the evidence that are shown in either order (32 of them).

    Raises
    ------
    DataError
        If the parts do not fit, or a judge has no two kinds of evidence on all pairs.
    """
    check_level(level, n_bootstrap)
    right = np.asarray(truth, dtype=np.float64)
    kinds, kind = np.unique(np.asarray(evidence, dtype=object).astype(str), return_inverse=True)
    if right.shape != (len(trials.pairs),) or not np.isin(right, (0.0, 1.0)).all() or len(kind) != len(trials):
        raise DataError(
            "The truth is 1 or 0 for each pair, and evidence names the kind of each trial.", fix="Check their lengths."
        )
    generator = as_generator(rng, "balancing")
    hits, pooled = [], []
    for judge, name in enumerate(trials.judges):
        table = _by_kind(trials, judge, kind, len(kinds))
        complete = (~np.isnan(table)).any(axis=(0, 2)) & (np.isnan(table).mean(axis=(0, 2)) < 0.1)
        table = table[:, complete]
        n = table.shape[1] // 2 * 2
        if n < 2:
            raise DataError(
                f"{name} has no two kinds of evidence on the pairs in both orders.", fix="Leave this judge out."
            )
        pooled.append(n)
        hits.append(_hits(table, n, right, generator))
    scores = np.stack(hits)
    value = scores.mean(axis=1)
    gain = value[:, 1] - value[:, 0]
    span = np.full((len(gain), 2), np.nan)
    if n_bootstrap and len(right) > 1:
        change = scores[:, :, 1] - scores[:, :, 0]
        drawn = [times @ change.T / len(right) for times in resample_users(len(right), n_bootstrap, generator)]
        span = percentiles(np.concatenate(drawn), level)
    return JudgeAccuracy(
        trials.judges, value[:, 0], value[:, 1], gain, span, np.array(pooled, dtype=np.int64), len(right)
    )


def _by_kind(
    trials: JudgeTrials, judge: int, kind: Int[np.ndarray, " trials"], n_kinds: int
) -> Float[np.ndarray, "pairs kinds orders"]:
    """Verdict of a judge as 1, -1 or 0 on each pair, with each kind of evidence, in each order; NaN where none."""
    rows = np.flatnonzero((trials.judge == judge) & trials.answered)
    cell = (trials.pair[rows].astype(np.int64) * n_kinds + kind[rows]) * 2 + trials.swapped[rows]
    size = len(trials.pairs) * n_kinds * 2
    counts = np.bincount(cell, minlength=size)
    mean = np.divide(np.bincount(cell, trials.verdict[rows], size), counts, out=np.full(size, np.nan), where=counts > 0)
    lead = np.where(np.isnan(mean), np.nan, _sign(mean))
    return lead.reshape(len(trials.pairs), n_kinds, 2)


def _hits(
    table: Float[np.ndarray, "pairs kinds orders"],
    n: int,
    right: Float[np.ndarray, " pairs"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "pairs two"]:
    """Expected credit of each pair from n verdicts in one order, and from n verdicts of which half in either order."""
    filled = np.nan_to_num(table)
    towards = 2.0 * right - 1.0
    credit = np.zeros((len(right), 2))
    draws = 32
    for _ in range(draws):
        chosen = rng.permutation(table.shape[1])[:n]
        for order in (0, 1):
            alone = filled[:, chosen, order].sum(axis=1)
            mixed = filled[:, chosen[: n // 2], order].sum(axis=1) + filled[:, chosen[n // 2 :], 1 - order].sum(axis=1)
            credit[:, 0] += 0.5 + 0.5 * np.sign(alone) * towards
            credit[:, 1] += 0.5 + 0.5 * np.sign(mixed) * towards
    return credit / (2 * draws)


def _sign(mass: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    lead = mass - 0.5
    return np.where(np.abs(lead) <= TIE, 0.0, np.sign(lead))
