"""Position bias: how often judges prefer what is shown first, and contradict themselves when the order is swapped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.judges.trials import JudgeTrials
from pluralism.discretion.measures.intervals import check_level, share_interval
from pluralism.errors import DataError
from pluralism.evaluation.bootstrap import ratio, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["PositionBias", "position_bias"]


@dataclass(frozen=True, eq=False, repr=False)
class PositionBias:
    """By judge.

    Attributes
    ----------
    judges : tuple of str
    first : array of shape (judges,)
        Share of verdicts for the item that was shown first, ties half; 0.5 without bias where pairs are shown in both
        orders.
    first_interval : array of shape (judges, 2)
    conflict : array of shape (judges,)
        Share of the pairs shown in both orders on which the verdict is not the same; NaN where there are none.
    conflict_interval : array of shape (judges, 2)
    verdicts, pairs : int arrays of shape (judges,)
        Answered trials, and pairs shown in both orders.
    unanswered : int array of shape (judges,)
    """

    judges: tuple[str, ...]
    first: Float[np.ndarray, " judges"]
    first_interval: Float[np.ndarray, "judges two"]
    conflict: Float[np.ndarray, " judges"]
    conflict_interval: Float[np.ndarray, "judges two"]
    verdicts: Int[np.ndarray, " judges"]
    pairs: Int[np.ndarray, " judges"]
    unanswered: Int[np.ndarray, " judges"]

    def to_frame(self) -> pa.Table:
        """Columns `judge, first, first_low, first_high, conflict, conflict_low, conflict_high, verdicts, ...`."""
        columns: dict[str, Any] = {"judge": list(self.judges)}
        for name in ("first", "conflict"):
            span = getattr(self, f"{name}_interval")
            for key, values in ((name, getattr(self, name)), (f"{name}_low", span[:, 0]), (f"{name}_high", span[:, 1])):
                columns[key] = pa.array(values, mask=np.isnan(values))
        return pa.table(columns | {name: getattr(self, name) for name in ("verdicts", "pairs", "unanswered")})

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain types."""
        return json_ready({"judges": self.to_frame().to_pylist()})

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        columns = {"judge": list(self.judges)} | {
            name: getattr(self, name).tolist() for name in ("first", "conflict", "verdicts", "unanswered")
        }
        return format_table(columns, 3)


def position_bias(trials: JudgeTrials, *, n_bootstrap: int = 1000, level: float = 0.95, rng: RNG = 0) -> PositionBias:
    """Measure position bias, with intervals over pairs.

    Parameters
    ----------
    trials : JudgeTrials
    n_bootstrap : int
        Resamples of the pairs.
    level : float
    rng : int, Generator or None

    Raises
    ------
    DataError
        If there are no verdicts.

    References
    ----------
    P. Wang et al., Large Language Models are not Fair Evaluators, arXiv 2305.17926, 2023 (conflict rate).
    """
    check_level(level, n_bootstrap)
    if not trials.answered.any():
        raise DataError("There are no verdicts.", fix="Pass trials with answers.")
    mean, counts = trials.by_order()
    filled = np.where(counts > 0, mean, 0.0)
    # what was shown first: left in the first order, right in the second
    first = counts[..., 0] * filled[..., 0] + counts[..., 1] * (1.0 - filled[..., 1])
    both = (counts > 0).all(axis=2)
    changed = both & (np.sign(mean[..., 0] - 0.5) != np.sign(mean[..., 1] - 0.5))
    sums = np.stack([first, counts.sum(axis=2), changed, both]).astype(np.float64)
    total = sums.sum(axis=2)
    n_pairs = len(trials.pairs)
    spans = np.full((2, len(trials.judges), 2), np.nan)
    if n_bootstrap and n_pairs > 1:
        drawn = np.concatenate(
            [
                np.einsum("dp,sjp->dsj", times, sums, optimize=True)
                for times in resample_users(n_pairs, n_bootstrap, as_generator(rng, "position bias"))
            ]
        )
        spans = np.stack(
            [
                share_interval(ratio(total[k], total[k + 1]), total[k + 1], ratio(drawn[:, k], drawn[:, k + 1]), level)
                for k in (0, 2)
            ]
        )
    silent = np.bincount(trials.judge[~trials.answered], minlength=len(trials.judges))
    return PositionBias(
        trials.judges,
        ratio(total[0], total[1]),
        spans[0],
        ratio(total[2], total[3]),
        spans[1],
        total[1].astype(np.int64),
        total[3].astype(np.int64),
        silent.astype(np.int64),
    )
