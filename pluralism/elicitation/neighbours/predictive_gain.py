"""What an interview teaches: how much better a person's other judgements are predicted, a minute of talk at a time.

After each turn somebody who has read the interview so far predicts judgements that the person makes elsewhere. The gain
is how much better these predictions are than before the first turn; an interview is good if it is high early.

References
----------
B. Z. Li, A. Tamkin, N. Goodman, J. Andreas, Eliciting human preferences with language models (GATE), arXiv 2310.11589,
2023.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.integrate import trapezoid

from pluralism.errors import DataError, UsageError
from pluralism.evaluation.bootstrap import interval, resample_users
from pluralism.random import RNG, as_generator

__all__ = ["GainMetric", "MeanGain", "PredictiveGain", "mean_gain", "predictive_gain"]

GainMetric = Literal["p_correct", "accuracy", "auroc"]
"""Mean probability of what was judged; share of judgements on the likelier side; area under the ROC curve."""


@dataclass(frozen=True, eq=False, repr=False)
class PredictiveGain:
    """How one interview improved predictions of one person.

    Attributes
    ----------
    minutes : array of shape (turns,)
        Since the beginning; the first is 0, before anything was asked.
    score : array of shape (turns,)
    metric : {"p_correct", "accuracy", "auroc"}
    """

    minutes: Float[np.ndarray, " turns"]
    score: Float[np.ndarray, " turns"]
    metric: GainMetric

    @property
    def gain(self) -> Float[np.ndarray, " turns"]:
        """Score less that before the first turn."""
        return self.score - self.score[0]

    @property
    def final(self) -> float:
        """Gain of the whole interview."""
        return float(self.gain[-1])

    @property
    def area(self) -> float:
        """Mean gain over the time of the interview: high if it teaches much, and early."""
        length = float(self.minutes[-1])
        return float(trapezoid(self.gain, self.minutes)) / length if length > 0 else 0.0

    @property
    def per_minute(self) -> float:
        """Gain of the whole interview by its minutes."""
        return self.final / float(self.minutes[-1]) if self.minutes[-1] > 0 else 0.0

    def at(self, minute: float) -> float:
        """Gain after so many minutes, that of the last turn before."""
        return float(self.gain[np.searchsorted(self.minutes, minute, side="right") - 1])

    def to_frame(self) -> pa.Table:
        """Columns `minutes, score, gain`."""
        return pa.table({"minutes": self.minutes, "score": self.score, "gain": self.gain})

    def to_dict(self) -> dict[str, Any]:
        """The rows of `to_frame` and the summaries."""
        summary = {"final": self.final, "area": self.area, "per_minute": self.per_minute}
        return {"metric": self.metric, **summary, "turns": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        return (
            f"PredictiveGain({self.metric} {self.score[0]:.3f} -> {self.score[-1]:.3f} in {self.minutes[-1]:.1f} "
            f"minutes, {self.per_minute:+.4f} a minute, area {self.area:+.3f})"
        )


@dataclass(frozen=True, repr=False)
class MeanGain:
    """Gains of several interviews.

    Attributes
    ----------
    n : int
    final, area, per_minute : (mean, low, high)
        With intervals over interviews.
    level : float
    """

    n: int
    final: tuple[float, float, float]
    area: tuple[float, float, float]
    per_minute: tuple[float, float, float]
    level: float

    def to_frame(self) -> pa.Table:
        """Columns `measure, mean, low, high`."""
        names = ("final", "area", "per_minute")
        rows = [getattr(self, name) for name in names]
        return pa.table(
            {"measure": names, **{k: [row[i] for row in rows] for i, k in enumerate(("mean", "low", "high"))}}
        )

    def to_dict(self) -> dict[str, Any]:
        """The number of interviews and the rows of `to_frame`."""
        return {"n": self.n, "level": self.level, "measures": self.to_frame().to_pylist()}

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), indent=indent)

    def __repr__(self) -> str:
        mean, low, high = self.per_minute
        return f"MeanGain({self.n:,} interviews: {mean:+.4f} a minute, {low:+.4f} to {high:+.4f})"


def predictive_gain(
    minutes: Sequence[float] | Float[np.ndarray, " turns"],
    probability: Float[np.ndarray, "turns judgements"],
    judgement: Sequence[bool] | np.ndarray,
    *,
    metric: GainMetric = "p_correct",
) -> PredictiveGain:
    """Score the predictions after each turn.

    Parameters
    ----------
    minutes : array of shape (turns,)
        When each prediction was made, rising from 0: the first is made before anything is asked.
    probability : array of shape (turns, judgements)
        Predicted probability that the person says yes.
    judgement : array of shape (judgements,)
        What the person said: True for yes.
    metric : {"p_correct", "accuracy", "auroc"}
        A probability of 1/2 is half right for "accuracy".
    """
    when, p = np.asarray(minutes, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    yes = np.asarray(judgement).astype(bool)
    if metric not in get_args(GainMetric):
        raise UsageError(f"metric={metric!r} is not possible.", fix=f"Use one of {', '.join(get_args(GainMetric))}.")
    if p.shape != (len(when), len(yes)) or 0 in p.shape or not ((p >= 0) & (p <= 1)).all():
        raise DataError(
            f"Predictions have shape {p.shape}; probabilities of shape {(len(when), len(yes))} are needed.",
            fix="Give one for each turn and judgement.",
        )
    if when[0] != 0 or (np.diff(when) < 0).any():
        raise DataError("Minutes must rise from 0.", fix="Predict once before the first turn, at 0 minutes.")
    return PredictiveGain(when, _score(p, yes, metric), metric)


def mean_gain(
    gains: Sequence[PredictiveGain], *, n_bootstrap: int = 1000, level: float = 0.95, rng: RNG = 0
) -> MeanGain:
    """Average interviews, with intervals by drawing whole interviews again."""
    if not gains or len({gain.metric for gain in gains}) > 1:
        raise UsageError("There are no gains of one metric.", fix="Give gains by the same metric, one or more.")
    values = np.array([[gain.final, gain.area, gain.per_minute] for gain in gains])
    blocks = resample_users(len(gains), n_bootstrap, as_generator(rng, "gain")) if len(gains) > 1 else []
    drawn = [weights @ values / len(gains) for weights in blocks]
    draws = np.concatenate(drawn) if drawn else np.full((1, 3), np.nan)
    spans = [(float(values[:, k].mean()), *interval(draws[:, k], level)) for k in range(3)]
    return MeanGain(len(gains), spans[0], spans[1], spans[2], level)


def _score(
    p: Float[np.ndarray, "turns judgements"], yes: np.ndarray, metric: GainMetric
) -> Float[np.ndarray, " turns"]:
    if metric == "p_correct":
        return np.where(yes, p, 1.0 - p).mean(axis=1)
    if metric == "accuracy":
        return np.where(p == 0.5, 0.5, (p > 0.5) == yes).mean(axis=1)
    if yes.all() or not yes.any():
        raise DataError(
            "All judgements are alike, so that there is no ROC curve.", fix='Use metric="p_correct" or "accuracy".'
        )
    from sklearn.metrics import roc_auc_score

    return np.array([roc_auc_score(yes, row) for row in p])
